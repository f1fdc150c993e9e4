"""What enrolment says of itself: light, for status files and commands."""

import msgspec


class EnrolledNetwork(msgspec.Struct, kw_only=True):
    network: str
    standing: str  # joining | waiting | member | leaving | refused
    said: str = ""
    hint: str = ""


class FarmStatus(msgspec.Struct, kw_only=True):
    """`connection`: idle | connecting | admitting | greeting | online."""

    controller_id: str
    connection: str
    controller: str
    away_since: float | None = None  # seconds since boot: no controller lets us in since then
    silent_seconds: int = 0  # while online, when a ping went unanswered
    admitted: bool
    tokens: int = 0  # join strings that have not done their work yet
    address: str = ""  # this node's, 10 hex digits
    observed: str = ""  # where the controller saw us come from
    admitted_seconds: float | None = None  # since boot, when first let in with the own key
    problem: str = ""
    hint: str = ""
    networks: list[EnrolledNetwork] = []


class EnrolStatus(msgspec.Struct, kw_only=True):
    key: str = ""  # this node's public key, hex
    next_key: str = ""  # that is to take its place; empty: no rotation is under way
    awaits: list[str] = []  # farms that do not know it yet
    farms: list[FarmStatus] = []
    problems: list[str] = []  # with what is kept of farms and join strings
    endpoints: list[str] = []  # addresses by which others can reach this node
    families: list[int] = []

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
    admitted: bool
    tokens: int = 0  # join strings that have not done their work yet
    address: str = ""  # this node's, 10 hex digits
    observed: str = ""  # where the controller saw us come from
    admitted_seconds: float | None = None  # since boot, when first let in with the own key
    problem: str = ""
    hint: str = ""
    networks: list[EnrolledNetwork] = []


class EnrolStatus(msgspec.Struct, kw_only=True):
    farms: list[FarmStatus] = []
    problems: list[str] = []  # with what is kept of farms and join strings
    endpoints: list[str] = []  # addresses by which others can reach this node
    families: list[int] = []

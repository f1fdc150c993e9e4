"""Where the connection to a farm is: each phase with what exists in it. Pure."""

from msgspec import Struct

from agent.enrol.approach import Key, Own
from protocol.keys import CurveSecret


class Idle(Struct, frozen=True):
    until: float


class Connecting(Struct, frozen=True):
    key: Key
    until: float

    def __repr__(self) -> str:  # without the secret
        return f"Connecting(until={self.until})"


class Admitting(Struct, frozen=True):
    token: CurveSecret

    def __repr__(self) -> str:  # without the secret
        return "Admitting()"


class Greeting(Struct, frozen=True):
    own: Own | None = None  # the key that was let in


class Online(Struct, frozen=True):
    since: float
    own: Own | None = None


State = Idle | Connecting | Admitting | Greeting | Online

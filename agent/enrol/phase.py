"""Where the connection to a farm is: each phase with what exists in it. Pure."""

from dataclasses import dataclass, field

from agent.enrol.approach import Key, Own
from protocol.keys import CurveSecret


@dataclass(frozen=True, slots=True)
class Idle:
    until: float


@dataclass(frozen=True, slots=True)
class Connecting:
    key: Key = field(repr=False)
    until: float


@dataclass(frozen=True, slots=True)
class Admitting:
    token: CurveSecret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Greeting:
    own: Own | None = None  # the key that was let in


@dataclass(frozen=True, slots=True)
class Online:
    since: float
    own: Own | None = None


State = Idle | Connecting | Admitting | Greeting | Online

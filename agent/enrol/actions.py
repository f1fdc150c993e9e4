"""The values around the admission machine: what it is told of, and what it wants done. Pure."""

from dataclasses import dataclass, field

from protocol.keys import CurvePublic, CurveSecret
from protocol.messages import (
    WIRE_VERSION,
    Admit,
    Hello,
    Joined,
    NodeRequest,
    Rows,
    TokenRequest,
    Welcome,
)
from protocol.signed import Signed


@dataclass(frozen=True, slots=True)
class Controller:
    endpoint: str  # tcp://host:port
    key: CurvePublic


@dataclass(frozen=True, slots=True)
class Me:
    """What a node says of itself to every controller."""

    node: CurvePublic
    name: str
    version: str
    os: str
    generation: int

    def admit(self, number: int) -> Admit:
        return Admit(number, self.node, self.name, self.version, self.os)

    def hello(self, number: int, keyset: int) -> Hello:
        """`keyset`: the number of the newest one held."""
        return Hello(
            id=number,
            wire_version=WIRE_VERSION,
            name=self.name,
            client_version=self.version,
            client_os=self.os,
            generation=self.generation,
            keyset=keyset,
        )


@dataclass(frozen=True, slots=True)
class Presence:
    """What a node offers to one network."""

    wireguard: bytes
    endpoints: tuple[str, ...]
    families: tuple[int, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What is verified and stored of a network; all zero: nothing. `closed`: it was deleted."""

    serial: int = 0
    incarnation: int = 0
    epoch: int = 0
    revision: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """What a person should know, as an error would say it."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """A new socket, in place of any other; `token` None: with the node's own key, `next`: with the
    key that is to be its own.
    """

    controller: Controller
    token: CurveSecret | None = field(repr=False)
    next: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    pass


@dataclass(frozen=True, slots=True)
class Send:
    message: TokenRequest | NodeRequest


@dataclass(frozen=True, slots=True)
class Admitted:
    """`token` has done what it could: forget it."""

    token: CurveSecret = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The controller will not take `token`, now or ever."""

    token: CurveSecret = field(repr=False)
    problem: Problem


@dataclass(frozen=True, slots=True)
class Welcomed:
    """Let in with the own key. The keyset is as yet unverified."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class TakeKeys:
    """A keyset was pushed; as yet unverified. Answer with `holds` when it is stored."""

    keyset: Signed


@dataclass(frozen=True, slots=True)
class Turned:
    """The controller has let us in with the next key: the present one is worth nothing there."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """`network` wants to be joined: call `present` when its WireGuard key is on the disk."""

    network: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """For the overlay; answer with `hold` when it is stored."""

    message: Joined | Rows


@dataclass(frozen=True, slots=True)
class Left:
    network: str


@dataclass(frozen=True, slots=True)
class LearnTime:
    time_ms: int


Action = (
    Open
    | Close
    | Send
    | TakeKeys
    | Admitted
    | TokenRefused
    | Welcomed
    | Turned
    | Prepare
    | Deliver
    | Left
    | LearnTime
)

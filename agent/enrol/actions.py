"""The values around the admission machine: what it is told of, and what it wants done. Pure."""

from msgspec import Struct

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


class Controller(Struct, frozen=True):
    endpoint: str  # tcp://host:port
    key: CurvePublic

    @property
    def family(self) -> int | None:
        """4 or 6; None: a name may be either."""
        host = self.endpoint.removeprefix("tcp://").rpartition(":")[0]
        if host.startswith("["):
            return 6
        return 4 if host.replace(".", "").isdecimal() else None


class Me(Struct, frozen=True):
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


class Presence(Struct, frozen=True):
    """What a node offers to one network."""

    wireguard: bytes
    endpoints: tuple[str, ...]
    families: tuple[int, ...]
    port: int


class Holding(Struct, frozen=True):
    """What is verified and stored of a network; all zero: nothing. `closed`: it was deleted."""

    serial: int = 0
    incarnation: int = 0
    epoch: int = 0
    revision: int = 0
    closed: bool = False


class Problem(Struct, frozen=True):
    """What a person should know, as an error would say it."""

    message: str
    hint: str = ""


class Open(Struct, frozen=True):
    """A new socket, in place of any other; `token` None: with the node's own key, `next`: with the
    key that is to be its own.
    """

    controller: Controller
    token: CurveSecret | None
    next: bool = False

    def __repr__(self) -> str:  # without the secret
        return f"Open({self.controller}, next={self.next})"


class Close(Struct, frozen=True):
    pass


class Send(Struct, frozen=True):
    message: TokenRequest | NodeRequest


class Admitted(Struct, frozen=True):
    """`token` has done what it could: forget it."""

    token: CurveSecret

    def __repr__(self) -> str:  # without the secret
        return "Admitted()"


class TokenRefused(Struct, frozen=True):
    """The controller will not take `token`, now or ever."""

    token: CurveSecret
    problem: Problem

    def __repr__(self) -> str:  # without the secret
        return f"TokenRefused({self.problem})"


class Welcomed(Struct, frozen=True):
    """Let in with the own key. The keyset is as yet unverified."""

    welcome: Welcome


class TakeKeys(Struct, frozen=True):
    """A keyset was pushed; as yet unverified. Answer with `holds` when it is stored."""

    keyset: Signed


class Turned(Struct, frozen=True):
    """The controller has let us in with the next key: the present one is worth nothing there."""


class Prepare(Struct, frozen=True):
    """`network` wants to be joined: call `present` when its WireGuard key is on the disk."""

    network: str


class Deliver(Struct, frozen=True):
    """For the overlay; answer with `hold` when it is stored."""

    message: Joined | Rows


class Left(Struct, frozen=True):
    network: str


class LearnTime(Struct, frozen=True):
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

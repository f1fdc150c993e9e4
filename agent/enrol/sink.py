"""What enrolment hands over, and to whom: the overlay is one of these. Types only."""

from typing import Protocol

from msgspec import Struct

from agent.enrol.actions import Holding
from agent.enrol.endpoints import Surroundings
from protocol.keys import VerifyKey
from protocol.messages import Joined, Rows
from protocol.signed import Signed


class Trust(Struct, frozen=True):
    """In whom a network's members are believed: a keyset that `root` signed."""

    root: VerifyKey
    keyset: Signed


class Ask(Struct, frozen=True):
    """The rows above `revision`, after the key `after` of a transfer in pieces."""

    revision: int
    after: bytes = b""


class Sink(Protocol):
    """What is handed over is verified and stored when a call returns."""

    def holding(self, network: str) -> Holding:
        """What is stored of `network`."""

    def know_as(self, nodes: tuple[bytes, ...]) -> None:
        """The keys of this node: two while one gives way to the other."""

    def trust(self, trust: Trust) -> None:
        """A newer keyset."""

    def joined(self, trust: Trust, joined: Joined) -> Holding: ...

    def rows(self, rows: Rows) -> tuple[Holding, Ask | None]: ...

    def left(self, network: str) -> None:
        """Take it away, now."""

    def moved(self, surroundings: Surroundings) -> None:
        """This node has other addresses, or another MTU."""

    def restart(self) -> None:
        """An address is gone that others know us by: speak to all of them."""

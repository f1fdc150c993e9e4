"""A node's admission machine whose actions are collected, for timelines."""

from dataclasses import dataclass, field

from agent.enrol.actions import (
    Action,
    Controller,
    Holding,
    Me,
    Open,
    Presence,
    Send,
)
from agent.enrol.machine import Machine
from protocol.keys import CurvePublic, CurveSecret
from protocol.messages import (
    Hello,
    Join,
    Joined,
    Reply,
    Welcome,
)
from protocol.signed import Signed
from tests.agent.overlay.signing import NETWORK, SETTINGS

ME = Me(CurvePublic(b"n" * 32), "n1", "0.1.0", "linux", 7)
FIRST, SECOND = (Controller(f"tcp://192.0.2.{i}:1", CurvePublic(b"c" * 32)) for i in (1, 2))
TOKEN, OTHER = CurveSecret(b"t" * 32), CurveSecret(b"u" * 32)
SIGNED = Signed(b"", b"s" * 8, b"s" * 64)
OFFER = Presence(b"w" * 32, ("192.0.2.9:51820",), (4,), 51820)
HELD = Holding(serial=3, incarnation=1, epoch=2, revision=5)


@dataclass
class Node:
    """A machine whose actions are collected."""

    machine: Machine
    done: list[Action] = field(default_factory=list)

    def take(self) -> list[Action]:
        new = self.machine.actions()
        self.done += new
        return new

    def sent(self) -> list[object]:
        return [action.message for action in self.take() if isinstance(action, Send)]

    def opened(self) -> list[CurveSecret | None]:
        return [action.token for action in self.take() if isinstance(action, Open)]

    def answer(self, kind: type[object], reply: Reply, now: float) -> None:
        """`reply`, with the number of the newest request of `kind`."""
        import msgspec

        asked = [m for m in self._messages() if isinstance(m, kind)]
        number = getattr(asked[-1], "id", 0)
        self.machine.received(msgspec.structs.replace(reply, id=number), now)

    def _messages(self) -> list[object]:
        self.take()
        return [action.message for action in self.done if isinstance(action, Send)]


def node(
    *,
    admitted: bool = False,
    controllers: tuple[Controller, ...] = (FIRST, SECOND),
    fraction: float = 0.5,
) -> Node:
    return Node(Machine(ME, controllers, admitted=admitted, fraction=lambda: fraction))


def welcome(*networks: str) -> Welcome:
    return Welcome(0, 1_790_000_000_000, "0123456789", SIGNED, networks, "203.0.113.9")


def joined(revision: int = 5) -> Joined:
    return Joined(0, NETWORK, 1_790_000_000_000, SETTINGS, SIGNED, SIGNED, revision)


def online(*networks: str, fraction: float = 0.5) -> Node:
    """An admitted node that was let in at 0; nothing is asked about its networks yet."""
    who = node(admitted=True, fraction=fraction)
    who.machine.start(0)
    who.machine.shaken(0)
    who.answer(Hello, welcome(*networks), 0)
    who.take()
    return who


def member(*, fraction: float = 0.5) -> Node:
    """Joined and stored, at 0."""
    who = online(NETWORK, fraction=fraction)
    who.machine.present(NETWORK, OFFER, 0)
    who.answer(Join, joined(), 0)
    who.machine.hold(NETWORK, HELD)
    who.take()
    return who

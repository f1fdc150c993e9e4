"""The sockets of administration: one request, one answer, some of them later.

    admins.answer(now_ms, now)      in each turn of the loop

Who asks for what has not happened yet is answered when something did, or when it has waited enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import zmq

from controller.front import sockets
from controller.verbs.dispatch import answer
from controller.verbs.office import NotYetError, Office
from controller.verbs.watch import mark

BATCH = 16
PATIENT_MAX = 64  # who waits; more are answered at once

ActorOf = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A request without an answer. Who asked is looked up again: a key may go meanwhile."""

    router: "zmq.Socket[bytes]"
    actor_of: ActorOf
    routing: bytes
    frame: Any
    until: float = float("inf")


class Admins:
    """`doors`: each socket, and who it is that speaks there."""

    def __init__(
        self, office: Office, doors: Sequence[tuple["zmq.Socket[bytes]", ActorOf]]
    ) -> None:
        self._office, self._doors = office, doors
        self._waiting: list[Waiting] = []
        self._told = mark(office)

    def answer(self, now_ms: int, now: float) -> None:
        for router, actor_of in self._doors:
            for _ in range(BATCH):
                message = sockets.receive(router)
                if message is None:
                    break
                routing, frame = message
                if frame:
                    self._try(Waiting(router, actor_of, routing, frame), now_ms, now)
        self._again(now_ms, now)

    def _again(self, now_ms: int, now: float) -> None:
        """Whoever waits, when something happened or the time is over."""
        told, self._told = self._told, mark(self._office)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if self._told != told or now >= one.until:
                self._try(one, now_ms, now)
            else:
                self._waiting.append(one)

    def _try(self, asked: Waiting, now_ms: int, now: float) -> None:
        patient = now < asked.until and len(self._waiting) < PATIENT_MAX
        actor = asked.actor_of(asked.frame)
        data = asked.frame.bytes
        try:
            said = answer(self._office, data, now_ms, now, actor=actor, patient=patient)
        except NotYetError as error:
            self._waiting.append(replace(asked, until=min(asked.until, now + error.wait)))
        else:
            sockets.send(asked.router, asked.routing, said)

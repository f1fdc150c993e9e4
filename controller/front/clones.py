"""A key that lives twice, because somebody copied a node's disk: how it is told from a reconnect.

    number = clones.question(key, routing, observed, now)    # ask this on the older connection
    older = clones.answered(key, routing, number)            # it lives: there are two

A node closes its connection before it opens another. So when one says hello while an older connection of
its key may still be open, that one is asked something: only a second machine can answer. A reboot, a
lost network and a killed process leave nobody who could. Pure.
"""

from collections import OrderedDict
from dataclasses import dataclass

PATIENCE = 20.0  # seconds; then the older connection is dead in any case
ASKED_MAX = 4096
_NUMBERS = 2**32


@dataclass(frozen=True, slots=True)
class Older:
    key: bytes
    observed: str
    number: int
    asked_at: float


class Clones:
    def __init__(self) -> None:
        self._asked: OrderedDict[bytes, Older] = OrderedDict()  # by routing id, oldest first
        self._last = 0

    def question(self, key: bytes, routing: bytes, observed: str, now: float) -> int:
        """The number of a ping for the older connection, not 0."""
        for old in list(self._asked):
            if len(self._asked) < ASKED_MAX and now - self._asked[old].asked_at < PATIENCE:
                break
            del self._asked[old]
        self._last = self._last % _NUMBERS + 1
        self._asked[routing] = Older(key, observed, self._last, now)
        return self._last

    def answered(self, key: bytes, routing: bytes, number: int) -> Older | None:
        """The connection that was asked this, once."""
        older = self._asked.get(routing)
        if older is None or (older.key, older.number) != (key, number):
            return None
        return self._asked.pop(routing)

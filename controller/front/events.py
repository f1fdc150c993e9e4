"""What happened to connections lately: a ring of the last ones, numbered, lost with the process.

    events.note("connected", node, "198.51.100.7", now)
    events.after(number, limit)      # those behind `number`, as far as the ring still has them

What must not be lost is in the audit log; `ncadm watch` shows both.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice

KEPT = 4096


@dataclass(frozen=True, slots=True)
class Happened:
    number: int
    at: float
    what: str
    node: int
    detail: str


class Events:
    """`count`: the number of the last one."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[Happened] = deque(maxlen=kept)
        self.count = 0

    def note(self, what: str, node: int, detail: str, now: float) -> None:
        self.count += 1
        self._ring.append(Happened(self.count, now, what, node, detail))

    def after(self, number: int, limit: int) -> list[Happened]:
        """Oldest first."""
        skip = max(0, number - self.count + len(self._ring))
        return list(islice(self._ring, skip, skip + limit))

    def since(self, moment: float) -> int:
        """The number that everything since `moment` comes behind."""
        early = (one.number for one in reversed(self._ring) if one.at < moment)
        return next(early, self.count - len(self._ring))

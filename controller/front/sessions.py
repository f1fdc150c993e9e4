"""Which nodes are connected, since when they are silent, and which revisions they hold.

A session begins with Hello: the newest connection of a key is the one that pushes go to. Sessions lie in
the order in which they were last heard, so that looking for silent ones touches only those.
"""

from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from controller.front.events import Events

PING_AFTER = 10.0  # seconds of silence
DEAD_AFTER = 20.0
REPEAT_KEYSET = 2.0  # at first, without an acknowledgement; then ever more slowly


@dataclass(slots=True)
class Watch:
    """What a node holds of one network, and what is on its way."""

    acked: int
    sent: int = 0
    sent_at: float = 0.0


@dataclass(slots=True)
class Session:
    key: bytes
    routing: bytes
    node: int
    observed: str
    heard: float
    since: float = 0.0
    pinged: bool = False
    keyset: int = 0  # the number of the newest that it holds
    keyset_at: float = 0.0  # when it is told again, and after how long once more
    keyset_pause: float = REPEAT_KEYSET
    watches: dict[int, Watch] = field(default_factory=dict)


class Sessions:
    """`events` tells who came and went."""

    def __init__(self) -> None:
        self._all: OrderedDict[bytes, Session] = OrderedDict()
        self._watchers: dict[int, dict[bytes, Session]] = {}
        self._now = 0.0  # when somebody was last heard or looked for
        self.events = Events()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all.values()))

    def get(self, key: bytes) -> Session | None:
        return self._all.get(key)

    def begin(
        self, key: bytes, routing: bytes, node: int, observed: str, now: float, *, keyset: int = 0
    ) -> Session:
        """A node said hello; what an older connection of it held is forgotten."""
        before = self._drop(key)
        if before is None or before.routing != routing:
            what = "connected" if before is None else "reconnected"
            self.events.note(what, node, f"from {observed}", now)
        session = Session(key, routing, node, observed, heard=now, since=now, keyset=keyset)
        session.keyset_at = now + REPEAT_KEYSET  # Welcome has the newest
        self._all[key] = session
        self._now = now
        return session

    def end(self, key: bytes) -> None:
        session = self._drop(key)
        if session is not None:
            silent = max(0.0, self._now - session.heard)
            detail = f"silent for {silent:.0f} s" if silent >= PING_AFTER else ""
            self.events.note("disconnected", session.node, detail, self._now)

    def _drop(self, key: bytes) -> Session | None:
        session = self._all.pop(key, None)
        if session is not None:
            for number in session.watches:
                self._watchers[number].pop(key, None)
        return session

    def hear(self, key: bytes, routing: bytes, now: float) -> Session | None:
        """The session that this message belongs to; None for an older or unannounced connection."""
        session = self._all.get(key)
        if session is None or session.routing != routing:
            return None
        session.heard, session.pinged = now, False
        self._now = now
        self._all.move_to_end(key)
        return session

    def watch(self, session: Session, number: int, revision: int) -> Watch:
        """The node said which revision it holds; from now on it is pushed what is above."""
        watch = session.watches.get(number)
        if watch is None:
            watch = session.watches[number] = Watch(revision)
            self._watchers.setdefault(number, {})[session.key] = session
        else:
            watch.acked = revision
        watch.sent = max(watch.acked, watch.sent)
        return watch

    def unwatch(self, key: bytes, number: int) -> None:
        session = self._all.get(key)
        if session is not None and session.watches.pop(number, None) is not None:
            self._watchers[number].pop(key, None)

    def watch_only(self, numbers: Container[int]) -> None:
        """Nobody watches other networks any more."""
        for number in self.watched():
            if number not in numbers:
                for session in self.watchers(number):
                    self.unwatch(session.key, number)

    def watchers(self, number: int) -> list[Session]:
        return list(self._watchers.get(number, {}).values())

    def watched(self) -> list[int]:
        return [number for number, sessions in self._watchers.items() if sessions]

    def silent(self, now: float) -> Iterator[Session]:
        """Sessions that are due a ping, longest silent first."""
        for session in self._all.values():
            if now - session.heard < PING_AFTER:
                return
            if not session.pinged:
                yield session

    def dead(self, now: float) -> list[Session]:
        """Sessions that answered nothing for too long."""
        self._now = now
        found = []
        for session in self._all.values():
            if now - session.heard < DEAD_AFTER:
                break
            found.append(session)
        return found

    def stale(self, now: float) -> tuple[int, float]:
        """How many are silent for so long that they were pinged, and the longest silence."""
        count = 0
        for session in self._all.values():
            if now - session.heard < PING_AFTER:
                break
            count += 1
        oldest = next(iter(self._all.values()), None)
        return count, max(0.0, now - oldest.heard) if oldest else 0.0

"""Which nodes are connected, since when they are silent, and which revisions they hold.

A session begins with Hello: the newest connection of a key is the one that pushes go to. Sessions lie in
the order in which they were last heard, so that looking for silent ones touches only those.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

PING_AFTER = 10.0  # seconds of silence
DEAD_AFTER = 20.0


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
    pinged: bool = False
    watches: dict[int, Watch] = field(default_factory=dict)


class Sessions:
    def __init__(self) -> None:
        self._all: OrderedDict[bytes, Session] = OrderedDict()
        self._watchers: dict[int, dict[bytes, Session]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all.values()))

    def get(self, key: bytes) -> Session | None:
        return self._all.get(key)

    def begin(self, key: bytes, routing: bytes, node: int, observed: str, now: float) -> Session:
        """A node said hello; what an older connection of it held is forgotten."""
        self.end(key)
        session = Session(key, routing, node, observed, heard=now)
        self._all[key] = session
        return session

    def end(self, key: bytes) -> None:
        session = self._all.pop(key, None)
        if session is not None:
            for number in session.watches:
                self._watchers[number].pop(key, None)

    def hear(self, key: bytes, routing: bytes, now: float) -> Session | None:
        """The session that this message belongs to; None for an older or unannounced connection."""
        session = self._all.get(key)
        if session is None or session.routing != routing:
            return None
        session.heard, session.pinged = now, False
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
        found = []
        for session in self._all.values():
            if now - session.heard < DEAD_AFTER:
                break
            found.append(session)
        return found

"""When and from where nodes were last heard: written lazily, a part at each tick, each node once a round.

All of them at once would keep everybody waiting: 10 000 rows are a tenth of a second.
"""

from collections import deque
from itertools import islice

from sqlalchemy import Connection, bindparam

from controller.front.sessions import Sessions
from controller.store.model import NODE

ROUND = 60.0  # seconds
AT_ONCE = 200  # rows, or as many more as a round needs

_SEEN = (
    NODE.update()
    .where(NODE.c.id == bindparam("node"))
    .values(last_seen=bindparam("at"), last_at=bindparam("from"))
)


class Seen:
    """`heard`: what is not written yet of nodes that may be away by now: when (ms), from where."""

    def __init__(
        self, connection: Connection, sessions: Sessions, heard: dict[int, tuple[int, str]]
    ) -> None:
        self._connection, self._sessions, self._heard = connection, sessions, heard
        self._queue: deque[bytes] = deque()
        self._round_at = 0.0

    def keep(self, now_ms: int, now: float) -> None:
        """The next part; called each second."""
        if now >= self._round_at:
            self._round_at = now + ROUND
            self._queue = deque(session.key for session in self._sessions)
        count = max(AT_ONCE, 2 * len(self._sessions) // int(ROUND))
        for _ in range(min(count, len(self._queue))):
            self._hear(self._queue.popleft(), now_ms)
        self._write(count)

    def keep_all(self, now_ms: int) -> None:
        for session in self._sessions:
            self._hear(session.key, now_ms)
        self._write(len(self._heard))

    def begin(self, now: float) -> None:
        """The first round is a round away."""
        self._round_at = now + ROUND

    def _hear(self, key: bytes, now_ms: int) -> None:
        session = self._sessions.get(key)
        if session is not None:
            self._heard[session.node] = (now_ms, session.observed)

    def _write(self, count: int) -> None:
        some = dict(islice(self._heard.items(), count))
        if some:
            rows = [{"node": n, "at": at, "from": where} for n, (at, where) in some.items()]
            self._connection.execute(_SEEN, rows)
            self._connection.commit()
            for node in some:
                del self._heard[node]

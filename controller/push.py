"""Changes on their way to connected members.

    push.changed(update, now)     after each commit
    push.run(now)                 sends what is due; `deadline` says when it is next
    push.acked(session, number)   sends the next piece, if the node is still behind

A node has one push under way: the rows above what it acknowledged; while it is silent more changes
gather, and the next push carries them all. The first change after a quiet time goes at once, more
within COALESCE wait for each other. A push that was not taken or not acknowledged is repeated.
"""

from collections.abc import Callable

from controller.membership import WAIT, JoinedLater, joined
from controller.netmap import Update, encode_piece
from controller.records import State
from controller.registry import Registry
from controller.sessions import Session, Sessions
from protocol.messages import Rows, Waiting, encode

COALESCE = 0.03  # seconds
REPEAT = 2.0  # without an acknowledgement


class Push:
    """`send(routing, frame)` says whether the frame was taken."""

    def __init__(
        self, registry: Registry, sessions: Sessions, send: Callable[[bytes, bytes], bool]
    ) -> None:
        self._registry, self._sessions, self._send = registry, sessions, send
        self._due: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._repeat_at = 0.0
        self.count = 0

    @property
    def deadline(self) -> float | None:
        """When `run` should be called; None while nothing is due."""
        return min(self._due.values(), default=None)

    def is_due(self, number: int) -> bool:
        """Members of this network wait to be told of a change."""
        return number in self._due

    def changed(self, update: Update, now: float) -> None:
        number = update.network.number
        self._due.setdefault(number, max(now, self._last.get(number, 0.0) + COALESCE))
        for key, _ in update.gone:
            self._farewell(number, key)

    def run(self, now: float) -> None:
        for number in [n for n, at in self._due.items() if at <= now]:
            del self._due[number]
            self._last[number] = now
            for session in self._sessions.watchers(number):
                self.advance(session, number, now)
        if now >= self._repeat_at:
            self._repeat_at = now + REPEAT
            for number in self._sessions.watched():
                for session in self._sessions.watchers(number):
                    self.advance(session, number, now)

    def advance(self, session: Session, number: int, now: float) -> None:
        """Send what this node lacks, unless it is up to date or has not answered the last one."""
        watch = session.watches.get(number)
        netmap = self._registry.netmap(number)
        if watch is None or watch.acked >= netmap.head:
            return
        if watch.sent > watch.acked and now - watch.sent_at < REPEAT:
            return
        if session.key not in netmap.entries:
            self._sessions.unwatch(session.key, number)
            return
        piece = netmap.piece(watch.acked)
        frame = encode_piece(piece, self._registry.network_id(number), watch.acked)
        if self._send(session.routing, frame):
            watch.sent, watch.sent_at = piece.revision, now
            self.count += 1

    def certificate(self, key: bytes, number: int, now_ms: int) -> None:
        """Give a connected member its own place anew: an operator changed it, or the network."""
        session = self._sessions.get(key)
        if session is not None and key in self._registry.netmap(number).entries:
            later = JoinedLater(0, number, key)
            self._send(session.routing, encode(joined(self._registry, later, now_ms)))

    def wake(self, key: bytes, number: int, state: State) -> None:
        """Tell a node that is connected how its membership stands now."""
        session = self._sessions.get(key)
        if session is not None:
            retry = 0.0 if state == State.AUTHORIZED else WAIT
            network_id = self._registry.network_id(number)
            self._send(session.routing, encode(Waiting(0, network_id, state, retry)))

    def _farewell(self, number: int, key: bytes) -> None:
        """Whoever loses its place gets the state that says so, and nothing after it."""
        session = self._sessions.get(key)
        if session is None:
            return
        self._sessions.unwatch(key, number)
        netmap = self._registry.netmap(number)
        last = Rows(
            id=0,
            network=self._registry.network_id(number),
            since=netmap.head,
            revision=netmap.head,
            full=False,
            rows=(),
            gone=(key,),
            state=netmap.state,
        )
        self._send(session.routing, encode(last))

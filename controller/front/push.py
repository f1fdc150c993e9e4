"""Changes on their way to connected members.

    push.changed(update, now)     after each commit
    push.run(now)                 sends what is due; `deadline` says when it is next
    push.acked(session, number)   sends the next piece, if the node is still behind

A node has one push under way: the rows above what it acknowledged; while it is silent more changes
gather, and the next push carries them all. The first change after a quiet time goes at once, more
within COALESCE wait for each other. A push that was not taken or not acknowledged is repeated.
Only those are looked at whom a change concerns, and those who have not acknowledged.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.front.sessions import REPEAT_KEYSET, Session, Sessions
from controller.members.membership import WAIT, JoinedLater, farewell, joined
from controller.netmap.netmap import Update
from controller.registry import Registry
from controller.store.records import Network, State
from controller.store.work import Dismissal
from protocol.messages import Keys, Ping, Refused, Rows, Waiting, encode

COALESCE = 0.03  # seconds
REPEAT = 2.0  # without an acknowledgement
KEYSET_LAST = 60.0


@dataclass(slots=True)
class _Due:
    """Whom a network's changes concern; `everybody` who watches it, or these keys."""

    at: float
    everybody: bool = False
    keys: set[bytes] = field(default_factory=set)


class Push:
    """`send(routing, frame)` says whether the frame was taken."""

    def __init__(
        self, registry: Registry, sessions: Sessions, send: Callable[[bytes, bytes], bool]
    ) -> None:
        self._registry, self._sessions, self._send = registry, sessions, send
        self._due: dict[int, _Due] = {}
        self._last: dict[int, float] = {}
        self._behind: dict[tuple[int, bytes], None] = {}  # told and not answered, or not even told
        self._repeat_at = 0.0
        self.count = 0

    @property
    def deadline(self) -> float | None:
        """When `run` should be called; None while nothing is due."""
        return min((due.at for due in self._due.values()), default=None)

    def is_due(self, number: int) -> bool:
        """Members of this network wait to be told of a change."""
        return number in self._due

    def changed(self, update: Update, now: float) -> None:
        """After the registry has absorbed it."""
        number = update.network.number
        at = max(now, self._last.get(number, 0.0) + COALESCE)
        due = self._due.setdefault(number, _Due(at))
        audience = self._registry.netmap(number).audience(update)
        if audience is None:
            due.everybody = True
        elif not due.everybody:
            due.keys |= audience
        for key, _ in update.gone:
            self._farewell(number, key)

    def run(self, now: float) -> None:
        for number in [n for n, due in self._due.items() if due.at <= now]:
            due = self._due.pop(number)
            self._last[number] = now
            if due.everybody:
                concerned = self._sessions.watchers(number)
            else:
                concerned = [s for key in due.keys if (s := self._sessions.get(key)) is not None]
            for session in concerned:
                self.advance(session, number, now)
        if now >= self._repeat_at:
            self._repeat_at = now + REPEAT
            self.keyset(now)
            for number, key in list(self._behind):
                self._repeat(number, key, now)

    def advance(self, session: Session, number: int, now: float) -> None:
        """Send what this node lacks, unless it is up to date or has not answered the last one."""
        watch = session.watches.get(number)
        if watch is None:
            return
        netmap = self._registry.netmap(number)
        if not netmap.is_behind(session.key, watch.acked):
            return
        self._behind[(number, session.key)] = None
        if watch.sent > watch.acked and now - watch.sent_at < REPEAT:
            return
        piece = netmap.piece(session.key, watch.acked)
        if self._send(session.routing, piece.frame()):
            watch.sent, watch.sent_at = piece.revision, now
            self.count += 1

    def keyset(self, now: float, *, new: bool = False) -> None:
        """To all who do not hold the newest one, until they say that they do."""
        number = self._registry.keyset_number
        behind = [s for s in self._sessions if s.keyset < number and (new or s.keyset_at <= now)]
        frame = encode(Keys(0, self._registry.keyset)) if behind else b""
        for session in behind:
            pause = REPEAT_KEYSET if new else session.keyset_pause
            session.keyset_at, session.keyset_pause = now + pause, min(2 * pause, KEYSET_LAST)
            self._send(session.routing, frame)

    def _repeat(self, number: int, key: bytes, now: float) -> None:
        session = self._sessions.get(key)
        watch = session.watches.get(number) if session is not None else None
        netmap_of = self._registry.netmap  # nobody watches a network that is gone
        if session is None or watch is None or not netmap_of(number).is_behind(key, watch.acked):
            del self._behind[(number, key)]
        else:
            self.advance(session, number, now)

    def certificate(self, key: bytes, number: int, now_ms: int) -> None:
        """Give a connected member its own place anew: an operator changed it, or the network."""
        session = self._sessions.get(key)
        if session is not None and self._registry.netmap(number).entry(key) is not None:
            later = JoinedLater(0, number, key)
            self._send(session.routing, encode(joined(self._registry, later, now_ms)))

    def ask(self, routing: bytes, number: int) -> None:
        """A ping on this very connection."""
        self._send(routing, encode(Ping(number)))

    def turn_away(self, routing: bytes, key: bytes, why: Dismissal) -> None:
        """Another connection of this key goes on instead of this one."""
        said = f"cannot talk to this node: {why.why}"
        self._send(routing, encode(Refused(0, why.code, said, why.hint)))
        session = self._sessions.get(key)
        if session is not None and session.routing == routing:
            self._sessions.end(key)

    def dismiss(self, key: bytes, why: Dismissal | None) -> None:
        """The session of this key is over; an honest client closes the connection when told why."""
        session = self._sessions.get(key)
        if session is None:
            return
        if why is not None:
            said = f"cannot talk to this node: {why.why}"
            self._send(session.routing, encode(Refused(0, why.code, said, why.hint)))
        self._sessions.end(key)

    def wake(self, key: bytes, number: int, state: str) -> None:
        """Tell a node that is connected how its membership stands now."""
        session = self._sessions.get(key)
        if session is not None:
            retry = 0.0 if state == State.AUTHORIZED else WAIT
            network_id = self._registry.network_id(number)
            self._send(session.routing, encode(Waiting(0, network_id, state, retry)))

    def closed(self, session: Session, network: Network) -> bool:
        """The network was deleted: its last state. Whether the frame was taken."""
        self._sessions.unwatch(session.key, network.number)
        frame = encode(farewell(self._registry, network, session.key))
        return self._send(session.routing, frame)

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
            state=netmap.state(key, gone=True),
        )
        self._send(session.routing, encode(last))

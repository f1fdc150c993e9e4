"""Requests of nodes, a batch at a time: decode, handle, one transaction, answers.

    desk.take(routing, frame, now)          → queued, or answered at once (busy, nonsense)
    desk.work_off(now_ms, now)              → the answers of up to BATCH requests, after their commit
    desk.transact(do, now_ms, now)          the same transaction for one change by an operator

A batch that fails is rolled back and taken message by message, so one bad message costs only itself.
"""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from controller.front.clones import Clones
from controller.front.handlers import Outcome, handle
from controller.front.push import Push
from controller.front.rates import CLASH, Rates
from controller.front.request import KINDS, WRITING, Request, payer, read_request
from controller.front.sessions import Session, Sessions, Watch
from controller.front.storage import StorageFullError, storage_error
from controller.members import membership
from controller.members.copies import note_copy
from controller.members.membership import JoinedLater
from controller.members.publish import finish
from controller.netmap.netmap import Netmap
from controller.refusal import DamagedError, RefusedError
from controller.registry import Registry
from controller.store.shelf import ClashError, TakenError
from controller.store.work import Dismissal, Work
from protocol.messages import (
    Ack,
    AckKeys,
    Admit,
    Code,
    FetchRows,
    Hello,
    MessageError,
    Mint,
    Ping,
    Pong,
    Refresh,
    Refused,
    Unchanged,
    Welcome,
    encode,
)
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 256  # publish counts on it: fewer floors than a state has room for
WAITING_MAX = 2048  # requests that were read and not yet handled; more are told to come later
BUSY_FOR = 1.0  # seconds
COMPLAIN_EACH = 60.0

COPIED = Dismissal(
    Code.CLONED,
    "another machine has come with its key, and goes on in its place",
    "one is a copy of the other's disk; on the copy: zosnet-agent reset --forget",
)


class Desk:
    def __init__(self, registry: Registry, sessions: Sessions, push: Push) -> None:
        self.registry, self.sessions, self.push = registry, sessions, push
        self.rates = Rates()
        self.clones = Clones()
        self.counts: Counter[str] = Counter()
        self._waiting: deque[Request] = deque()
        self._deferred: list[Request] = []
        self._complained_at = float("-inf")
        self.seen: dict[int, tuple[int, str]] = {}  # node: when (ms), from where
        self.over: set[bytes] = set()  # routing ids that were told that their key opens nothing
        registry.idle.is_online = lambda node: (
            node.id in self.seen or sessions.get(node.key) is not None
        )

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, routing: bytes, frame: Any, now: float) -> bytes | None:
        """Queue a frame; or the answer, when it gets one at once."""
        user = frame.get("User-Id") if frame else ""
        who = payer(routing, user)
        purse = self.rates.purse(who, now)
        if not purse.may_speak:
            self.counts["flood"] += 1
            return None
        try:
            request = read_request(routing, user, who, frame)
        except MessageError as error:
            self.counts["nonsense"] += 1
            purse.spend(1.0)
            log.debug("frame dropped", extra={"user": user[:10], "reason": str(error)})
            return None
        kind, cost = KINDS[type(request.message)]
        self.counts[kind] += 1
        self.sessions.hear(request.key, routing, now)
        number = getattr(request.message, "id", None)
        too_fast = not purse.spend(cost)
        if number is not None and (too_fast or len(self._waiting) >= WAITING_MAX):
            self.counts["busy"] += 1
            return encode(_busy(number))
        if too_fast or len(self._waiting) >= 2 * WAITING_MAX:
            return None
        self._waiting.append(request)
        return None

    def work_off(self, now_ms: int, now: float) -> list[tuple[bytes, bytes]]:
        """(routing id, frame) of the answers to the next requests."""
        count = min(BATCH, len(self._waiting))
        requests = [self._waiting.popleft() for _ in range(count)]
        answers, rest = self._settle(requests, now_ms, now)
        writing = [r for r in rest if type(r.message) in WRITING]
        outcomes = self._write(writing, now_ms, now)
        for request, outcome in zip(writing, outcomes, strict=True):
            self._follow(request, outcome, now_ms, now)
            answers.append((request.routing, self._encode(outcome, now_ms)))
        reading = [r for r in rest if type(r.message) not in WRITING]
        return answers + self._read_all(reading, now_ms, now)

    def answer_deferred(self, now_ms: int, now: float) -> list[tuple[bytes, bytes]]:
        """Rows for newcomers, once those who were there have been told of them."""
        deferred, self._deferred = self._deferred, []
        return self._read_all(deferred, now_ms, now)

    def transact(self, do: Callable[[Work], T], now_ms: int, now: float) -> T:
        """Everything `do` puts, in one transaction. Raises what `do` raises, and ClashError."""
        registry = self.registry
        try:
            work = registry.batch(now_ms)
            if registry.edited:  # of networks that are gone or damaged nobody is told
                self.sessions.watch_only(registry.networks)
            result = do(work)
            updates = finish(registry, work)
            head = work.flush(registry.audit_head)
            self.commit()
        except DBAPIError as error:
            self._undo()
            problem = storage_error(error)
            self._complain(problem, now)
            raise problem from error
        except BaseException as error:
            self._undo(reload=isinstance(error, TakenError))
            raise
        registry.absorb(work, updates, head)
        for update in updates:
            self.push.changed(update, now)
        for key, why in work.dismissed.items():
            self.push.dismiss(key, why)
        return result

    def look(self, now_ms: int, now: float) -> None:
        """Whether somebody else has written into the database: then memory is built anew, and the
        audit log says so.
        """
        if self.registry.is_edited():
            with contextlib.suppress(StorageFullError):  # the log has it
                self.transact(lambda _: None, now_ms, now)

    def commit(self) -> None:
        """From here on it survives a power cut."""
        self.registry.connection.commit()

    def _complain(self, problem: CannotError, now: float) -> None:
        """In the log once a minute: nodes go on asking while the disk is full."""
        if now >= self._complained_at + COMPLAIN_EACH:
            self._complained_at = now
            log.error(with_hint(problem.message, problem.hint))

    def _undo(self, *, reload: bool = False) -> None:
        self.registry.connection.rollback()
        self.registry.distrust(reload=reload)

    def _write(self, requests: Sequence[Request], now_ms: int, now: float) -> list[Outcome]:
        if not requests:
            return []
        try:
            return self.transact(lambda work: self._handle_all(work, requests), now_ms, now)
        except StorageFullError as error:
            return [error.reply(r.id) for r in requests]
        except Exception as error:  # a message that hits a bug of ours costs only itself
            if isinstance(error, CannotError) and not isinstance(error, DamagedError):
                raise
            if len(requests) == 1:
                return [self._alone(requests[0], error, now_ms, now)]
            log.info("batch taken apart", extra={"size": len(requests), "reason": str(error)})
        half = len(requests) // 2  # one that clashes costs the others some commits, not one each
        first = self._write(requests[:half], now_ms, now)
        return first + self._write(requests[half:], now_ms, now)

    def _alone(self, request: Request, error: Exception, now_ms: int, now: float) -> Outcome:
        """A message that failed by itself: once more when it clashed, then it is refused."""
        number = request.id
        if isinstance(error, DamagedError):
            return error.reply(number)
        if not isinstance(error, ClashError):
            log.error("message failed", exc_info=error)
            return RefusedError(Code.INTERNAL, "cannot do this: see the controller's log").reply(
                number
            )
        try:
            return self.transact(lambda work: self._handle_all(work, [request]), now_ms, now)[0]
        except ClashError as clash:
            log.warning("message clashes", extra={"reason": str(clash)})
            self.rates.purse(request.who, now).fine(CLASH)
            return RefusedError(
                Code.CONFLICT, "cannot do this: another member has the same key or address"
            ).reply(number)

    def _handle_all(self, work: Work, requests: Sequence[Request]) -> list[Outcome]:
        keys = {r.key for r in requests if type(r.message) is not Admit}
        admits = [r for r in requests if isinstance(r.message, Admit)]
        newcomers = {r.message.node for r in admits if isinstance(r.message, Admit)}
        work.prefetch(keys | newcomers, {r.key for r in admits})
        unknown = [key for key in newcomers if work.node(key) is None]
        work.prefetch_ids(self.registry.numbering.likely(unknown))
        return [handle(self.registry, work, r) for r in requests]

    def _settle(
        self, requests: Sequence[Request], now_ms: int, now: float
    ) -> tuple[list[tuple[bytes, bytes]], list[Request]]:
        """The answers to refreshes that find nothing new, and all other requests: those need a look
        into the database, and these do not. Not of those who ask for more in this batch, as that
        might change it.
        """
        asked = Counter([r.key for r in requests])
        answers, rest = [], []
        for request in requests:
            frame = None
            if type(request.message) is Refresh and asked[request.key] == 1:
                frame = self._unchanged(request, request.message, now_ms, now)
            if frame is None:
                rest.append(request)
            else:
                answers.append((request.routing, frame))
        return answers, rest

    def _unchanged(
        self, request: Request, message: Refresh, now_ms: int, now: float
    ) -> bytes | None:
        key, number = request.key, self.registry.number_of(message.network)
        netmap = self.registry.netmap(number) if number is not None else None
        if netmap is None or not membership.is_unchanged(
            netmap, key, message, self.registry.incarnation, now_ms
        ):
            return None
        session = self.sessions.get(key)
        if session is not None and session.routing == request.routing:
            self._holds(session, netmap, message.revision, now)
        return encode(Unchanged(message.id, message.network, now_ms))

    def _follow(self, request: Request, outcome: Outcome, now_ms: int, now: float) -> None:
        """What a committed answer means for the session."""
        match request.message, outcome:
            case Hello() as message, Welcome():
                node = int(outcome.address, 16)
                self._ask_older(request, now)
                self.sessions.begin(
                    request.key,
                    request.routing,
                    node,
                    request.observed,
                    now,
                    keyset=message.keyset,
                )
                self.seen[node] = (now_ms, request.observed)
            case Refresh() as message, JoinedLater() | Unchanged():
                self._watch(request, message.network, message.revision, now)
            case _, Refused() if _is_over(request, outcome):
                self.over.add(request.routing)
            case _:
                pass

    def _read_all(
        self, requests: Sequence[Request], now_ms: int, now: float
    ) -> list[tuple[bytes, bytes]]:
        if requests:
            self.look(now_ms, now)
        frames = ((r.routing, self._read(r, now_ms, now)) for r in requests)
        return [(routing, frame) for routing, frame in frames if frame is not None]

    def _read(self, request: Request, now_ms: int, now: float) -> bytes | None:
        """What needs no transaction."""
        match request.message:
            case Ping(id=number):
                return encode(Pong(number, now_ms))
            case FetchRows() as message:
                return self._rows(request, message, now)
            case Ack() as message:
                self._watch(request, message.network, message.revision, now)
                return None
            case Pong(id=number) if number:
                self._heard_twice(request, number, now_ms, now)
                return None
            case AckKeys(number):
                session = self.sessions.hear(request.key, request.routing, now)
                if session is not None:
                    session.keyset = number
                return None
            case _:
                return None

    def _ask_older(self, request: Request, now: float) -> None:
        """Before a new connection takes the place of one that may be open."""
        older = self.sessions.get(request.key)
        if older is not None and older.routing != request.routing:
            number = self.clones.question(request.key, older.routing, older.observed, now)
            self.push.ask(older.routing, number)

    def _heard_twice(self, request: Request, number: int, now_ms: int, now: float) -> None:
        """The older of two connections answers, so there are two nodes: the newer goes on."""
        older = self.clones.answered(request.key, request.routing, number)
        if older is None:
            return
        newer = self.sessions.get(request.key)
        where = newer.observed if newer is not None else "elsewhere"

        def mark(work: Work) -> None:
            node = work.node(request.key)
            if node is not None:
                how = f"two at once: from {older.observed} and, later, from {where}, which goes on"
                note_copy(self.registry, work, node, how)

        self.transact(mark, now_ms, now)
        log.warning("node lives twice", extra={"node": request.key.hex()[:12]})
        self.push.turn_away(request.routing, request.key, COPIED)
        self.over.add(request.routing)

    def _rows(self, request: Request, message: FetchRows, now: float) -> bytes | None:
        number = self.registry.number_of(message.network)
        if number is not None and self.push.is_due(number):
            if len(self._deferred) >= WAITING_MAX:
                return encode(_busy(message.id))
            self._deferred.append(request)
            return None
        try:
            piece = membership.piece(self.registry, request.key, message)
        except RefusedError as refusal:
            return encode(refusal.reply(message.id))
        watch = self._watch(request, message.network, message.revision, now)
        if watch is not None and (piece.full or piece.revision > watch.acked):
            watch.sent, watch.sent_at = watch.acked + 1, now  # no push until it is acknowledged
        return piece.frame(message.id)

    def _watch(self, request: Request, network: str, revision: int, now: float) -> Watch | None:
        """The node holds this revision: push what is above, now and later."""
        number = self.registry.number_of(network)
        session = self.sessions.hear(request.key, request.routing, now)
        if number is None or session is None:
            return None
        netmap = self.registry.netmap(number)
        if netmap.entry(request.key) is None:
            return None
        if isinstance(request.message, FetchRows):
            return self.sessions.watch(session, number, _known(netmap, revision))
        return self._holds(session, netmap, revision, now)

    def _holds(self, session: Session, netmap: Netmap, revision: int, now: float) -> Watch:
        """It said so: what is above is sent."""
        number = netmap.network.number
        watch = self.sessions.watch(session, number, _known(netmap, revision))
        if netmap.is_behind(session.key, watch.acked):
            self.push.advance(session, number, now)
        return watch

    def _encode(self, outcome: Outcome, now_ms: int) -> bytes:
        if not isinstance(outcome, JoinedLater):
            return encode(outcome)
        try:
            return encode(membership.joined(self.registry, outcome, now_ms))
        except RefusedError as refusal:  # it left again in the same batch
            return encode(refusal.reply(outcome.id))


def _known(netmap: Netmap, revision: int) -> int:
    """What it says that it holds; who comes from before a restore gets all anew."""
    return revision if revision <= netmap.head else 0


def _is_over(request: Request, refused: Refused) -> bool:
    """Whether the key of this connection is worth nothing any more: ZAP would not let it in now."""
    if isinstance(request.message, Admit):
        return refused.code in (Code.DENIED, Code.TOKEN_EXPIRED, Code.TOKEN_USED_UP)
    return refused.code == Code.BANNED or (
        refused.code == Code.DENIED and not isinstance(request.message, Mint)
    )


def _busy(number: int) -> Refused:
    return Refused(number, Code.BUSY, "cannot answer now: too many requests", retry_after=BUSY_FOR)

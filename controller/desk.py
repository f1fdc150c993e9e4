"""Requests of nodes, a batch at a time: decode, handle, one transaction, answers.

    desk.take(routing, frame, now)          → queued, or answered at once (busy, nonsense)
    desk.work_off(now_ms, now)              → the answers of up to BATCH requests, after their commit
    desk.transact(do, now_ms, now)          the same transaction for one change by an operator

A batch that fails is rolled back and taken message by message, so one bad message costs only itself.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from controller import admission, membership
from controller.membership import JoinedLater
from controller.netmap import encode_piece
from controller.publish import finish
from controller.push import Push
from controller.rates import CLASH, COSTS, Rates
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.sessions import Sessions, Watch
from controller.work import ClashError, Work
from protocol.ids import first_address_try
from protocol.keys import CurvePublic
from protocol.messages import (
    Ack,
    Admit,
    Code,
    FetchRows,
    Hello,
    Join,
    Leave,
    MessageError,
    NodeRequest,
    Ping,
    Pong,
    Refresh,
    Refused,
    Reply,
    TokenRequest,
    Unchanged,
    Welcome,
    decode_node_request,
    decode_token_request,
    encode,
)
from runtime.failure import CannotError, Exit, with_hint

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 256
WAITING_MAX = 2048  # requests that were read and not yet handled; more are told to come later
BUSY_FOR = 1.0  # seconds
COMPLAIN_EACH = 60.0
_SQLITE_FULL = 13

Writing = Admit | Hello | Join | Refresh | Leave
Outcome = Reply | JoinedLater


@dataclass(frozen=True, slots=True)
class Request:
    routing: bytes
    key: bytes  # of the node, or of the token
    message: TokenRequest | NodeRequest
    who: str | bytes  # whose purse it is paid from
    observed: str = ""


class Desk:
    def __init__(self, registry: Registry, sessions: Sessions, push: Push) -> None:
        self.registry, self.sessions, self.push = registry, sessions, push
        self.rates = Rates()
        self.counts: Counter[str] = Counter()
        self._waiting: deque[Request] = deque()
        self._deferred: list[Request] = []
        self._complained_at = float("-inf")
        self.seen: dict[int, tuple[int, str]] = {}  # node: when (ms), from where

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, routing: bytes, frame: Any, now: float) -> bytes | None:
        """Queue a frame; or the answer, when it gets one at once."""
        user = frame.get("User-Id") if frame else ""
        who = _payer(routing, user)
        if not self.rates.may_speak(who, now):
            self.counts["flood"] += 1
            return None
        try:
            request = _decode(routing, user, frame)
        except MessageError as error:
            self.counts["nonsense"] += 1
            self.rates.spend(who, 1.0, now)
            log.debug("frame dropped", extra={"user": user[:10], "reason": str(error)})
            return None
        kind = type(request.message).__name__.lower()
        self.counts[kind] += 1
        self.sessions.hear(request.key, routing, now)
        number = getattr(request.message, "id", None)
        too_fast = not self.rates.spend(who, COSTS.get(kind, 1.0), now)
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
        writing = [r for r in requests if isinstance(r.message, Writing)]
        outcomes = self._write(writing, now_ms, now)
        answers = []
        for request, outcome in zip(writing, outcomes, strict=True):
            self._follow(request, outcome, now_ms, now)
            answers.append((request.routing, self._encode(outcome, now_ms)))
        reading = [r for r in requests if not isinstance(r.message, Writing)]
        return answers + self._read_all(reading, now_ms, now)

    def answer_deferred(self, now_ms: int, now: float) -> list[tuple[bytes, bytes]]:
        """Rows for newcomers, once those who were there have been told of them."""
        deferred, self._deferred = self._deferred, []
        return self._read_all(deferred, now_ms, now)

    def transact(self, do: Callable[[Work], T], now_ms: int, now: float) -> T:
        """Everything `do` puts, in one transaction. Raises what `do` raises, and ClashError."""
        registry = self.registry
        work = registry.work(now_ms)
        try:
            result = do(work)
            updates = finish(registry, work)
            head = work.flush(registry.audit_head)
            self.commit()
        except DBAPIError as error:
            self._undo()
            problem = storage_error(error)
            self._complain(problem, now)
            raise problem from error
        except BaseException:
            self._undo()
            raise
        registry.absorb(work, updates, head)
        for update in updates:
            self.push.changed(update, now)
        return result

    def commit(self) -> None:
        """From here on it survives a power cut."""
        self.registry.connection.commit()

    def _complain(self, problem: CannotError, now: float) -> None:
        """In the log once a minute: nodes go on asking while the disk is full."""
        if now >= self._complained_at + COMPLAIN_EACH:
            self._complained_at = now
            log.error(with_hint(problem.message, problem.hint))

    def _undo(self) -> None:
        self.registry.connection.rollback()
        self.registry.distrust()

    def _write(self, requests: Sequence[Request], now_ms: int, now: float) -> list[Outcome]:
        if not requests:
            return []
        try:
            return self.transact(lambda work: self._handle_all(work, requests), now_ms, now)
        except StorageFullError as error:
            return [error.reply(_id_of(r)) for r in requests]
        except CannotError:
            raise
        except Exception as error:  # noqa: BLE001  # a message that hits a bug of ours costs only itself
            if len(requests) == 1:
                return [self._alone(requests[0], error, now_ms, now)]
            log.info("batch taken apart", extra={"size": len(requests), "reason": str(error)})
        half = len(requests) // 2  # one that clashes costs the others some commits, not one each
        first = self._write(requests[:half], now_ms, now)
        return first + self._write(requests[half:], now_ms, now)

    def _alone(self, request: Request, error: Exception, now_ms: int, now: float) -> Outcome:
        """A message that failed by itself: once more when it clashed, then it is refused."""
        number = _id_of(request)
        if not isinstance(error, ClashError):
            log.error("message failed", exc_info=error)
            return RefusedError(Code.INTERNAL, "cannot do this: see the controller's log").reply(
                number
            )
        try:
            return self.transact(lambda work: self._handle_all(work, [request]), now_ms, now)[0]
        except ClashError as clash:
            log.warning("message clashes", extra={"reason": str(clash)})
            self.rates.fine(request.who, CLASH, now)
            return RefusedError(
                Code.CONFLICT, "cannot do this: another member has the same key or address"
            ).reply(number)

    def _handle_all(self, work: Work, requests: Sequence[Request]) -> list[Outcome]:
        keys = {r.key for r in requests if isinstance(r.message, Hello | Join | Leave)}
        keys |= {r.message.node for r in requests if isinstance(r.message, Admit)}
        tokens = {r.key for r in requests if isinstance(r.message, Admit)}
        work.prefetch(keys, tokens)
        unknown = {r.message.node for r in requests if isinstance(r.message, Admit)}
        tries = (CurvePublic(key) for key in unknown if work.node(key) is None)
        work.prefetch_ids({first_address_try(key) for key in tries})
        return [self._handle(work, request) for request in requests]

    def _handle(self, work: Work, request: Request) -> Outcome:
        registry, key = self.registry, request.key
        try:
            match request.message:
                case Admit() as message:
                    return admission.admit(registry, work, key, message)
                case Hello() as message:
                    return membership.hello(registry, work, key, message, request.observed)
                case Refresh() as message:
                    return membership.refresh(registry, work, key, message)
                case Join() as message:
                    return membership.join(registry, work, key, message)
                case Leave() as message:
                    return membership.leave(registry, work, key, message)
                case _:
                    raise TypeError(type(request.message).__name__)
        except RefusedError as refusal:
            return refusal.reply(_id_of(request))

    def _follow(self, request: Request, outcome: Outcome, now_ms: int, now: float) -> None:
        """What a committed answer means for the session."""
        match request.message, outcome:
            case Hello(), Welcome():
                node = int(outcome.address, 16)
                self.sessions.begin(request.key, request.routing, node, request.observed, now)
                self.seen[node] = (now_ms, request.observed)
            case Refresh() as message, JoinedLater() | Unchanged():
                self._watch(request, message.network, message.revision, now)
            case _:
                pass

    def _read_all(
        self, requests: Sequence[Request], now_ms: int, now: float
    ) -> list[tuple[bytes, bytes]]:
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
            case _:
                return None

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
        return encode_piece(piece, message.network, message.revision, message.id)

    def _watch(self, request: Request, network: str, revision: int, now: float) -> Watch | None:
        """The node holds this revision: push what is above, now and later."""
        number = self.registry.number_of(network)
        session = self.sessions.hear(request.key, request.routing, now)
        if number is None or session is None:
            return None
        netmap = self.registry.netmap(number)
        if request.key not in netmap.entries:
            return None
        known = revision if revision <= netmap.head else 0  # from before a restore: all anew
        watch = self.sessions.watch(session, number, known)
        if not isinstance(request.message, FetchRows):
            self.push.advance(session, number, now)
        return watch

    def _encode(self, outcome: Outcome, now_ms: int) -> bytes:
        if not isinstance(outcome, JoinedLater):
            return encode(outcome)
        try:
            return encode(membership.joined(self.registry, outcome, now_ms))
        except RefusedError as refusal:  # it left again in the same batch
            return encode(refusal.reply(outcome.id))


class StorageFullError(RefusedError):
    """The disk is full: nothing was written, and reading goes on."""


def storage_error(error: DBAPIError) -> CannotError:
    """What a failed statement means: StorageFullError, or that the controller cannot go on."""
    code = getattr(error.orig, "sqlite_errorcode", 0)
    if code == _SQLITE_FULL:
        return StorageFullError(
            Code.BUSY,
            "cannot store this: the disk is full",
            hint="make room on the controller's disk; nothing is lost, nodes ask again",
            retry_after=30.0,
        )
    return CannotError(
        f"cannot write the database: {error.orig}",
        hint="see the disk: df, dmesg; then start the controller again",
        code=Exit.INTERNAL,
    )


def _decode(routing: bytes, user: str, frame: Any) -> Request:
    """Raises MessageError; what a connection may say depends on whose key it has."""
    if user.startswith("n:"):
        message = decode_node_request(frame.bytes)
        observed = frame.get("Peer-Address") if isinstance(message, Hello) else ""
        observed = observed.removeprefix("::ffff:").partition("%")[0]
        return Request(routing, bytes.fromhex(user[2:]), message, _payer(routing, user), observed)
    if user.startswith("t:"):
        key = bytes.fromhex(user[2:])
        return Request(routing, key, decode_token_request(frame.bytes), _payer(routing, user))
    raise MessageError("not two parts" if not user else "a key of an unknown kind")


def _payer(routing: bytes, user: str) -> str | bytes:
    """A node, with all its connections; of those who share a token, each connection."""
    return routing if user.startswith("t:") else user


def _id_of(request: Request) -> int:
    return int(getattr(request.message, "id", 0))


def _busy(number: int) -> Refused:
    return Refused(number, Code.BUSY, "cannot answer now: too many requests", retry_after=BUSY_FOR)

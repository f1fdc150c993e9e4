"""The loop: one thread that owns the sockets and the connection that writes.

    poll → drain ≤ BATCH frames → desk (one transaction) → reply → push to members behind the head

It ends when `stop` is called (a signal's handler may). ZAP has a thread of its own.
"""

import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import zmq
from sqlalchemy.exc import DBAPIError

from controller.admins import Admins
from controller.config import Config, NetworkConfig
from controller.front import sockets
from controller.front.actors import admin_actor, local_actor
from controller.front.desk import BATCH, Desk
from controller.front.push import Push
from controller.front.seen import Seen
from controller.front.sessions import Sessions
from controller.front.storage import StorageFullError, storage_error
from controller.front.zap import Zap
from controller.members.door import AT_ONCE, expire
from controller.members.minting import prune_tokens
from controller.members.tombstones import purge
from controller.registry import Registry
from controller.store import audit
from controller.store.database import is_quickly_checked
from controller.store.records import DAY_MS
from controller.store.soundness import Soundness
from controller.verbs.configured import ensure_networks
from controller.verbs.office import Office
from protocol.messages import Ping, encode
from runtime.clock import wall_ms
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

TICK = 1.0  # seconds
SWEEP_EACH = 60.0
PURGE_EACH = 3600.0
AUDIT_BATCH = 2000
ENDING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def signals_waiting() -> Iterator[None]:
    """SIGTERM and SIGINT come at the end of it, to the handlers that there are by then."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Server:
    """Opens its sockets at once. Raises ListenError."""

    def __init__(self, config: Config, registry: Registry) -> None:
        self.registry = registry
        self.sessions = Sessions()
        self._context = sockets.new_context()
        self._zap = Zap(self._context, config.database, wall_ms)
        opened = []
        try:
            self._nodes = sockets.node_router(self._context, registry.keyring, config.listen)
            opened.append(self._nodes)
            self._admin = sockets.admin_router(self._context, Path(config.socket))
            opened.append(self._admin)
            self._remote = sockets.remote_router(
                self._context, registry.keyring, config.admin_listen
            )
        except BaseException:
            for one in opened:
                one.close(linger=0)
            self._end_zap()
            raise
        self._socket_path = Path(config.socket)
        large = not is_quickly_checked(config.database)
        self._soundness = Soundness(config.database) if large else None
        push = Push(registry, self.sessions, self._send)
        self.desk = Desk(registry, self.sessions, push)
        self._seen = Seen(registry.connection, self.sessions, self.desk.seen)
        self._office = Office(self.desk, lambda: self._zap.refused)
        self._admins = Admins(
            self._office,
            (
                (self._admin, local_actor),
                (self._remote, lambda f: admin_actor(registry.connection, registry.seals.sums, f)),
            ),
        )
        self._push = push
        self._running = True
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._tick_at = self._sweep_at = self._purge_at = self._audit_at = 0.0
        self._keep_audit_ms = config.audit.keep_days * DAY_MS

    def ensure_networks(self, wanted: Sequence[NetworkConfig]) -> None:
        """What the config says of networks. Raises CannotError."""
        self._office.now_ms = wall_ms()
        self._office.now = time.monotonic()
        ensure_networks(self._office, wanted)

    def stop(self) -> None:
        self._running = False
        with contextlib.suppress(OSError):
            self._wake.send(b"!")

    def stop_at_signals(self) -> None:
        """SIGTERM and SIGINT end the loop; what was read is still answered."""
        for number in ENDING:
            signal.signal(number, lambda *_: self.stop())

    def run(self) -> None:
        poller = zmq.Poller()
        for source in (self._nodes, self._admin, self._remote, self._woken):
            poller.register(source, zmq.POLLIN)
        now = time.monotonic()
        self._seen.begin(now)
        self._sweep_at, self._purge_at, self._audit_at = now + SWEEP_EACH, now, now
        try:
            while self._running:
                poller.poll(self._timeout(time.monotonic()))
                self.turn(wall_ms(), time.monotonic())
            while self.desk.waiting:
                self._reply(self.desk.work_off(wall_ms(), time.monotonic()))
            self._unless_full(lambda: self._seen.keep_all(wall_ms()))
        finally:
            self.close()

    def turn(self, now_ms: int, now: float) -> None:
        """Everything that is to be done now."""
        self._drain(now)
        self._reply(self.desk.work_off(now_ms, now))
        self._admins.answer(now_ms, now)
        self._push.run(now)
        self._reply(self.desk.answer_deferred(now_ms, now))
        if now >= self._tick_at:
            self._tick_at = now + TICK
            self._tick(now_ms, now)

    def close(self) -> None:
        if self._soundness is not None:
            self._soundness.end()
        self._nodes.close(linger=200)
        self._admin.close(linger=200)
        self._remote.close(linger=200)
        self._end_zap()
        for end in (self._wake, self._woken):
            end.close()
        self._socket_path.unlink(missing_ok=True)

    def _end_zap(self) -> None:
        """Its thread closes its own socket: `destroy` would do it from here, and libzmq aborts."""
        self._context.term()
        self._zap.join()

    def _timeout(self, now: float) -> int:
        if self.desk.waiting:
            return 0
        deadline = self._push.deadline
        until = min(self._tick_at, self._tick_at if deadline is None else deadline)
        return max(0, int((until - now) * 1000) + 1)

    def _drain(self, now: float) -> None:
        for _ in range(4 * BATCH):
            message = sockets.receive(self._nodes)
            if message is None:
                return
            routing, frame = message
            if routing in self.desk.over:  # it was told, and goes on
                self._cut(routing, frame)
                continue
            at_once = self.desk.take(routing, frame, now)
            if at_once is not None:
                self._send(routing, at_once)

    def _cut(self, routing: bytes, frame: Any) -> None:
        if frame and sockets.cut(frame):
            self.desk.over.discard(routing)
            self.desk.counts["cut"] += 1

    def _reply(self, answers: list[tuple[bytes, bytes]]) -> None:
        for routing, frame in answers:
            self._send(routing, frame)

    def _send(self, routing: bytes, frame: bytes) -> bool:
        taken = sockets.send(self._nodes, routing, frame)
        if not taken:
            self.desk.counts["unsent"] += 1
        return taken

    def _tick(self, now_ms: int, now: float) -> None:
        self.desk.look(now_ms, now)
        for session in list(self.sessions.silent(now)):
            session.pinged = True
            self._send(session.routing, encode(Ping(0)))
        for session in self.sessions.dead(now):
            log.debug("node silent", extra={"node": f"{session.node:010x}"})
            heard_ms = now_ms - int((now - session.heard) * 1000)
            self.desk.seen[session.node] = (heard_ms, session.observed)
            self.sessions.end(session.key)
        if not self._zap.alive:
            raise CannotError(
                "cannot let anybody connect: the thread that decides it has ended",
                hint="see the log before this; started again, the controller goes on",
                code=Exit.INTERNAL,
            )
        if self._soundness is not None and self._soundness.problem is not None:
            raise self._soundness.problem
        self._office.keeper.tick(now_ms, now)
        self._unless_full(lambda: self._seen.keep(now_ms, now))
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EACH
            self.desk.rates.sweep(now)
            self.desk.over.clear()  # who is still there is told once more
        if now >= self._purge_at:
            self._purge_at = now + PURGE_EACH
            self._unless_full(lambda: purge(self.registry, now_ms))
            self._unless_full(lambda: self._expire(now_ms, now))
            self._prune_tokens(now_ms, now)
        if now >= self._audit_at:
            self._audit_at = now + PURGE_EACH
            self._unless_full(lambda: self._prune_audit(now_ms, now))

    def _prune_tokens(self, now_ms: int, now: float) -> None:
        with contextlib.suppress(StorageFullError):  # the log has it
            self.desk.transact(
                lambda work: prune_tokens(work, now_ms - DAY_MS, "controller"),
                now_ms,
                now,
            )

    def _prune_audit(self, now_ms: int, now: float) -> None:
        if not self._keep_audit_ms:
            return
        registry = self.registry
        count, head = audit.prune(
            registry.connection,
            registry.audit_head,
            before=now_ms - self._keep_audit_ms,
            limit=AUDIT_BATCH,
            now_ms=now_ms,
            actor="controller",
        )
        registry.connection.commit()
        registry.audit_head = head
        if count >= AUDIT_BATCH:  # the rest at the next tick: nobody waits for it
            self._audit_at = now

    def _unless_full(self, keep: Callable[[], object]) -> None:
        """Housekeeping can wait until the disk has room again."""
        try:
            keep()
        except DBAPIError as error:
            self.registry.connection.rollback()
            reason = storage_error(error)
            if not isinstance(reason, StorageFullError):
                raise reason from error
            log.error("cannot store", extra={"reason": str(reason)})  # noqa: TRY400

    def _expire(self, now_ms: int, now: float) -> None:
        """Those who wait in vain; the clock of this hour's purge runs again when there are more."""
        if self.desk.transact(lambda work: expire(self.registry, work), now_ms, now) == AT_ONCE:
            self._purge_at = now

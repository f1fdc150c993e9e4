"""The loop: one thread that owns the sockets and the connection that writes.

    poll → drain ≤ BATCH frames → desk (one transaction) → reply → push to members behind the head

It ends when `stop` is called (a signal's handler may). ZAP has a thread of its own.
"""

import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import zmq
from sqlalchemy import bindparam
from sqlalchemy.exc import DBAPIError

from controller import sockets
from controller.config import Config, NetworkConfig
from controller.desk import BATCH, Desk, StorageFullError, storage_error
from controller.model import NODE
from controller.push import Push
from controller.registry import Registry
from controller.sessions import Sessions
from controller.tombstones import purge
from controller.verbs.dispatch import answer
from controller.verbs.network import Create, create
from controller.verbs.office import Office
from controller.zap import Zap
from protocol.messages import Ping, encode
from runtime.clock import wall_ms
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

TICK = 1.0  # seconds
KEEP_SEEN_EACH = 60.0
PURGE_EACH = 3600.0
ADMIN_BATCH = 16

_SEEN = (
    NODE.update()
    .where(NODE.c.id == bindparam("node"))
    .values(last_seen=bindparam("at"), last_at=bindparam("from"))
)


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
        except BaseException:
            for one in opened:
                one.close(linger=0)
            self._end_zap()
            raise
        self._socket_path = Path(config.socket)
        push = Push(registry, self.sessions, self._send)
        self.desk = Desk(registry, self.sessions, push)
        self._office = Office(self.desk, lambda: self._zap.refused)
        self._push = push
        self._running = True
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._tick_at = self._keep_at = self._purge_at = 0.0

    def ensure_networks(self, wanted: Iterable[NetworkConfig]) -> None:
        """Make the networks of the config that do not exist. Raises CannotError."""
        known = {network.name for network in self.registry.networks.values()}
        self._office.now_ms = wall_ms()
        for one in wanted:
            if one.name not in known:
                request = f"config {one.name}"
                create(self._office, Create(request, one.name, ipv4=one.ipv4, ipv6=one.ipv6))

    def stop(self) -> None:
        self._running = False
        with contextlib.suppress(OSError):
            self._wake.send(b"!")

    def stop_at_signals(self) -> None:
        """SIGTERM and SIGINT end the loop; what was read is still answered."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def run(self) -> None:
        poller = zmq.Poller()
        for source in (self._nodes, self._admin, self._woken):
            poller.register(source, zmq.POLLIN)
        now = time.monotonic()
        self._keep_at, self._purge_at = now + KEEP_SEEN_EACH, now
        try:
            while self._running:
                poller.poll(self._timeout(time.monotonic()))
                self.turn(wall_ms(), time.monotonic())
            while self.desk.waiting:
                self._reply(self.desk.work_off(wall_ms(), time.monotonic()))
            self._unless_full(self._keep_seen)
        finally:
            self.close()

    def turn(self, now_ms: int, now: float) -> None:
        """Everything that is to be done now."""
        self._drain(now)
        self._reply(self.desk.work_off(now_ms, now))
        self._answer_admin(now_ms, now)
        self._push.run(now)
        self._reply(self.desk.answer_deferred(now_ms, now))
        if now >= self._tick_at:
            self._tick_at = now + TICK
            self._tick(now_ms, now)

    def close(self) -> None:
        self._nodes.close(linger=200)
        self._admin.close(linger=200)
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
            at_once = self.desk.take(routing, frame, now)
            if at_once is not None:
                self._send(routing, at_once)

    def _answer_admin(self, now_ms: int, now: float) -> None:
        for _ in range(ADMIN_BATCH):
            message = sockets.receive(self._admin)
            if message is None:
                return
            routing, frame = message
            if frame:
                sockets.send(self._admin, routing, answer(self._office, frame.bytes, now_ms, now))

    def _reply(self, answers: list[tuple[bytes, bytes]]) -> None:
        for routing, frame in answers:
            self._send(routing, frame)

    def _send(self, routing: bytes, frame: bytes) -> bool:
        taken = sockets.send(self._nodes, routing, frame)
        if not taken:
            self.desk.counts["unsent"] += 1
        return taken

    def _tick(self, now_ms: int, now: float) -> None:
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
        if now >= self._keep_at:
            self._keep_at = now + KEEP_SEEN_EACH
            self.desk.rates.sweep(now)
            self._unless_full(self._keep_seen)
        if now >= self._purge_at:
            self._purge_at = now + PURGE_EACH
            self._unless_full(lambda: purge(self.registry, now_ms))

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

    def _keep_seen(self) -> None:
        """When and from where nodes were last heard: lazily, all at once."""
        seen = self.desk.seen
        for session in self.sessions:
            seen[session.node] = (wall_ms(), session.observed)
        if seen:
            rows = [{"node": n, "at": at, "from": where} for n, (at, where) in seen.items()]
            self.registry.connection.execute(_SEEN, rows)
            self.registry.connection.commit()
            seen.clear()

"""The one place where sockets are made, each with every limit it needs.

libzmq's defaults let one stranger fill the memory, a hundred idle connections keep everybody out, and
a slow reader swallow messages unseen. Sending never blocks; `send` says whether the message was taken,
which is not yet delivered.
"""

import errno
import os
import resource
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq
from zmq.backend import Socket as BackendSocket

from controller.signing.keyring import Keyring
from protocol.admin import MAX_ADMIN_FRAME
from protocol.keys import to_z85
from protocol.messages import MAX_FRAME
from runtime.failure import CannotError, Exit

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"zosnet"
ADMIN_DOMAIN = b"zosnet-admin"
HIGH_WATER = 128  # messages a peer, each way: with MAX_FRAME it is 8 MiB at most
MAX_FILES = 65536
GONE_AFTER_MS = 20_000  # for a peer that takes nothing of what it is sent


# `zmq.Socket` does the same after a look at what other kinds of socket need, and costs as much again
_send, _get = BackendSocket.send, BackendSocket.get
_FIRST, _LAST = int(zmq.NOBLOCK | zmq.SNDMORE), int(zmq.NOBLOCK)
_MORE, _SNDMORE = int(zmq.RCVMORE), int(zmq.SNDMORE)


class ListenError(CannotError):
    """A socket can not be bound."""


def new_context() -> "zmq.Context[zmq.Socket[bytes]]":
    """Raises the limit of open files: a connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return zmq.Context()


def limit_memory(mebibytes: int) -> None:
    """A peer that finds a way to fill the memory ends this process, not the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mebibytes * 1024 * 1024
    soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def node_router(
    context: "zmq.Context[zmq.Socket[bytes]]", keyring: Keyring, endpoints: tuple[str, ...]
) -> "zmq.Socket[bytes]":
    """Where nodes connect: CURVE, and ZAP decides who. The ZAP handler must be bound already."""
    router = _router(context, MAX_FRAME)
    _bind_curve(router, ZAP_DOMAIN, keyring, endpoints, "listen")
    return router


def remote_router(
    context: "zmq.Context[zmq.Socket[bytes]]", keyring: Keyring, endpoints: tuple[str, ...]
) -> "zmq.Socket[bytes]":
    """Where ncadm connects from elsewhere: as `node_router`, for admin keys and nobody else."""
    router = _router(context, MAX_ADMIN_FRAME)
    _bind_curve(router, ADMIN_DOMAIN, keyring, endpoints, "admin_listen")
    return router


def admin_router(context: "zmq.Context[zmq.Socket[bytes]]", path: Path) -> "zmq.Socket[bytes]":
    """Where ncadm connects: a file that root and its group may open."""
    _refuse_taken(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {path}: {error.strerror}",
            hint="see `socket` in controller.yaml",
            code=Exit.USAGE,
        ) from error
    router = _router(context, MAX_ADMIN_FRAME)
    before = os.umask(0o117)
    try:
        router.bind(f"ipc://{path}")
    except zmq.ZMQError as error:
        router.close(linger=0)
        raise _cannot_listen(str(path), error) from error
    finally:
        os.umask(before)
    return router


def zap_socket(context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
    """Bound before any socket that asks it."""
    zap = context.socket(zmq.REP)
    zap.setsockopt(zmq.LINGER, 0)
    zap.bind(ZAP_ENDPOINT)
    return zap


def receive(router: "zmq.Socket[bytes]") -> tuple[bytes, Any] | None:
    """(routing id, frame) of the next message; the frame is empty when the message had not exactly
    two parts. None when nothing is there.
    """
    try:
        routing = router.recv(zmq.NOBLOCK)
    except zmq.Again:
        return None
    frame: Any = router.recv(zmq.NOBLOCK, copy=False)  # a ROUTER gives no routing id alone
    if not frame.more:
        return routing, frame
    while frame.more:
        frame = router.recv(zmq.NOBLOCK, copy=False)
    return routing, b""


def receive_all(socket: "zmq.Socket[bytes]") -> list[bytes]:
    """All parts of the next message, which is waited for."""
    parts = [socket.recv()]
    while _get(socket, _MORE):
        parts.append(socket.recv())
    return parts


def send_all(socket: "zmq.Socket[bytes]", parts: list[bytes]) -> None:
    for part in parts[:-1]:
        _send(socket, part, _SNDMORE)
    _send(socket, parts[-1])


def cut(frame: Any) -> bool:
    """End the connection that this frame came by; its sender may come again, and meets ZAP. False: it
    is gone already.

    libzmq has no call for it, but says which descriptor it read from. Shut for reading, it looks to
    libzmq as if the peer had gone. The number may be another connection's by now: who is at the other
    end has to fit.
    """
    try:
        with socket.socket(fileno=os.dup(frame.get(zmq.SRCFD))) as line:
            if _bare(line.getpeername()[0]) != _bare(frame.get("Peer-Address")):
                return False
            line.shutdown(socket.SHUT_RD)
    except OSError:
        return False
    return True


def _bare(address: str) -> str:
    return address.removeprefix("::ffff:").partition("%")[0]


def send(router: "zmq.Socket[bytes]", routing: bytes, frame: bytes) -> bool:
    """False when the peer is gone or does not read; nothing is kept for it then."""
    try:
        _send(router, routing, _FIRST)
        _send(router, frame, _LAST)
    except zmq.Again:
        return False
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise
        return False
    return True


def _router(context: "zmq.Context[zmq.Socket[bytes]]", frame: int) -> "zmq.Socket[bytes]":
    router = context.socket(zmq.ROUTER)
    for option, value in (
        (zmq.ROUTER_MANDATORY, 1),
        (zmq.LINGER, 200),
        (zmq.MAXMSGSIZE, frame),
        (zmq.SNDHWM, HIGH_WATER),
        (zmq.RCVHWM, HIGH_WATER),
        (zmq.BACKLOG, 1024),
        (zmq.HANDSHAKE_IVL, 5000),
        # Whether a peer is there the kernel asks. libzmq's own heartbeats look through all
        # connections for each one that answers: 9 000 idle ones are most of a core.
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 10),
        (zmq.TCP_KEEPALIVE_INTVL, 5),
        (zmq.TCP_KEEPALIVE_CNT, 2),
        (zmq.TCP_MAXRT, GONE_AFTER_MS),
    ):
        router.setsockopt(option, value)
    return router


def _bind_curve(
    router: "zmq.Socket[bytes]",
    domain: bytes,
    keyring: Keyring,
    endpoints: tuple[str, ...],
    setting: str,
) -> None:
    router.curve_server = True
    router.curve_publickey = to_z85(keyring.curve_public)
    router.curve_secretkey = to_z85(keyring.curve_secret)
    router.zap_domain = domain
    router.setsockopt(zmq.IPV6, 1)
    for endpoint in endpoints:
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            router.close(linger=0)
            raise _cannot_listen(endpoint, error, setting) from error


def _refuse_taken(path: Path) -> None:
    """libzmq would take over a living socket's path, and any file's."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise ListenError(
            f"cannot listen on {path}: it is a file of another kind",
            hint="set `socket` in controller.yaml to another path",
            code=Exit.CONFLICT,
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(str(path))
        raise ListenError(
            f"cannot listen on {path}: another program does",
            hint="set `socket` in controller.yaml to another path",
            code=Exit.CONFLICT,
        )


def _cannot_listen(where: str, error: zmq.ZMQError, setting: str = "listen") -> ListenError:
    reason = os.strerror(error.errno or 0)
    hint = None
    if error.errno == errno.EADDRINUSE:
        reason = "the port is taken"
        hint = f"see who has it: ss -ltnp; or set `{setting}` in controller.yaml"
    elif error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        hint = f"this machine does not have that address: see `{setting}` in controller.yaml"
    return ListenError(f"cannot listen on {where}: {reason}", hint=hint, code=Exit.CONFLICT)

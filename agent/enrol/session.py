"""One connection to a controller: a ZeroMQ DEALER with CURVE, and what its monitor says.

    session = Session(context, listener)
    session.open(controller, public, secret)     # in place of any before
    session.send(frame)
    session.close()

The listener hears shaken, refused, lost and frame, from the event loop. One socket an attempt:
ZeroMQ's own reconnecting is off, because a socket whose handshake was refused never tries again
and still takes what is sent on it. Nothing blocks. `context` must get its first socket where the
connections shall leave from: its I/O thread stays in that namespace for ever.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import zmq
from zmq.utils.monitor import parse_monitor_message

from agent.enrol.actions import Controller
from agent.enrol.approach import Failure
from protocol.keys import CurvePublic, CurveSecret, to_z85
from protocol.messages import MAX_FRAME

log = logging.getLogger(__name__)

OPTIONS = (
    (zmq.LINGER, 0),
    (zmq.IPV6, 1),
    (zmq.RECONNECT_IVL, -1),
    (zmq.CONNECT_TIMEOUT, 5_000),
    (zmq.HANDSHAKE_IVL, 5_000),
    (zmq.HEARTBEAT_IVL, 5_000),
    (zmq.HEARTBEAT_TIMEOUT, 10_000),
    (zmq.MAXMSGSIZE, MAX_FRAME),
    (zmq.SNDHWM, 100),
    (zmq.RCVHWM, 100),
)
_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
)
_BATCH = 64  # frames read before the loop gets its turn again


class Listener(Protocol):
    def shaken(self) -> None: ...
    def refused(self, why: Failure) -> None: ...
    def lost(self) -> None: ...
    def frame(self, data: bytes) -> None: ...


class Session:
    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", listener: Listener) -> None:
        self._context, self._listener = context, listener
        self._loop = asyncio.get_running_loop()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None

    def open(self, controller: Controller, public: CurvePublic, secret: CurveSecret) -> None:
        self.close()
        socket = self._context.socket(zmq.DEALER)
        for option, value in OPTIONS:
            socket.setsockopt(option, value)
        socket.curve_serverkey = to_z85(controller.key)
        socket.curve_publickey, socket.curve_secretkey = to_z85(public), to_z85(secret)
        self._socket = socket
        self._monitor = socket.get_monitor_socket(_EVENTS)
        self._watch(self._monitor, self._read_monitor)
        self._watch(socket, self._read_frames)
        try:
            socket.connect(controller.endpoint)
        except zmq.ZMQError as error:  # not an endpoint: the loop goes on to the next
            log.warning(
                "controller endpoint unusable",
                extra={"endpoint": controller.endpoint, "reason": error.strerror},
            )
            self._loop.call_soon(self._lost, socket)

    def send(self, frame: bytes) -> bool:
        """False: it did not even leave the program. True says nothing about arrival."""
        if self._socket is None:
            return False
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("send refused", extra={"errno": error.errno})
            return False
        # a send may have consumed the edge of the descriptor that said "readable"
        self._loop.call_soon(self._read_frames, self._socket)
        return True

    def close(self) -> None:
        socket, self._socket = self._socket, None
        monitor, self._monitor = self._monitor, None
        if socket is None or monitor is None:
            return
        self._loop.remove_reader(monitor)
        self._loop.remove_reader(socket)
        socket.disable_monitor()  # or its name is taken when the descriptor comes again
        monitor.close(0)
        socket.close(0)

    def _watch(
        self,
        socket: "zmq.Socket[bytes]",
        read: "Callable[[zmq.Socket[bytes]], None]",
    ) -> None:
        self._loop.add_reader(socket, read, socket)
        self._loop.call_soon(read, socket)

    def _read_frames(self, socket: "zmq.Socket[bytes]") -> None:
        for _ in range(_BATCH):
            if socket is not self._socket:  # closed by what the last frame caused
                return
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(parts) == 1:
                self._listener.frame(parts[0])
            else:
                log.debug("frame dropped", extra={"parts": len(parts)})
        self._loop.call_soon(self._read_frames, socket)

    def _read_monitor(self, monitor: "zmq.Socket[bytes]") -> None:
        while monitor is self._monitor:
            try:
                event = parse_monitor_message(monitor.recv_multipart(zmq.NOBLOCK))["event"]
            except zmq.Again:
                return
            match event:
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self._listener.shaken()
                case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self._listener.refused(Failure.AUTH)
                case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                    self._listener.refused(Failure.NO_DETAIL)
                case _:
                    self._listener.lost()

    def _lost(self, socket: "zmq.Socket[bytes]") -> None:
        if socket is self._socket:
            self._listener.lost()

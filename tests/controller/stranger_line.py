"""Sections 1 to 5 of docs/protocol.md by themselves: join string, messages, a connection."""

import base64
import hashlib
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import zmq
from nacl.bindings import crypto_scalarmult_base
from zmq.utils.monitor import parse_monitor_message
from zmq.utils.z85 import encode as z85

Message = dict[str, Any]

PATIENCE = 10.0  # seconds until an answer is missed
KEY = 32
VERSION = 1

# what a controller may say: the fields of each message, their types
SPOKEN: dict[str, dict[str, type]] = {
    "done": {"id": int},
    "welcome": {
        "id": int,
        "time_ms": int,
        "address": str,
        "keyset": list,
        "networks": list,
        "observed": str,
    },
    "joined": {
        "id": int,
        "network": str,
        "time_ms": int,
        "settings": list,
        "membership": list,
        "state": list,
        "revision": int,
    },
    "waiting": {"id": int, "network": str, "state": str, "retry_after": float},
    "unchanged": {"id": int, "network": str, "time_ms": int},
    "rows": {
        "id": int,
        "network": str,
        "since": int,
        "revision": int,
        "full": bool,
        "rows": list,
        "gone": list,
        "state": object,
        "more": bytes,
    },
    "keys": {"id": int, "keyset": list},
    "minted": {"id": int, "network": str, "expires_ms": int, "controllers": list},
    "ping": {"id": int},
    "pong": {"id": int, "time_ms": int},
    "refused": {"id": int, "code": str, "message": str, "hint": str, "retry_after": float},
}
DEFAULTS: dict[str, Message] = {
    "rows": {"more": b""},
    "refused": {"hint": "", "retry_after": 0.0},
}


class NotUnderstoodError(Exception):
    """What came is not as the document says."""


class NotLetInError(Exception):
    """The controller does not know the key of this connection."""


class RefusedError(Exception):
    def __init__(self, refused: Message) -> None:
        super().__init__(refused["message"])
        self.code: str = refused["code"]
        self.retry_after: float = refused["retry_after"]


def public_half(secret: bytes) -> bytes:
    return bytes(crypto_scalarmult_base(secret))


def digest(data: bytes, size: int, person: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=size, person=person).digest()


@dataclass(frozen=True)
class Invitation:
    """What a join string says; `controllers`: endpoint and CURVE key."""

    root: bytes
    token: bytes
    controllers: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        prefix, small = text.strip()[:7], text.strip()[7:]
        if prefix != "zosnet1":
            raise NotUnderstoodError("this is no join string")
        data = base64.b32decode(small.upper() + "=" * (-len(small) % 8))
        version, length = struct.unpack_from(">BH", data)
        body, checksum = data[:-4], data[-4:]
        if version != VERSION or length != len(data):
            raise NotUnderstoodError("the join string is of another version, or cut off")
        if checksum != digest(body, 4, b"zosnet-join"):
            raise NotUnderstoodError("the join string is damaged")
        return cls(body[3:35], body[35:67], tuple(_controllers(body[67:])))


def _controllers(data: bytes) -> Iterable[tuple[str, bytes]]:
    while data:
        end = KEY + 1 + data[KEY]
        yield data[KEY + 1 : end].decode("ascii"), data[:KEY]
        data = data[end:]


def understood(frame: bytes) -> tuple[str, Message]:
    """The tag of a message and its fields by their names."""
    tag, *values = msgspec.msgpack.decode(frame)
    types = SPOKEN.get(tag)
    if types is None or len(values) > len(types):
        raise NotUnderstoodError(f"{tag} with {len(values)} fields")
    message = DEFAULTS.get(tag, {}) | dict(zip(types, values, strict=False))
    for name, kind in types.items():
        if name not in message or not isinstance(message[name], kind):
            raise NotUnderstoodError(f"{name} of {tag}")
    return tag, message


class Line:
    """One connection to a controller, shown by one CURVE key; `pushed` is told what comes unasked."""

    def __init__(
        self,
        controller: tuple[str, bytes],
        secret: bytes,
        pushed: Callable[[str, Message], None],
    ) -> None:
        endpoint, key = controller
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.CURVE_SERVERKEY, z85(key))
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, z85(public_half(secret)))
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, z85(secret))
        self._monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_FAILED_AUTH
        )
        self._socket.connect(endpoint)
        self._pushed = pushed
        self._id = 0

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()

    def tell(self, tag: str, *fields: Any) -> None:
        self._socket.send(msgspec.msgpack.encode([tag, *fields]))

    def ask(self, tag: str, *fields: Any) -> tuple[str, Message]:
        """The answer; what is pushed before it is taken before it."""
        self._id += 1
        self.tell(tag, self._id, *fields)
        end = time.monotonic() + PATIENCE
        while True:
            said, message = self._receive(end)
            if message["id"] != self._id:
                self._pushed(said, message)
            elif said == "refused":
                raise RefusedError(message)
            else:
                return said, message

    def listen(self, seconds: float = PATIENCE) -> None:
        """Until the next push."""
        self._pushed(*self._receive(time.monotonic() + seconds))

    def _receive(self, end: float) -> tuple[str, Message]:
        while True:
            tag, message = understood(self._frame(end))
            if tag != "ping":
                return tag, message
            self.tell("pong", message["id"], 0)

    def _frame(self, end: float) -> bytes:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        ready = dict(poller.poll(int(max(0.0, end - time.monotonic()) * 1000)))
        if self._socket in ready:
            return self._socket.recv()
        if self._monitor in ready:
            event = parse_monitor_message(self._monitor.recv_multipart())
            raise NotLetInError(f"status {event['value']}")
        raise TimeoutError("the controller says nothing")

"""A blocking exchange with netlink, for a job in the namespace thread.

    with Exchange() as kernel:
        links = kernel.dump(RTM_GETLINK, body)     # the whole table
        kernel.ask(RTM_DELLINK, body)              # returns when the kernel has done it

Requests and answers are bytes without netlink's header; what they mean is the caller's business.
Raises OSError with the errno that the kernel gave.
"""

import errno
import os
import socket
import struct
from types import TracebackType
from typing import Self

ROUTE, GENERIC = 0, 16  # NETLINK_* of linux/netlink.h

_SOL_NETLINK, _STRICT_CHECK = 270, 12
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table changed while it was read
_TRIES = 10
_PATIENCE = struct.pack("@ll", 5, 0)  # seconds: Python's own would poll before each call
_BUFFER = 65536


class Exchange:
    def __init__(self, protocol: int = ROUTE) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        self._buffer = bytearray(_BUFFER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(self, kind: int, body: bytes) -> list[bytes]:
        """What the kernel answers; nothing when it only did as it was told."""
        return self._talk(kind, _ACK, body)[0]

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The whole table as it was at one moment."""
        for _ in range(_TRIES):
            payloads, torn = self._talk(kind, _DUMP, body)
            if not torn:
                return payloads
        raise OSError(errno.EAGAIN, "it changed each time that it was read")

    def _talk(self, kind: int, flags: int, body: bytes) -> tuple[list[bytes], bool]:
        """The payloads, and whether the table changed in between."""
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0)
        self._socket.sendto(header + body, (0, 0))
        payloads: list[bytes] = []
        torn = 0
        while True:
            size = self._socket.recv_into(self._buffer)
            at = 0
            while at + _HEADER.size <= size:
                length, answer, flags, _, _ = _HEADER.unpack_from(self._buffer, at)
                torn |= flags & _INTERRUPTED
                payload = bytes(self._buffer[at + _HEADER.size : at + length])
                if answer in (_ERROR, _DONE):
                    _check(payload)
                    return payloads, bool(torn)
                payloads.append(payload)
                at += (length + 3) & ~3


def _check(payload: bytes) -> None:
    """The end of an answer begins with an errno below 0; an acknowledgement has 0."""
    code = -int(struct.unpack_from("=i", payload)[0]) if len(payload) >= 4 else 0
    if code > 0:
        raise OSError(code, os.strerror(code))

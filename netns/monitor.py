"""What changed in a namespace: which link's which table, and "look again" when too much did.

    monitor = await Monitor.open(spaces, "ndmz")
    …look at everything once…
    while True:
        match await monitor.next():
            case Changed(kind="address", link=index): …look at that link's addresses…
            case Resync(): …look at everything again…

Level, not edge: it says where to look, never what is there now, and the same change waits at most
once. So a slow reader costs no memory, and a lost event (ENOBUFS) costs one Resync.
"""

import asyncio
import errno
import logging
import socket
import struct
from enum import IntFlag
from typing import Literal

from msgspec import Struct

from netns import decode
from netns.spaces import HOST, Spaces

log = logging.getLogger(__name__)

Kind = Literal["link", "address", "route", "neighbour"]


class Group(IntFlag):
    """What to watch: RTMGRP_* of linux/rtnetlink.h, both families."""

    LINK = 0x1
    NEIGHBOUR = 0x4
    ADDRESS = 0x10 | 0x100
    ROUTE = 0x40 | 0x400
    ALL = LINK | NEIGHBOUR | ADDRESS | ROUTE


class Changed(Struct, frozen=True):
    kind: Kind
    link: int | None  # None: a route that names no link
    gone: bool = False  # deleted, not made or changed


class Resync(Struct, frozen=True):
    """Events were lost: look at everything again."""


Event = Changed | Resync

_RECEIVE_BUFFER = 4 << 20  # holds a second of everything, while the loop is busy elsewhere
_SO_RCVBUFFORCE = 33
_BATCH = 64  # datagrams read before the loop gets its turn again
_HEADER = struct.Struct("=IHHII")
_INDEX_AT_4 = struct.Struct("=4xi")  # where ifinfomsg, ifaddrmsg and ndmsg have the link
_KINDS: dict[int, tuple[Kind, bool]] = {
    16: ("link", False),
    17: ("link", True),
    20: ("address", False),
    21: ("address", True),
    24: ("route", False),
    25: ("route", True),
    28: ("neighbour", False),
    29: ("neighbour", True),
}


class Monitor:
    """Make one with `open`; keeps the namespace alive until `close`."""

    def __init__(self, sock: socket.socket, space: str) -> None:
        self._socket, self._space = sock, space
        self._buffer = bytearray(65536)
        self._waiting: dict[Event, None] = {}  # in order of arrival, each once
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    @classmethod
    async def open(cls, spaces: Spaces, space: str = HOST, groups: Group = Group.ALL) -> "Monitor":
        """Everything that changes after this returns will be said."""
        return cls(await spaces.run(space, _make_socket, groups), space)

    async def next(self) -> Event:
        """The oldest event; waits for one. For one reader."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        event = next(iter(self._waiting))
        del self._waiting[event]
        return event

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_BATCH):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                log.info("events were lost", extra={"space": self._space})
                self._empty()
                self._waiting = {Resync(): None}  # it says more than all that wait
                self._arrived.set()
                return
            for event in decode_events(memoryview(self._buffer)[:size]):
                self._waiting[event] = None
            self._arrived.set()

    def _empty(self) -> None:
        """Until what it kept is read the kernel keeps nothing more, and does not say so again: who looked
        before that would not hear of what came after.
        """
        while True:
            try:
                self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise


def decode_events(data: memoryview) -> list[Changed]:
    """The events in one datagram; a torn or unknown message is passed over."""
    events = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            break
        event = _event(kind, data[at + _HEADER.size : at + length])
        if event is not None:
            events.append(event)
        at += (length + 3) & ~3
    return events


def _event(kind: int, payload: memoryview) -> Changed | None:
    known = _KINDS.get(kind)
    if known is None or len(payload) < _INDEX_AT_4.size:
        return None
    what, gone = known
    if what == "route":
        return Changed(what, decode.route_link(payload), gone)
    return Changed(what, _INDEX_AT_4.unpack_from(payload)[0], gone)


def _make_socket(groups: Group) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    sock = socket.socket(socket.AF_NETLINK, kind, 0)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        sock.bind((0, int(groups)))
    except BaseException:
        sock.close()
        raise
    return sock

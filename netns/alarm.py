"""Says that something changed in a namespace, not what: for watching a hundred of them.

    alarm = await Alarm.open(spaces, "n-blue", lambda: dirty.add("n-blue"))
    alarm.close()                  # before the namespace is deleted: it keeps it alive

Links, addresses, routes and nftables rules. It reads nothing of the messages, so one that was lost
says as much as one that came. Whom it tells looks for himself; `monitor` says where to look.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from netns.monitor import Group
from netns.spaces import Spaces

_GROUPS = Group.LINK | Group.ADDRESS | Group.ROUTE
_NETLINK_NETFILTER, _NFNLGRP_NFTABLES = 12, 7
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_BATCH = 64  # datagrams read before the loop gets its turn again


class Alarm:
    """Make one with `open`."""

    def __init__(self, sockets: tuple[socket.socket, ...], rings: Callable[[], None]) -> None:
        self._sockets, self._rings = sockets, rings
        self._loop = asyncio.get_running_loop()
        for sock in sockets:
            self._loop.add_reader(sock, self._read, sock)

    @classmethod
    async def open(cls, spaces: Spaces, space: str, rings: Callable[[], None]) -> "Alarm":
        """`rings` is called after each change from now on, from the loop."""
        return cls(await spaces.run(space, _make_sockets), rings)

    def close(self) -> None:
        """More than once is once."""
        for sock in self._sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock)
                sock.close()

    def _read(self, sock: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                sock.recv(1)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
        self._rings()


def _make_sockets() -> tuple[socket.socket, ...]:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    rtnetlink = socket.socket(socket.AF_NETLINK, kind, 0)
    rtnetlink.bind((0, int(_GROUPS)))
    try:
        rules = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
    except OSError:  # no nftables on this kernel
        return (rtnetlink,)
    rules.bind((0, 0))
    rules.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
    return rtnetlink, rules

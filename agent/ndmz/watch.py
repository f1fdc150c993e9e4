"""What nobody else tells: that somebody touched nftables rules, and DNS servers in RAs.

    events = await Events.open(spaces, "ndmz")
    await events.rules_changed()          # again and again; `host_rules_changed` on the host
    servers = await events.servers()      # again and again
    events.close()

Both are netlink multicast. An overflow is an event as well: the caller looks again.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import NoReturn

from agent.ndmz.rdnss import GROUP, Servers, decode_servers
from netns.spaces import HOST, Spaces

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
# nlmsghdr (NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE; request and acknowledge), nfgenmsg
_FLUSH_FLOWS = struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 0, 0, 0, 0, 0)


class Events:
    def __init__(self, rules: socket.socket, host: socket.socket, adverts: socket.socket) -> None:
        self._rules, self._host, self._adverts = rules, host, adverts

    @classmethod
    async def open(cls, spaces: Spaces, space: str) -> "Events":
        rules = await spaces.run(space, _listen, _NETLINK_NETFILTER, _NFNLGRP_NFTABLES)
        host = await spaces.run(HOST, _listen, _NETLINK_NETFILTER, _NFNLGRP_NFTABLES)
        return cls(rules, host, await spaces.run(space, _listen, 0, GROUP))

    async def rules_changed(self) -> None:
        await _receive(self._rules)

    async def host_rules_changed(self) -> None:
        await _receive(self._host)

    async def servers(self) -> list[Servers]:
        return decode_servers(await _receive(self._adverts))

    def close(self) -> None:
        self._rules.close()
        self._host.close()
        self._adverts.close()


async def always(event: Callable[[], Awaitable[object]], then: Callable[[], None]) -> NoReturn:
    """After each event that comes, for ever."""
    while True:
        await event()
        then()


async def flush_flows(spaces: Spaces, space: str) -> None:
    """Forget every tracked flow: one that began while the guard was away stays open otherwise."""
    await spaces.run(space, _flush)


def _listen(protocol: int, group: int) -> socket.socket:
    flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sock = socket.socket(socket.AF_NETLINK, flags, protocol)
    sock.bind((0, 0))
    sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    return sock


async def _receive(sock: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 65536)
    except OSError:  # ENOBUFS: there was more than we kept up with
        await asyncio.sleep(0.01)
        return b""


def _flush() -> None:
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
    ) as sock:
        sock.settimeout(1)
        sock.sendto(_FLUSH_FLOWS, (0, 0))
        sock.recv(4096)

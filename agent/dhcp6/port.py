"""The DHCPv6 traffic of one link: a UDP socket while we expect answers, nothing while we do not.

It sends to all servers on the link from its link-local address, and hears only what comes from one:
nobody behind a router answers for the link. The namespace's firewall has to let answers in.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from ipaddress import IPv6Address

from agent.dhcp.options import BadMessageError, StrayMessageError
from agent.dhcp6.wire import MAX_MESSAGE, Query, encode_query
from netns.spaces import Spaces

log = logging.getLogger(__name__)

SERVERS = "ff02::1:2"
CLIENT_PORT, SERVER_PORT = 546, 547
_BURST = 64  # datagrams read before the loop gets its turn


class LinkPort:
    """`received` gets each payload, `refused` the reason why one is none."""

    def __init__(self, spaces: Spaces, space: str, link: str) -> None:
        self._spaces, self._space, self._link = spaces, space, link
        self._sock: socket.socket | None = None
        self._index = 0
        self.received: Callable[[bytes], None] = lambda _: None
        self.refused: Callable[[BadMessageError], None] = lambda _: None

    async def send(self, query: Query) -> None:
        """Send, and listen for the answer. Raises OSError when the link is not there, or has no
        address yet.
        """
        if self._sock is None:
            opened = await self._spaces.run(self._space, _open, self._link)
            self._sock, self._index = opened
            asyncio.get_running_loop().add_reader(self._sock, self._read, self._sock)
        self._sock.sendto(encode_query(query), (SERVERS, SERVER_PORT, 0, self._index))

    def rest(self) -> None:
        """Nothing is expected now."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def _read(self, sock: socket.socket) -> None:
        for _ in range(_BURST):
            try:
                data, sender = sock.recvfrom(MAX_MESSAGE + 1)
            except BlockingIOError:
                return
            except OSError as error:  # the link went: the next query opens another
                log.debug("link cannot be read", extra={"link": self._link, "reason": error})
                self.rest()
                return
            try:
                if not IPv6Address(sender[0].partition("%")[0]).is_link_local:
                    raise StrayMessageError("it comes from behind a router")
                self.received(data)
            except BadMessageError as error:
                self.refused(error)


def _open(link: str) -> tuple[socket.socket, int]:
    index = socket.if_nametoindex(link)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("::", CLIENT_PORT))
    except BaseException:
        sock.close()
        raise
    return sock, index

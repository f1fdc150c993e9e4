"""One link's DHCP traffic: a packet socket while we expect answers, nothing while we do not.

The packet socket works before there is an address, below any firewall of ours, and its filter
keeps all other traffic in the kernel. A renewal goes out by a UDP socket of the address, as the
server must be reached by routing; its answer is seen by the packet socket all the same.
"""

import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable
from ipaddress import IPv4Address

from agent.dhcp.datagram import BROADCAST, CLIENT_PORT, SERVER_PORT, unwrap, wrap
from agent.dhcp.options import BadMessageError
from agent.dhcp.wire import Query, encode_query
from netns.packet import ETH_P_IP, destination, open_packet_socket
from netns.spaces import Spaces

log = logging.getLogger(__name__)
_SOL_PACKET, _PACKET_AUXDATA, _CHECKSUM_PENDING = 263, 8, 8
_BURST = 64  # datagrams read before the loop gets its turn
_TOO_LONG = 2048
_POLL = 0.005


class LinkPort:
    """`received` gets each payload for the client port, `refused` the reason why one is none."""

    def __init__(self, spaces: Spaces, space: str, link: str) -> None:
        self._spaces, self._space, self._link = spaces, space, link
        self._packets: socket.socket | None = None
        self._unicast: socket.socket | None = None
        self._closing: asyncio.Future[None] | None = None
        self.received: Callable[[bytes], None] = lambda _: None
        self.refused: Callable[[BadMessageError], None] = lambda _: None

    async def listen(self) -> None:
        """Be ready for answers; on a link that is still down as well. Raises CannotError."""
        if self._packets is not None:
            return
        sock = await open_packet_socket(
            self._spaces, self._space, self._link, ETH_P_IP, udp_port=CLIENT_PORT
        )
        sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        # On a link that is down the socket begins with ENETDOWN, which the first send would get.
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        asyncio.get_running_loop().add_reader(sock, self._read, sock)
        self._packets = sock

    async def send(self, query: Query, to: IPv4Address | None) -> None:
        """Send, and listen for the answer. Raises OSError when the link cannot send, CannotError
        when there is no such link.
        """
        await self.listen()
        if to is None:
            self._broadcast(encode_query(query), source=query.ciaddr)
        else:
            await self._send_unicast(encode_query(query), source=query.ciaddr, to=to)

    async def until_sent(self, within: float) -> None:
        """Return when what went out by unicast has left the machine: it may wait there for ARP."""
        deadline = asyncio.get_running_loop().time() + within
        while self._unicast is not None and _waiting(self._unicast):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_POLL)

    def rest(self) -> None:
        """Nothing is expected now."""
        if self._packets is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._packets)
            # It takes 15 ms, which nobody need wait for.
            self._closing = loop.run_in_executor(None, self._packets.close)
            self._packets = None
        self._end_unicast()

    def _broadcast(self, payload: bytes, *, source: IPv4Address) -> None:
        if self._packets is not None:
            datagram = wrap(payload, source=source, destination=BROADCAST)
            self._packets.sendto(datagram, destination(self._link, ETH_P_IP))

    async def _send_unicast(self, payload: bytes, *, source: IPv4Address, to: IPv4Address) -> None:
        self._end_unicast()
        self._unicast = await self._spaces.run(self._space, _udp_socket, self._link, source)
        self._unicast.sendto(payload, (str(to), SERVER_PORT))

    def _end_unicast(self) -> None:
        if self._unicast is not None:
            self._unicast.close()
            self._unicast = None

    def _read(self, sock: socket.socket) -> None:
        for _ in range(_BURST):
            try:
                packet, beside, _, _ = sock.recvmsg(_TOO_LONG, socket.CMSG_SPACE(20))
            except BlockingIOError:
                return
            except OSError as error:  # the link went down: said once, then it works again
                log.debug("link cannot be read", extra={"link": self._link, "reason": error})
                return
            try:
                self.received(unwrap(packet, checksum_pending=_is_pending(beside)))
            except BadMessageError as error:
                self.refused(error)


def _waiting(sock: socket.socket) -> int:
    """Bytes that were sent and are still here."""
    left = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("=i", left)[0])


def _is_pending(beside: list[tuple[int, int, bytes]]) -> bool:
    """Whether the kernel says that the checksum is still to be filled in by hardware."""
    return any(
        (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA)
        and struct.unpack_from("=I", data)[0] & _CHECKSUM_PENDING
        for level, kind, data in beside
    )


def _udp_socket(link: str, address: IPv4Address) -> socket.socket:
    """A socket that sends from our address by our link; it takes no answers, only their echo."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        sock.bind((str(address), CLIENT_PORT))
    except BaseException:
        sock.close()
        raise
    return sock

"""ARP for a new address: tell everybody that we have it, and find out whether somebody else does.

The announcement goes first, as the address is in use from its first moment (a neighbour that
remembers an older MAC for it would be deaf to us); the probe of RFC 5227 runs beside it.
"""

import asyncio
import logging
import socket
from ipaddress import IPv4Address

from netns import arp
from netns.packet import ETH_P_ARP, close_packet_socket, destination, open_packet_socket
from netns.spaces import Spaces

log = logging.getLogger(__name__)
# Seconds after binding. RFC 5227: two announcements 2 s apart; three probes 1 to 2 s apart.
ANNOUNCE_AT = (0.0, 2.0)
PROBE_AT = (0.0, 1.0, 2.0)
LISTEN_S = 4.0  # 2 s after the last probe


async def announce_and_probe(
    spaces: Spaces, space: str, link: str, mac: str, address: IPv4Address
) -> str | None:
    """The MAC of another host that has `address`; None after LISTEN_S seconds without one.

    Raises CannotError when there is no such link.
    """
    sock = await open_packet_socket(spaces, space, link, ETH_P_ARP)
    loop = asyncio.get_running_loop()
    began = loop.time()
    timers = [
        loop.call_later(at, _send, sock, link, packet)
        for packet, moments in (
            (arp.announcement(mac, address), ANNOUNCE_AT),
            (arp.probe(mac, address), PROBE_AT),
        )
        for at in moments
    ]
    try:
        async with asyncio.timeout_at(began + LISTEN_S):
            return await _holder(sock, mac, address)
    except TimeoutError:
        return None
    finally:
        for timer in timers:
            timer.cancel()
        await close_packet_socket(sock)


def _send(sock: socket.socket, link: str, packet: arp.Arp) -> None:
    try:
        sock.sendto(arp.encode(packet), destination(link, ETH_P_ARP))
    except OSError as error:  # no carrier: another announcement comes with it
        log.debug("not announced", extra={"link": link, "reason": error.strerror})


async def _holder(sock: socket.socket, mac: str, address: IPv4Address) -> str:
    loop = asyncio.get_running_loop()
    while True:
        try:
            packet = arp.decode(await loop.sock_recv(sock, 2048))
        except OSError as error:  # said once when the link goes down
            log.debug("ARP cannot be read", extra={"reason": error.strerror})
            await asyncio.sleep(0.1)
            continue
        if packet is not None and claims(packet, mac, address):
            return packet.sender_mac


def claims(packet: arp.Arp, mac: str, address: IPv4Address) -> bool:
    """Whether another host says that `address` is its own.

    One that only probes for it does not: we have the server's word, it has nobody's, and switches
    that track their hosts probe for every address they see.
    """
    return packet.sender == address and packet.sender_mac != mac.lower()

"""One router solicitation, sent the moment npub6 is up.

The kernel asks only when duplicate detection of its link-local address is over, a second later.
Asked at once from the unspecified address (RFC 4861, 4.1: allowed, without our MAC), routers answer
to all nodes, and the detection of both addresses runs side by side: IPv6 is there a second sooner.
"""

import asyncio
import socket
import struct

from netns.spaces import Spaces

_ALL_ROUTERS = bytes.fromhex("ff02" + "00" * 13 + "02")
_ICMPV6, _ROUTER_SOLICIT, _ETHERTYPE = 58, 133, 0x86DD


async def solicit_router(spaces: Spaces, space: str, link: str, mac: str) -> None:
    """Raises OSError when the link takes no frames; the kernel's own question follows anyway."""
    sock = await spaces.run(space, _send, link, encode_solicitation(mac))
    await asyncio.to_thread(sock.close)  # takes 15 ms


def encode_solicitation(mac: str) -> bytes:
    """The Ethernet frame."""
    message = struct.pack("!BBHI", _ROUTER_SOLICIT, 0, 0, 0)
    ends = bytes(16) + _ALL_ROUTERS
    words = struct.unpack("!24H", ends + struct.pack("!II", len(message), _ICMPV6) + message)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    message = message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:]
    ethernet = bytes.fromhex("333300000002" + mac.replace(":", "")) + struct.pack("!H", _ETHERTYPE)
    return ethernet + struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + ends + message


def _send(link: str, frame: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        sock.sendto(frame, (link, 0))
    except OSError:
        sock.close()
        raise
    return sock

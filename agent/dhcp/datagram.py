"""IPv4 and UDP headers around a DHCP message, for a link that has no address yet.

A packet socket hands us every kind of IPv4 datagram; `unwrap` gives the payload of a whole one
for the client port or raises BadMessageError.
"""

import struct
from ipaddress import IPv4Address

from agent.dhcp.options import BadMessageError

SERVER_PORT, CLIENT_PORT = 67, 68
UDP = 17
BROADCAST = IPv4Address("255.255.255.255")
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_PSEUDO = struct.Struct("!4s4sBBH")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over data that contains its own."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def wrap(payload: bytes, *, source: IPv4Address, destination: IPv4Address) -> bytes:
    """An IPv4 datagram from the client port to the server port."""
    size = _UDP.size + len(payload)
    pseudo = _PSEUDO.pack(source.packed, destination.packed, 0, UDP, size)
    bare = _UDP.pack(CLIENT_PORT, SERVER_PORT, size, 0) + payload
    udp = _UDP.pack(CLIENT_PORT, SERVER_PORT, size, checksum(pseudo + bare) or 0xFFFF)
    fields = (0x45, 0x10, _IP.size + size, 0, 0, 64, UDP)
    bare_ip = _IP.pack(*fields, 0, source.packed, destination.packed)
    ip = _IP.pack(*fields, checksum(bare_ip), source.packed, destination.packed)
    return ip + udp + payload


def unwrap(packet: bytes, *, checksum_pending: bool = False) -> bytes:
    """The UDP payload of a datagram for the client port.

    `checksum_pending`: the sender is on this machine and leaves the UDP checksum to hardware that
    the packet never meets (the kernel says so beside the packet).
    """
    if len(packet) < _IP.size + _UDP.size:
        raise BadMessageError("too short for UDP")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(packet)
    header = (first & 0x0F) * 4
    if first >> 4 != 4 or header < _IP.size or not header + _UDP.size <= total <= len(packet):
        raise BadMessageError("no whole IPv4 datagram")
    if protocol != UDP or fragment & 0x3FFF:
        raise BadMessageError("not UDP, or a fragment")
    if checksum(packet[:header]):
        raise BadMessageError("a wrong IPv4 checksum")
    segment = packet[header:total]
    _, port, size, given = _UDP.unpack_from(segment)
    if port != CLIENT_PORT or not _UDP.size <= size <= len(segment):
        raise BadMessageError("not for the DHCP client port")
    segment = segment[:size]
    pseudo = _PSEUDO.pack(source, destination, 0, UDP, size)
    if given and not checksum_pending and checksum(pseudo + segment):
        raise BadMessageError("a wrong UDP checksum")
    return segment[_UDP.size :]

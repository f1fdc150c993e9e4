"""Ethernet frames that no honest sender makes, byte by byte."""

import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

PORT = 4242
_ALL_NODES = IPv6Address("ff02::1")
_ALL_ROUTERS = IPv6Address("ff02::2")


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(to: str, sender: str, kind: int, payload: bytes) -> bytes:
    return mac_bytes(to) + mac_bytes(sender) + struct.pack("!H", kind) + payload


def udp4(to: str, sender: str, source: str, destination: str, *, sport: int = PORT) -> bytes:
    """A UDP datagram for port PORT."""
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    datagram = struct.pack("!HHHH", sport, PORT, 9, 0) + b"x"  # no checksum: allowed in IPv4
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0) + ends
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(to, sender, 0x0800, header + datagram)


def tcp4(to: str, sender: str, source: str, destination: str, *, flags: int) -> bytes:
    """An empty segment with these flags (RFC 9293, 3.1: FIN is 1, SYN is 2) for port PORT."""
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    segment = struct.pack("!HHIIBBHHH", PORT, PORT, 1, 0, 0x50, flags, 1024, 0, 0)
    total = checksum(ends + struct.pack("!HH", 6, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0) + ends
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(to, sender, 0x0800, header + segment)


def udp6(to: str, sender: str, source: str, destination: str, *, sport: int = PORT) -> bytes:
    datagram = struct.pack("!HHHH", sport, PORT, 9, 0) + b"x"
    return ipv6(to, sender, source, destination, datagram, protocol=17, checksum_at=6)


def ipv6(
    to: str,
    sender: str,
    source: str,
    destination: str,
    message: bytes,
    *,
    protocol: int = 58,
    checksum_at: int = 2,
    hops: int = 64,
    options: bytes = b"",
) -> bytes:
    """`options`: a hop-by-hop header, whose first byte is overwritten by the protocol."""
    ends = IPv6Address(source).packed + IPv6Address(destination).packed
    pseudo = ends + struct.pack("!II", len(message), protocol)
    total = struct.pack("!H", checksum(pseudo + message) or 0xFFFF)
    message = message[:checksum_at] + total + message[checksum_at + 2 :]
    body = (bytes([protocol]) + options[1:] if options else b"") + message
    header = struct.pack("!IHBB", 6 << 28, len(body), 0 if options else protocol, hops) + ends
    return ethernet(to, sender, 0x86DD, header + body)


def arp_claim(to: str, sender: str, claimed: str, asked: str) -> bytes:
    """An answer nobody asked for: `claimed` is at `sender`."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac_bytes(sender)
    body += IPv4Address(claimed).packed + mac_bytes(to) + IPv4Address(asked).packed
    return ethernet(to, sender, 0x0806, body)


def advert_claim(to: str, sender: str, source: str, claimed: str, destination: str) -> bytes:
    """A neighbour advertisement with the override flag: `claimed` is at `sender`."""
    message = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + IPv6Address(claimed).packed
    message += b"\x02\x01" + mac_bytes(sender)
    return ipv6(to, sender, source, destination, message, hops=255)


def duplicate_probe(sender: str, asked: str) -> bytes:
    """Is `asked` somebody's? From the unspecified address, as duplicate detection asks."""
    message = struct.pack("!BBHI", 135, 0, 0, 0) + IPv6Address(asked).packed
    return ipv6("33:33:ff:00:00:01", sender, "::", "ff02::1:ff00:1", message, hops=255)


def link_layer_discovery(sender: str) -> bytes:
    """LLDP: bridges take these frames for themselves, before any firewall."""
    return ethernet("01:80:c2:00:00:0e", sender, 0x88CC, bytes(60))


def router_solicit(sender: str, source: str) -> bytes:
    message = struct.pack("!BBHI", 133, 0, 0, 0) + b"\x01\x01" + mac_bytes(sender)
    return ipv6("33:33:00:00:00:02", sender, source, str(_ALL_ROUTERS), message, hops=255)


def router_advert(
    sender: str,
    source: str,
    *,
    lifetime: int,
    prefix: str = "",
    servers: tuple[str, ...] = (),
    prefixes: tuple[str, ...] = (),
    mtu: int | None = None,
    life: int = 600,
) -> bytes:
    """To all nodes: a default router for `lifetime` seconds; a /64, or `prefixes` with their lengths,
    on the link and for addresses, for `life` seconds, and DNS servers for 600.
    """
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
    for net in map(IPv6Network, (*([f"{prefix}/64"] if prefix else []), *prefixes)):
        message += struct.pack("!BBBBIII", 3, 4, net.prefixlen, 0xC0, life, life, 0)
        message += net.network_address.packed
    if mtu is not None:
        message += struct.pack("!BBHI", 5, 1, 0, mtu)
    if servers:
        message += struct.pack("!BBHI", 25, 1 + 2 * len(servers), 0, 600)
        message += b"".join(IPv6Address(server).packed for server in servers)
    return ipv6("33:33:00:00:00:01", sender, source, str(_ALL_NODES), message, hops=255)


def listener_query(sender: str, source: str) -> bytes:
    """MLDv2: who listens to what? Answers within a millisecond, please."""
    message = struct.pack("!BBHHH", 130, 0, 0, 1, 0) + bytes(16) + struct.pack("!BBH", 2, 125, 0)
    alert = b"\x00\x00\x05\x02\x00\x00\x01\x00"
    return ipv6(
        "33:33:00:00:00:01", sender, source, str(_ALL_NODES), message, hops=1, options=alert
    )


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

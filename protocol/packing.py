"""IP addresses and prefixes as bytes: the address, then its prefix length in one byte.

4 + 1 or 16 + 1 bytes. Decoding is strict: other sizes, too long prefixes and set host bits in a
prefix are refused, so that there is one form for each value.
"""

import re
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network
_OCTET = r"(0|[1-9][0-9]{0,2})"
_DOTTED = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}:([0-9]{{1,5}})\Z")


def pack_interface(interface: IPInterface) -> bytes:
    return interface.ip.packed + bytes([interface.network.prefixlen])


def unpack_interface(data: bytes) -> IPInterface:
    """Raises ValueError."""
    if len(data) not in (5, 17):
        raise ValueError("an address has 5 or 17 bytes")
    address = ip_address(data[:-1])
    if data[-1] > address.max_prefixlen:
        raise ValueError("the prefix is longer than the address")
    return ip_interface((address, data[-1]))


def pack_network(network: IPNetwork) -> bytes:
    return network.network_address.packed + bytes([network.prefixlen])


def unpack_network(data: bytes) -> IPNetwork:
    """Raises ValueError, also when host bits are set."""
    interface = unpack_interface(data)
    if interface.ip != interface.network.network_address:
        raise ValueError("host bits are set in a prefix")
    return ip_network(interface.network)


def parse_endpoint(text: str) -> tuple[IPAddress, int]:
    """`192.0.2.1:51820` or `[2001:db8::1]:51820`. Raises ValueError: names are not endpoints, nor are
    addresses with a scope (`fe80::1%eth0`), behind whose sign Python takes any text at all.
    """
    plain = _DOTTED.match(text)
    if plain is not None:  # as nearly all are; ipaddress takes three times as long to read it
        *octets, last = map(int, plain.groups())
        if max(octets) < 256 and 0 < last < 65536:
            return IPv4Address(int.from_bytes(octets)), last
    host, _, port = text.rpartition(":")
    if not text.isascii() or "%" in text:
        raise ValueError(f"{text!r} is no endpoint")
    if host.startswith("[") and host.endswith("]"):
        address: IPAddress = IPv6Address(host[1:-1])
    else:
        address = IPv4Address(host)
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} has no port")
    return address, int(port)


def is_endpoint_address(address: IPAddress) -> bool:
    """Whether packets to `address` can reach another machine: not the reader itself, nobody, all,
    or somebody on a link that the reader would have to guess.
    """
    if isinstance(address, IPv4Address):
        value = int(address)  # ten times as quick as asking ipaddress for each of them
        local = value >> 24 == 127 or value >> 16 == 0xA9FE
        return 0 < value < 224 << 24 and not local
    return not (
        address.ipv4_mapped is not None
        or address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


def format_endpoint(address: IPAddress, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"

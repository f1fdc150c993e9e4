"""What a member has in a network without anybody writing it down (pure).

    carried(network, network_id, member, assignments)    # addresses and prefixes, as certified
    ranges_of(network, network_id, pools)                # all of the network's, the computed ones too

A subnet of `member_prefix` follows from the address; rfc4193 and 6plane addresses follow from the
network's id and the node's, by ZeroTier's formulas (ZeroTierOne, node/InetAddress.cpp,
makeIpv6rfc4193 and makeIpv66plane).
"""

from collections.abc import Iterable
from ipaddress import IPv6Network, ip_network

from controller.addresses.pools import subnet_size
from controller.store.records import Assignment, Member, Network, Pool
from protocol.packing import pack_network

RFC4193_LENGTH, SIXPLANE_LENGTH, SIXPLANE_OWN = 88, 40, 80
Packed = tuple[bytes, ...]


def carried(
    network: Network, network_id: str, member: Member, held: Iterable[Assignment]
) -> tuple[Packed, Packed]:
    """Addresses with the lengths of their ranges, and prefixes of its own; packed and sorted."""
    rows = [row for row in held if not row.released_at]
    addresses = {row.packed for row in rows}
    prefixes = set()
    if member.prefixes:
        prefixes = {pack_network(ip_network(text)) for text in member.prefixes.split()}
    if network.member_prefix:
        prefixes |= {
            subnet
            for row in rows
            if row.family == 4 and (subnet := _subnet(row, network.member_prefix))
        }
    if network.rfc4193:
        addresses.add(rfc4193(network_id, member.node))
    if network.sixplane:
        own = sixplane(network_id, member.node)
        addresses.add(own)
        prefixes.add(own[:10] + bytes(6) + bytes((SIXPLANE_OWN,)))
    return tuple(sorted(addresses)), tuple(sorted(prefixes))


def ranges_of(network: Network, network_id: str, pools: Iterable[Pool]) -> Packed:
    """All ranges of a network, packed and sorted."""
    ranges = {*(pool.range for pool in pools), *computed_ranges(network, network_id)}
    return tuple(sorted(pack_network(one) for one in ranges))


def computed_ranges(network: Network, network_id: str) -> list[IPv6Network]:
    ranges = []
    if network.rfc4193:
        ranges.append(_around(rfc4193(network_id, 0)))
    if network.sixplane:
        ranges.append(_around(sixplane(network_id, 0)))
    return ranges


def rfc4193(network_id: str, node: int) -> bytes:
    """fd, the network's id, 9993, the node's address: a unique local address (RFC 4193) in a /88."""
    packed = b"\xfd" + bytes.fromhex(network_id) + b"\x99\x93" + node.to_bytes(5)
    return packed + bytes((RFC4193_LENGTH,))


def sixplane(network_id: str, node: int) -> bytes:
    """fc, the halves of the network's id over each other, the node's address, 0 … 1: the first
    address of a /80 that is all the node's, in a /40.
    """
    high, low = int(network_id[:8], 16), int(network_id[8:], 16)
    packed = b"\xfc" + (high ^ low).to_bytes(4) + node.to_bytes(5) + bytes(5) + b"\x01"
    return packed + bytes((SIXPLANE_LENGTH,))


def _subnet(row: Assignment, length: int) -> bytes:
    """Empty for an address that is not the first of one: somebody else may have that."""
    address = int.from_bytes(row.address[12:])
    base = address & -subnet_size(length)
    return base.to_bytes(4) + bytes((length,)) if address == base + 1 else b""


def _around(packed: bytes) -> IPv6Network:
    return IPv6Network((packed[:16], packed[16]), strict=False)

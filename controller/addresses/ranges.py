"""Ranges of addresses as people write them, checked (pure).

range_of("10.9.0.0/16", 4)        an IPv4Network, or RefusedError that says what to write
pool_of(number, network)          the pool's row of network `number`
check_beside(pool, others, more)  whether a network can have it beside the others
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

from controller.addresses.pools import usable_range
from controller.refusal import RefusedError
from controller.store.records import Pool, sixteen
from protocol.messages import Code
from protocol.packing import IPAddress, IPNetwork

IPV4_LENGTHS = range(8, 31)
_BEHIND_NDMZ = IPv4Network("100.127.0.0/16")  # every node has it inside: packets would go astray


def range_of(text: str, version: int | None = None) -> IPNetwork:
    """A range of this IP version (None: of any). Raises RefusedError."""
    network, reason, hint = _read(text)
    if network is not None and version not in (None, network.version):
        reason, hint = f"it is IPv{network.version}", f"--ipv{network.version} {text}"
    if network is None or reason:
        raise RefusedError(Code.BAD_REQUEST, f"cannot use the range {text}: {reason}", hint=hint)
    return network


def pool_of(number: int, network: IPNetwork, first: str = "", last: str = "") -> Pool:
    """Members get its usable addresses, or those from `first` to `last`. Raises RefusedError."""
    pool = _whole(number, network)
    lowest, highest = pool.ends
    ends = (
        _end(network, first) if first else lowest,
        _end(network, last) if last else highest,
    )
    if not int(lowest) <= int(ends[0]) <= int(ends[1]) <= int(highest):
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use the range {ends[0]} to {ends[1]} of {network}",
            hint=f"from {lowest} to {highest} is what members can have of it",
        )
    return msgspec.structs.replace(pool, first=sixteen(ends[0]), last=sixteen(ends[1]))


def check_beside(pool: Pool, others: Iterable[Pool], more: Iterable[IPNetwork] = ()) -> None:
    """Two ranges of one network are two prefixes apart, or two parts of one prefix. `more`: where
    its computed addresses are. Raises RefusedError.
    """
    for other in others:
        if other.range == pool.range:
            if other.first <= pool.last and pool.first <= other.last:
                first, last = other.ends
                raise RefusedError(
                    Code.CONFLICT,
                    f"cannot use this part of {pool.prefix}: the network has {first} to {last}",
                )
        else:
            check_apart((other.range, pool.range))
    for network in more:
        check_apart((network, pool.range))


def _end(network: IPNetwork, text: str) -> IPAddress:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot use {text!r} as an end of a range: it is no address"
        ) from error
    if address not in network:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot use {text} as an end of a range: it is not in {network}"
        )
    return address


def _whole(number: int, network: IPNetwork) -> Pool:
    """Raises RefusedError: not one for an overlay, or nothing left for members."""
    check_overlay(network)
    try:
        first, last = usable_range(network)
    except ValueError as error:
        smallest = 30 if network.version == 4 else 126
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use the range {network}: it has no address for a member",
            hint=f"the smallest is a /{smallest}, with {1 if network.version == 4 else 2}",
        ) from error
    return Pool(number, str(network), network.version, sixteen(first), sixteen(last))


def check_overlay(network: IPNetwork) -> None:
    """Raises RefusedError when these addresses mean something else on every node."""
    unfit = network.is_multicast or network.is_loopback or network.is_link_local
    if unfit or network.prefixlen < IPV4_LENGTHS[0] or network.overlaps(_BEHIND_NDMZ):
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use the range {network}: it is not one for an overlay",
            hint="such as 10.9.0.0/16 or fd00:9::/64",
        )


def check_apart(ranges: Iterable[IPNetwork]) -> None:
    """Raises RefusedError when two ranges of one network have addresses in common."""
    seen: list[IPNetwork] = []
    for network in ranges:
        for other in seen:
            if network.version == other.version and network.overlaps(other):
                raise RefusedError(
                    Code.CONFLICT,
                    f"cannot use the range {network}: it overlaps {other} of the same network",
                    hint="ranges of different networks may overlap",
                )
        seen.append(network)


def default_ranges(controller: str, number: int) -> list[IPNetwork]:
    """10.(100…227).0.0/16 by the number, and a /64 of the /48 that the controller's id gives."""
    second = 100 + (number - 1) % 128
    base = int.from_bytes(b"\xfd" + bytes.fromhex(controller)) << 80
    return [
        IPv4Network(f"10.{second}.0.0/16"),
        IPv6Network((base | (number & 0xFFFF) << 64, 64)),
    ]


def _read(text: str) -> tuple[IPNetwork | None, str, str]:
    """The range, or why it is none and what to write."""
    try:
        return ip_network(text), "", ""
    except ValueError:
        pass
    try:
        around = ip_network(text, strict=False)
    except ValueError:
        return None, "it is no range of addresses", "such as 10.9.0.0/16 or fd00:9::/64"
    return None, "it is an address in a range", f"did you mean {around}?"

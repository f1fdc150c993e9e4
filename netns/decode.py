"""rtnetlink messages as values: the payload after the netlink header, decoded. Pure.

Does not encode (`rtnl` does) and reads no more than `values` holds: six times quicker than a
decoder of everything. Numbers are in host order, addresses in network order (rtnetlink(7)).
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
)

from netns.values import (
    Address,
    AddressFlag,
    IPAddress,
    IPNetwork,
    Link,
    Neighbour,
    NeighbourState,
    Route,
)

AF_INET, AF_INET6 = 2, 10
Attributes = dict[int, memoryview]

_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_NEXTHOP = struct.Struct("=HBBi")  # length, flags, hops, index
_HEADER = struct.Struct("=HH")

_INFO_DATA = 2
_OF_A_BRIDGE = _HEADER.pack(11, 1) + b"bridge\0\0"  # IFLA_INFO_KIND

_IFF_UP, _IFF_LOOPBACK, _IFF_LOWER_UP = 0x1, 0x8, 0x10000
_INFINITE = 0xFFFFFFFF
_KNOWN = (
    1024  # addresses of a node, which come with each look; ipaddress takes its time to make them
)
_UNICAST, _UNREACHABLE = 1, 7
_RA_MANAGED, _RA_OTHER = 0x40, 0x80  # IF_RA_* of net/if_inet6.h
_TYPE_MASK = 0x3FFF  # the two top bits say "nested" and "network order"


def attributes(data: memoryview | bytes, start: int = 0) -> Attributes:
    """The attributes in `data` from `start`; the last of a kind wins."""
    return dict(each_attribute(data, start))


def each_attribute(data: memoryview | bytes, start: int = 0) -> Iterator[tuple[int, memoryview]]:
    """Kind and value of each, in their order; a torn one ends the walk."""
    view = memoryview(data)
    at, end = start, len(view)
    while at + 4 <= end:
        length, kind = _HEADER.unpack_from(view, at)
        if length < 4 or at + length > end:
            break
        yield kind & _TYPE_MASK, view[at + 4 : at + length]
        at += (length + 3) & ~3


def without_timers(payload: bytes) -> bytes:
    """A link but for what a bridge says of itself (IFLA_INFO_DATA): to compare, not to decode. The
    same bytes again as long as nobody changes anything that `decode_link` reads.
    """
    at = payload.find(_OF_A_BRIDGE)
    if at < 0:
        return payload
    at += len(_OF_A_BRIDGE)
    length, kind = _HEADER.unpack_from(payload, at)
    return payload[:at] + payload[at + length :] if kind & _TYPE_MASK == _INFO_DATA else payload


def decode_link(payload: bytes) -> Link:
    _, hardware, index, flags, _ = _LINK.unpack_from(payload)
    have = attributes(payload, _LINK.size)
    info = attributes(have.get(18, b""))  # IFLA_LINKINFO
    port = attributes(info.get(5, b"")) if _text(info.get(4)) == "bridge" else {}
    kind = _text(info.get(1))
    return Link(
        index=index,
        name=_text(have.get(3)),
        kind=kind or None,
        mac=bytes(have[1]).hex(":") if len(have.get(1, b"")) == 6 else "",
        mtu=_number(have.get(4)),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        master=_number(have.get(10)) or None,
        alias=_text(have.get(20)),
        parent=_number(have.get(5)) or None,
        loopback=bool(flags & _IFF_LOOPBACK) or hardware == 772,
        group=_number(have.get(27)),
        isolated=bool(_number(port.get(33))),
        learning=bool(_number(port.get(8), default=1)),
        dhcp6=bool(_ipv6_flags(have.get(26)) & (_RA_MANAGED | _RA_OTHER)),
    )


def _ipv6_flags(families: memoryview | None) -> int:
    """IFLA_INET6_FLAGS in IFLA_AF_SPEC: what the kernel knows of the link's routers."""
    return _number(attributes(attributes(families or b"").get(AF_INET6, b"")).get(1))


def decode_address(payload: bytes) -> Address | None:
    """None: of a family we do not know."""
    family, prefix_len, short_flags, scope, link = _ADDRESS.unpack_from(payload)
    have = attributes(payload, _ADDRESS.size)
    # On a point-to-point link IFA_ADDRESS is the other end and IFA_LOCAL is us.
    address = _address(family, have.get(2, have.get(1)))
    if address is None:
        return None
    flags = AddressFlag(_number(have.get(8), default=short_flags))
    preferred, valid = struct.unpack_from("=II", have[6]) if 6 in have else (_INFINITE, _INFINITE)
    return Address(
        link=link,
        interface=_interface(address, prefix_len),
        scope=scope,
        tentative=AddressFlag.TENTATIVE in flags,
        dad_failed=AddressFlag.DADFAILED in flags,
        deprecated=AddressFlag.DEPRECATED in flags,
        permanent=AddressFlag.PERMANENT in flags,
        optimistic=AddressFlag.OPTIMISTIC in flags,
        valid_s=None if valid == _INFINITE else valid,
        preferred_s=None if preferred == _INFINITE else preferred,
    )


def decode_routes(payload: bytes, *, table: int = 254) -> list[Route]:
    """The unicast route of the message if it is in `table`: one value a next hop."""
    family, prefix_len, _, _, short_table, protocol, _, kind, _ = _ROUTE.unpack_from(payload)
    have = attributes(payload, _ROUTE.size)
    if kind != _UNICAST or _number(have.get(15), default=short_table) != table:
        return []
    if family not in (AF_INET, AF_INET6):
        return []
    hops = list(_next_hops(have[9])) if 9 in have else [(_number(have.get(4)), have)]
    return [
        Route(
            destination=_destination(family, have.get(1), prefix_len),
            family=4 if family == AF_INET else 6,
            via=_via(family, hop),
            link=link or None,
            metric=_number(have.get(6)),
            protocol=protocol,
        )
        for link, hop in hops
    ]


def decode_refused(payload: bytes, *, table: int = 254) -> Route | None:
    """The route of the message if it is an unreachable one, in `table`."""
    family, prefix_len, _, _, short_table, protocol, _, kind, _ = _ROUTE.unpack_from(payload)
    if kind != _UNREACHABLE or family not in (AF_INET, AF_INET6):
        return None
    have = attributes(payload, _ROUTE.size)
    if _number(have.get(15), default=short_table) != table:
        return None
    return Route(
        destination=_destination(family, have.get(1), prefix_len),
        family=4 if family == AF_INET else 6,
        via=None,
        link=None,
        metric=_number(have.get(6)),
        protocol=protocol,
    )


def decode_neighbour(payload: bytes) -> Neighbour | None:
    """None: an entry of a bridge, or without an address."""
    family, link, state, _, _ = _NEIGHBOUR.unpack_from(payload)
    have = attributes(payload, _NEIGHBOUR.size)
    address = _address(family, have.get(1))
    if address is None:
        return None
    mac = bytes(have.get(2, b"")).hex(":")
    return Neighbour(link=link, address=address, mac=mac, state=NeighbourState(state))


def route_link(payload: bytes | memoryview) -> int | None:
    """Which link a route message is about, if it names one."""
    return _number(attributes(payload, _ROUTE.size).get(4)) or None


def _next_hops(data: memoryview) -> Iterator[tuple[int, Attributes]]:
    at = 0
    while at + _NEXTHOP.size <= len(data):
        length, _, _, link = _NEXTHOP.unpack_from(data, at)
        if length < _NEXTHOP.size:
            return
        yield link, attributes(data[at : at + length], _NEXTHOP.size)
        at += (length + 3) & ~3


def _destination(family: int, data: memoryview | None, prefix_len: int) -> IPNetwork | None:
    address = _address(family, data)
    return _interface(address, prefix_len).network if address is not None and prefix_len else None


def _via(family: int, hop: Attributes) -> IPAddress | None:
    if 18 in hop:  # RTA_VIA: a next hop of another family, its family in front
        data = hop[18]
        return _address(struct.unpack_from("=H", data)[0], data[2:])
    return _address(family, hop.get(5))


@lru_cache(maxsize=_KNOWN)
def _interface(address: IPAddress, prefix_len: int) -> IPv4Interface | IPv6Interface:
    match address:
        case IPv4Address():
            return IPv4Interface((address, prefix_len))
        case IPv6Address():
            return IPv6Interface((address, prefix_len))


def _address(family: int, data: memoryview | None) -> IPAddress | None:
    return _known_address(family, bytes(data)) if data is not None else None


@lru_cache(maxsize=_KNOWN)
def _known_address(family: int, data: bytes) -> IPAddress | None:
    if family == AF_INET and len(data) == 4:
        return IPv4Address(data)
    if family == AF_INET6 and len(data) == 16:
        return IPv6Address(data)
    return None


def _text(data: memoryview | None) -> str:
    return bytes(data).rstrip(b"\0").decode(errors="replace") if data is not None else ""


def _number(data: memoryview | None, *, default: int = 0) -> int:
    return int.from_bytes(data, "little" if _LITTLE else "big") if data is not None else default


_LITTLE = struct.pack("=H", 1) == b"\1\0"

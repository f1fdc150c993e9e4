"""rtnetlink messages as values, from bytes as the kernel writes them."""

import struct
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from hypothesis import given
from hypothesis import strategies as st

from netns import decode
from netns.values import Neighbour, NeighbourState, Route


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def address(family: int, prefix_len: int, *attributes: bytes, flags: int = 0) -> bytes:
    return struct.pack("=BBBBI", family, prefix_len, flags, 0, 7) + b"".join(attributes)


def route(
    family: int, prefix_len: int, *attributes: bytes, table: int = 254, kind: int = 1
) -> bytes:
    header = struct.pack("=BBBBBBBBI", family, prefix_len, 0, 0, table, 9, 0, kind, 0)
    return header + b"".join(attributes)


def link(*attributes: bytes, flags: int = 0, hardware: int = 1) -> bytes:
    return struct.pack("=BxHiII", 0, hardware, 5, flags, 0) + b"".join(attributes)


def test_a_bridge_port_is_read_whole() -> None:
    port = attribute(33, b"\1") + attribute(8, b"\0")
    info = attribute(1, b"veth\0") + attribute(4, b"bridge\0") + attribute(0x8005, port)
    got = decode.decode_link(
        link(
            attribute(3, b"ndz4\0"),
            attribute(1, bytes.fromhex("020000000001")),
            attribute(4, u32(1400)),
            attribute(10, u32(2)),
            attribute(5, u32(9)),
            attribute(20, b"zosnet:v4\0"),
            attribute(18, info),
            flags=0x10001,
        )
    )

    assert (got.index, got.name, got.kind, got.mac) == (5, "ndz4", "veth", "02:00:00:00:00:01")
    assert (got.mtu, got.master, got.parent, got.role) == (1400, 2, 9, "v4")
    assert (got.up, got.carrier, got.isolated, got.learning) == (True, True, True, False)


def test_a_bridges_timers_are_left_out_of_a_comparison_and_nothing_else_is() -> None:
    def bridge(timer: int, *, kind: bytes = b"bridge\0", mtu: int = 1500) -> bytes:
        info = attribute(1, kind) + attribute(2, attribute(17, u32(timer)))
        return decode.without_timers(link(attribute(18, info), attribute(4, u32(mtu))))

    assert bridge(1) == bridge(2)
    assert bridge(1) != bridge(1, mtu=1400)
    assert bridge(1, kind=b"vlan\0") != bridge(2, kind=b"vlan\0")


def test_a_link_that_is_up_without_a_cable_has_no_carrier() -> None:
    got = decode.decode_link(link(attribute(3, b"eth0\0"), flags=0x1))

    assert (got.up, got.carrier, got.kind, got.physical) == (True, False, None, True)


def test_the_loopback_is_not_physical() -> None:
    assert not decode.decode_link(link(flags=0x8, hardware=772)).physical


def test_address_flags_come_from_the_wide_attribute() -> None:
    """The header has eight bits; MANAGETEMPADDR and later ones do not fit into them."""
    local = attribute(1, IPv6Address("2001:db8::1").packed)
    wide = decode.decode_address(address(10, 64, local, attribute(8, u32(0x140)), flags=0x80))
    narrow = decode.decode_address(address(10, 64, local, flags=0x80))

    assert wide is not None
    assert narrow is not None
    assert (wide.tentative, wide.permanent) == (True, False)
    assert (narrow.tentative, narrow.permanent) == (False, True)


def test_an_address_on_a_point_to_point_link_is_the_local_one() -> None:
    got = decode.decode_address(
        address(
            2,
            32,
            attribute(1, IPv4Address("10.0.0.2").packed),
            attribute(2, IPv4Address("10.0.0.1").packed),
        )
    )

    assert got is not None
    assert got.interface == IPv4Interface("10.0.0.1/32")


def test_lifetimes_are_seconds_and_for_ever_is_none() -> None:
    local = attribute(1, IPv6Address("2001:db8::1").packed)
    ends = attribute(6, struct.pack("=IIII", 300, 600, 1, 1))
    never = attribute(6, struct.pack("=IIII", 0xFFFFFFFF, 0xFFFFFFFF, 1, 1))
    got, forever = (decode.decode_address(address(10, 64, local, life)) for life in (ends, never))

    assert got is not None
    assert forever is not None
    assert got.interface == IPv6Interface("2001:db8::1/64")
    assert (got.preferred_s, got.valid_s) == (300, 600)
    assert (forever.preferred_s, forever.valid_s) == (None, None)


def test_a_default_route_and_a_prefix_are_read() -> None:
    default = route(10, 0, attribute(4, u32(7)), attribute(5, IPv6Address("fe80::1").packed))
    prefix = route(
        2, 16, attribute(1, bytes([10, 9, 0, 0])), attribute(4, u32(7)), attribute(6, u32(50))
    )

    assert decode.decode_routes(default) == [
        Route(
            destination=None,
            family=6,
            via=IPv6Address("fe80::1"),
            link=7,
            metric=0,
            protocol=9,
        )
    ]
    assert decode.decode_routes(prefix) == [
        Route(
            destination=IPv4Network("10.9.0.0/16"),
            family=4,
            via=None,
            link=7,
            metric=50,
            protocol=9,
        )
    ]


def test_a_route_with_two_next_hops_is_two_routes() -> None:
    hops = b"".join(
        struct.pack("=HBBi", 16, 0, 0, index) + attribute(5, bytes([10, 0, 0, index]))
        for index in (7, 8)
    )
    got = decode.decode_routes(route(2, 0, attribute(9, hops)))

    assert [(r.link, r.via) for r in got] == [
        (7, IPv4Address("10.0.0.7")),
        (8, IPv4Address("10.0.0.8")),
    ]


def test_an_ipv4_route_may_have_an_ipv6_next_hop() -> None:
    via = struct.pack("=H", 10) + IPv6Address("fe80::1").packed
    (got,) = decode.decode_routes(route(2, 0, attribute(4, u32(7)), attribute(18, via)))

    assert got.via == IPv6Address("fe80::1")


def test_routes_of_other_tables_and_kinds_are_left_out() -> None:
    oif = attribute(4, u32(7))

    assert len(decode.decode_routes(route(10, 0, oif))) == 1
    assert decode.decode_routes(route(10, 0, oif, table=255)) == []
    assert decode.decode_routes(route(10, 0, oif, attribute(15, u32(1000)))) == []
    assert decode.decode_routes(route(10, 0, oif, kind=7)) == []
    assert decode.decode_routes(route(28, 0, oif)) == []


def test_a_neighbour_is_read_and_a_bridge_entry_is_none() -> None:
    mac = attribute(2, bytes.fromhex("020000000002"))
    head = struct.pack("=BxxxiHBB", 2, 7, 0x02, 0, 1)
    bridge = struct.pack("=BxxxiHBB", 7, 7, 0x02, 0, 1)

    assert decode.decode_neighbour(head + attribute(1, bytes([10, 0, 0, 1])) + mac) == Neighbour(
        link=7,
        address=IPv4Address("10.0.0.1"),
        mac="02:00:00:00:00:02",
        state=NeighbourState.REACHABLE,
    )
    assert decode.decode_neighbour(bridge + mac) is None


def test_host_bits_in_a_destination_do_no_harm() -> None:
    got = decode.decode_routes(route(10, 64, attribute(1, IPv6Address("2001:db8::1").packed)))

    assert [r.destination for r in got] == [IPv6Network("2001:db8::/64")]


@given(st.binary(max_size=200))
def test_the_walk_over_attributes_ends_on_any_bytes(data: bytes) -> None:
    found = decode.attributes(data)

    assert sum(len(value) + 4 for value in found.values()) <= len(data)


def test_what_routers_said_of_a_dhcpv6_server_is_read() -> None:
    def flags(value: int) -> bytes:
        inner = attribute(decode.AF_INET6, attribute(1, u32(value)))
        return link(attribute(26, attribute(decode.AF_INET, attribute(1, b"")) + inner))

    ready, heard = 0x80000000, 0x20

    assert not decode.decode_link(link()).dhcp6
    assert not decode.decode_link(flags(ready | heard)).dhcp6
    assert decode.decode_link(flags(ready | heard | 0x40)).dhcp6
    assert decode.decode_link(flags(ready | heard | 0x80)).dhcp6


def test_an_unreachable_route_is_no_way_and_is_told_apart() -> None:
    net = IPv6Network("2001:db8:b:10::/60")
    to = attribute(1, net.network_address.packed)
    refused = decode.decode_refused(route(decode.AF_INET6, 60, to, kind=7))

    assert decode.decode_routes(route(decode.AF_INET6, 60, to, kind=7)) == []
    assert refused is not None
    assert (refused.destination, refused.via, refused.link) == (net, None, None)
    assert decode.decode_refused(route(decode.AF_INET6, 60, to)) is None
    assert decode.decode_refused(route(decode.AF_INET6, 60, to, kind=7, table=255)) is None

"""Which addresses of a range members get, at any mask."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.addresses.pools import shape_of, usable_range
from controller.store.records import Assignment, Pool, address_from, sixteen
from protocol.packing import IPAddress, pack_interface


def pool(prefix: str, first: str = "", last: str = "") -> Pool:
    network = ip_network(prefix)
    ends = (ip_address(first), ip_address(last)) if first else usable_range(network)
    return Pool(1, prefix, network.version, sixteen(ends[0]), sixteen(ends[1]))


def given_out(row: Pool, member_prefix: int = 0) -> list[IPAddress]:
    """All addresses that members get of a pool."""
    shape = shape_of(row, member_prefix)
    numbers = (shape.first + n * shape.step for n in range(shape.size))
    return [address_from(number.to_bytes(16), row.family) for number in numbers]


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("10.9.0.0/16", "10.9.0.2", "10.9.255.254"),
        ("10.9.0.0/29", "10.9.0.2", "10.9.0.6"),
        ("fd00::/64", "fd00::2", "fd00::ffff:ffff:ffff:ffff"),
    ],
)
def test_network_gateway_and_broadcast_are_left_out(network: str, first: str, last: str) -> None:
    assert usable_range(ip_network(network)) == (ip_address(first), ip_address(last))


@pytest.mark.parametrize("network", ["10.9.0.0/31", "10.9.0.0/32", "fd00::/127"])
def test_a_range_without_room_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        usable_range(ip_network(network))


@given(st.ip_addresses())
def test_an_address_survives_the_database(address: object) -> None:
    value = ip_address(str(address))

    assert address_from(sixteen(value), value.version) == value


@given(st.ip_addresses(), st.integers(0, 32))
def test_an_assignment_is_packed_as_the_certificate_has_it(address: object, length: int) -> None:
    value = ip_address(str(address))
    row = Assignment(1, sixteen(value), value.version, length, 1, "auto", 0)

    assert row.packed == pack_interface(row.interface)


@pytest.mark.parametrize("length", range(8, 31))
def test_every_mask_leaves_out_network_gateway_and_broadcast_and_nothing_else(length: int) -> None:
    """I5: a /30 has one address for a member, a /8 all but three."""
    network = ip_network(f"10.0.0.0/{length}")
    shape = shape_of(pool(str(network)))
    first = int.from_bytes(sixteen(network.network_address))

    assert shape.size == network.num_addresses - 3
    outside = [n for n in range(first, first + 4) if n not in shape]
    assert outside[:2] == [first, first + 1]
    assert first + network.num_addresses - 1 not in shape
    assert first + network.num_addresses - 2 in shape


def test_a_range_inside_a_prefix_gives_out_just_that() -> None:
    row = pool("10.9.0.0/24", "10.9.0.10", "10.9.0.12")

    assert [str(a) for a in given_out(row)] == ["10.9.0.10", "10.9.0.11", "10.9.0.12"]


def test_a_subnet_each_is_named_by_its_first_address() -> None:
    found = given_out(pool("10.9.0.0/16"), 24)

    assert len(found) == 255  # the first has the gateway in it
    assert (str(found[0]), str(found[-1])) == ("10.9.1.1", "10.9.255.1")


@pytest.mark.parametrize(
    ("prefix", "first", "last", "length", "names"),
    [
        ("10.9.0.0/24", "10.9.0.64", "10.9.0.191", 26, ["10.9.0.65", "10.9.0.129"]),
        ("10.9.0.0/24", "10.9.0.66", "10.9.0.190", 26, ["10.9.0.129"]),
        ("10.9.0.0/24", "10.9.0.65", "10.9.0.189", 26, ["10.9.0.65"]),
        ("10.9.0.0/28", "10.9.0.2", "10.9.0.14", 30, ["10.9.0.5", "10.9.0.9", "10.9.0.13"]),
        ("10.9.0.0/24", "10.9.0.2", "10.9.0.254", 24, []),
        ("10.9.0.0/24", "10.9.0.2", "10.9.0.254", 16, []),
    ],
)
def test_only_subnets_that_lie_wholly_in_the_range_are_given_out(
    prefix: str, first: str, last: str, length: int, names: list[str]
) -> None:
    assert [str(a) for a in given_out(pool(prefix, first, last), length)] == names


def test_ipv6_members_have_an_address_each_whatever_the_ipv4_subnets_are() -> None:
    shape = shape_of(pool("fd00::/64"), 24)

    assert (shape.step, shape.size) == (1, 2**64 - 2)

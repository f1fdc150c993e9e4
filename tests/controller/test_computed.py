"""What a member has without anybody writing it down: subnets, rfc4193, 6plane."""

from ipaddress import IPv6Address, IPv6Network, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.addresses.computed import rfc4193, sixplane
from controller.store.records import sixteen
from protocol.messages import Joined
from protocol.packing import unpack_interface, unpack_network
from tests.controller.house import Guest, House


def ranges(reply: object) -> list[str]:
    assert isinstance(reply, Joined)
    return [str(unpack_network(packed)) for packed in reply.settings.ranges]


def prefixes(house: House, reply: Joined) -> list[str]:
    return [str(one) for one in house.membership(reply).networks]


def joined(house: House, guest: Guest, network: str) -> Joined:
    reply = house.join(guest, network)
    assert isinstance(reply, Joined), reply
    return reply


def test_the_formulas_are_zerotiers() -> None:
    """Byte by byte as makeIpv6rfc4193 and makeIpv66plane have them (node/InetAddress.cpp)."""
    network, node = "8056c2e21c000001", 0xDEADBEEF01
    local, plane = (
        unpack_interface(rfc4193(network, node)),
        unpack_interface(sixplane(network, node)),
    )

    assert str(local) == "fd80:56c2:e21c:0:199:93de:adbe:ef01/88"
    assert str(plane) == "fc9c:56c2:e3de:adbe:ef01::1/40"


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40 - 1), st.integers(0, 2**40 - 1))
def test_two_nodes_never_share_a_computed_address(network: int, one: int, other: int) -> None:
    name = f"{network:016x}"
    for formula, length in ((rfc4193, 128), (sixplane, 80)):
        pair = {
            ip_network((formula(name, node)[:16], length), strict=False) for node in (one, other)
        }
        assert len(pair) == len({one, other})
        around = {ip_interface((p.network_address, formula(name, 0)[16])).network for p in pair}
        assert len(around) == 1


def test_members_are_ipv6_by_computed_addresses_alone(house: House) -> None:
    network = house.network(rfc4193=True, sixplane=True)
    guest = house.enrol(network)
    reply = joined(house, guest, network)
    node = house.do("member.list", network="home")[0]["address"]
    addresses = [ip_interface(a) for a in house.addresses(reply)]
    local, plane = (a for a in addresses if a.version == 6)

    assert node in local.ip.exploded.replace(":", "")
    assert local.network.prefixlen == 88 or plane.network.prefixlen == 88
    assert len(prefixes(house, reply)) == 1
    own = ip_network(prefixes(house, reply)[0])
    assert isinstance(own, IPv6Network)
    assert own.prefixlen == 80
    assert any(a.ip == own.network_address + 1 for a in addresses)
    for address in addresses:
        assert str(address.network) in ranges(reply)
    assert house.count("assignment") == 1  # computed, not stored


def test_a_network_that_gets_computed_addresses_gives_them_to_everybody_at_once(
    house: House,
) -> None:
    network = house.network()
    guest = house.enrol(network)
    before = house.membership(joined(house, guest, network))
    house.pushed(guest)
    house.do("network.set", network="home", rfc4193=True)
    pushed = [m for m in house.pushed(guest) if isinstance(m, Joined)]
    after = house.membership(pushed[-1])

    assert len(after.addresses) == 2
    assert after.serial > before.serial
    assert len(ranges(pushed[-1])) == 2
    house.reopen()
    house.hello(guest)
    assert house.membership(joined(house, guest, network)).addresses == after.addresses
    house.do("network.set", network="home", rfc4193=False)
    assert house.membership(joined(house, guest, network)).addresses == before.addresses


def test_each_member_has_a_subnet_of_its_own_and_its_first_address(house: House) -> None:
    """zos: a /24 of the /16."""
    network = house.network(member_prefix=24)
    guests = [house.enrol(network, name=f"n{i}") for i in range(5)]
    subnets = []
    for guest in guests:
        reply = joined(house, guest, network)
        (own,) = [ip_network(p) for p in prefixes(house, reply)]
        (address,) = [ip_interface(a) for a in house.addresses(reply)]
        assert own.prefixlen == 24
        assert address.ip == own.network_address + 1
        assert address.network.prefixlen == 16
        subnets.append(own)

    assert len(set(subnets)) == 5
    assert ip_network("10.9.0.0/24") not in subnets  # the gateway's
    assert house.count("assignment") == 5


def test_an_address_inside_somebodys_subnet_is_refused(house: House) -> None:
    network = house.network(member_prefix=24)
    house.enrol(network, house.token(address="10.9.7.1"), name="holder")
    said = {}
    for address in ("10.9.7.9", "10.9.7.1", "10.9.8.9"):
        token = house.guest()
        made = house.call("token.create", network="home", key=token.key.hex(), address=address)
        if type(made).__name__ == "Result":
            said[address] = str(house.admit(token.key, house.guest("other")))
        else:
            said[address] = str(made)

    assert "members of network home have a /24 each" in said["10.9.7.9"]
    assert "did you mean 10.9.7.1?" in said["10.9.7.9"]
    assert "member holder" in said["10.9.7.1"]
    assert "did you mean 10.9.8.1?" in said["10.9.8.9"]


def test_an_address_that_is_no_subnets_first_brings_no_subnet_with_it(house: House) -> None:
    """Somebody wrote it by hand, or imported it: the subnet is another member's."""
    network = house.network(member_prefix=24)
    guest = house.enrol(network, house.token(address="10.9.7.1"))
    assert prefixes(house, joined(house, guest, network)) == ["10.9.7.0/24"]
    house.edit("UPDATE assignment SET address = ?", sixteen(ip_address("10.9.7.2")))
    house.reopen()
    house.hello(guest)
    reply = joined(house, guest, network)

    assert house.addresses(reply) == ["10.9.7.2/16"]
    assert prefixes(house, reply) == []


@pytest.mark.parametrize("renumber", [False, True])
def test_subnets_come_to_a_network_that_had_none_only_with_other_addresses(
    house: House, renumber: bool
) -> None:
    network = house.network()
    guests = [house.enrol(network, house.token(address=f"10.9.7.{n}")) for n in (1, 2, 3)]
    reply = house.call("network.set", network="home", member_prefix=24, renumber=renumber)
    if not renumber:
        assert "cannot change network home so: members have addresses that would not fit" in str(
            reply
        )
        assert "10.9.7.2 (n1), 10.9.7.3 (n1)" in str(reply)
        assert house.do("network.show", network="home")[0]["member_prefix"] == 0
        return
    found = [joined(house, guest, network) for guest in guests]
    own = [p for reply in found for p in prefixes(house, reply)]

    assert own[0] == "10.9.7.0/24"  # its address was one that fits
    assert len(set(own)) == 3
    house.check_addresses()
    house.do("network.set", network="home", member_prefix=0)
    assert [prefixes(house, joined(house, guest, network)) for guest in guests] == [[], [], []]


def test_a_range_in_the_way_of_computed_addresses_is_refused(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    inside = IPv6Address(rfc4193(network, 0)[:16]) + 2**20
    wide = f"{ip_network((int(inside) >> 32 << 32, 96))}"
    house.do("pool.add", network="home", range=wide)
    said = str(house.call("network.set", network="home", rfc4193=True))

    assert "overlaps" in said
    house.do("pool.remove", network="home", range=wide)
    house.do("network.set", network="home", rfc4193=True)
    assert "overlaps" in str(house.call("pool.add", network="home", range=wide))

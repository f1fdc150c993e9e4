"""What a node offers, and what it can send to, from what its uplink has."""

from ipaddress import ip_address, ip_interface

import pytest
from msgspec.structs import replace

from agent.enrol.endpoints import Surroundings, observe
from netns.values import Address, Link, Protocol, Route, Scope

ZOS = Link(
    index=4,
    name="zos",
    kind="bridge",
    mac="52:54:00:00:00:01",
    mtu=1400,
    up=True,
    carrier=True,
    master=None,
    alias="",
    parent=None,
)


def address(text: str, *, link: int = 4, tentative: bool = False, old: bool = False) -> Address:
    interface = ip_interface(text)
    return Address(
        link=link,
        interface=interface,
        scope=Scope.LINK if interface.ip.is_link_local else Scope.UNIVERSE,
        tentative=tentative,
        dad_failed=False,
        deprecated=old,
        permanent=True,
        valid_s=None,
        preferred_s=None,
    )


def default(family: int, *, link: int = 4) -> Route:
    return Route(
        destination=None, family=family, via=None, link=link, metric=0, protocol=Protocol.DHCP
    )


BOTH = [default(4), default(6)]


@pytest.mark.parametrize(
    ("addresses", "public", "families"),
    [
        (["198.51.100.2/24", "2001:db8::2/64"], ["198.51.100.2", "2001:db8::2"], {4, 6}),
        (["192.168.1.2/24", "2001:db8::2/64"], ["2001:db8::2"], {4, 6}),
        (["192.168.1.2/24", "fe80::2/64"], [], {4}),
        (["100.64.0.2/10", "fd00::2/64"], [], {4}),  # a ULA is no source for the Internet
        (["fe80::2/64"], [], set()),
    ],
)
def test_public_addresses_are_offered_and_families_with_a_source_are_sent_to(
    addresses: list[str], public: list[str], families: set[int]
) -> None:
    seen = observe([address(text) for text in addresses], BOTH, ZOS)

    assert [str(a) for a in seen.public] == public
    assert seen.families == families
    assert seen.mtu == 1400


def test_a_family_without_a_default_route_is_not_sent_to() -> None:
    both = [address("198.51.100.2/24"), address("2001:db8::2/64")]

    assert observe(both, [default(4)], ZOS).families == {4}
    assert observe(both, [default(4), default(6, link=9)], ZOS).families == {4}


def test_what_is_not_usable_or_not_on_the_uplink_is_not_offered() -> None:
    seen = observe(
        [
            address("198.51.100.2/24", link=9),
            address("2001:db8::1/64", tentative=True),
            address("2001:db8::2/64", old=True),
            address("2001:db8::3/64"),
        ],
        BOTH,
        ZOS,
    )

    assert seen.public == (ip_address("2001:db8::3"),)
    assert seen.addresses == set(seen.public)


def test_with_a_link_for_each_family_both_count_and_the_smaller_packets_do() -> None:
    ends = replace(ZOS, name="npub4"), replace(ZOS, index=5, name="npub6", mtu=1300)
    addresses = [address("198.51.100.2/24"), address("2001:db8::2/64", link=5)]
    seen = observe(addresses, [default(4), default(6, link=5)], *ends, space="ndmz")

    assert len(seen.public) == 2
    assert seen.families == {4, 6}
    assert (seen.mtu, seen.space) == (1300, "ndmz")


def test_without_an_uplink_there_is_nothing() -> None:
    assert observe([address("198.51.100.2/24")], BOTH) == Surroundings()


def test_the_controller_is_told_endpoints_with_the_port_of_the_network() -> None:
    seen = observe([address("198.51.100.2/24"), address("2001:db8::2/64")], BOTH, ZOS)
    presence = seen.presence(b"w" * 32, 51999)

    assert presence.endpoints == ("198.51.100.2:51999", "[2001:db8::2]:51999")
    assert presence.families == (4, 6)

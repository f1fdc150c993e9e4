"""Which part of a delegated prefix is whose."""

from ipaddress import IPv6Network

import msgspec
import pytest

from agent.nr.delegation import choose_numbers, part, placed
from agent.nr.guard import render
from agent.nr.local import Local, attached, parse_local
from agent.nr.plan import plan_local

PREFIX = IPv6Network("2001:db8:b:10::/62")  # four networks
MAC = "02:11:22:33:44:55"


def locals_(*names: str, **numbers: int) -> list[Local]:
    made = (parse_local(name, ipv4="10.1.1.0/24") for name in names)
    return [msgspec.structs.replace(one, number=numbers.get(one.name)) for one in made]


def test_each_has_one_and_the_first_free_ones_are_taken() -> None:
    assert choose_numbers(locals_("a", "b", "c"), PREFIX) == {"a": 0, "b": 1, "c": 2}


def test_each_keeps_what_it_had() -> None:
    assert choose_numbers(locals_("a", "b", "c", b=0, c=3), PREFIX) == {"b": 0, "c": 3, "a": 1}


def test_in_a_smaller_prefix_a_number_that_is_not_there_is_another() -> None:
    small = IPv6Network("2001:db8:b:10::/63")

    assert choose_numbers(locals_("a", "b", a=0, b=3), small) == {"a": 0, "b": 1}


def test_who_comes_last_gets_none_of_a_prefix_that_is_full() -> None:
    numbers = choose_numbers(locals_("a", "b", "c", "d", "e"), PREFIX)

    assert numbers == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_who_has_a_range_or_wants_none_gets_none() -> None:
    own = parse_local("own", ipv6="fd12:3456:789a::/64")
    four = parse_local("four", ipv4="10.1.1.0/24", ipv6="none")

    assert choose_numbers([own, four], PREFIX) == {}


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "2001:db8:b:10::/64"), (3, "2001:db8:b:13::/64")]
)
def test_a_part_is_a_network_of_64_bits(number: int, expected: str) -> None:
    assert part(PREFIX, number) == IPv6Network(expected)


def test_its_workloads_have_addresses_of_their_mac() -> None:
    local = attached(parse_local("blue", ipv4="10.1.1.0/24"), "web")
    there = placed(local, part(PREFIX, 1), lambda _: MAC)

    assert there.workloads[0].addresses == ("10.1.1.2", "2001:db8:b:11:11:22ff:fe33:4455")
    assert [str(gateway) for gateway in there.gateways] == ["10.1.1.1/24", "2001:db8:b:11::1/64"]
    assert local.workloads[0].addresses == ("10.1.1.2",)  # in the book


def test_what_comes_of_it_is_not_translated_and_all_else_is() -> None:
    local = parse_local("blue", ipv4="10.1.1.0/24")
    want = plan_local(placed(local, part(PREFIX, 1), lambda _: MAC), mtu=1500)
    before = plan_local(local, mtu=1500)
    text = render(want.names, transit=False, routed=want.routed)
    rule = 'outward oifname "public" ip6 saddr 2001:db8:b:11::/64 accept'

    assert (before.routed, want.routed) == (None, part(PREFIX, 1))
    assert text.index(rule) < text.index("masquerade")
    assert "saddr" not in render(want.names, transit=False, routed=None)


def test_a_range_by_hand_is_translated_as_ever() -> None:
    own = parse_local("own", ipv6="2001:db8:77::/64")

    assert plan_local(own, mtu=1500).routed is None

"""Which routes and addresses of a router are traps, and which a LAN may really have."""

from ipaddress import IPv6Network, ip_network

import pytest
from msgspec.structs import replace

from agent.ndmz.traps import find_traps
from netns.values import Protocol, Route
from tests.agent.ndmz.test_policy import held

INSIDE = IPv6Network("fd12:3456:789a::/64")


def on_link(to: str, *, link: int = 6) -> Route:
    return Route(
        destination=ip_network(to) if to != "::/0" else None,
        family=ip_network(to).version,
        via=None,
        link=link,
        metric=256,
        protocol=Protocol.KERNEL,
    )


@pytest.mark.parametrize(
    "to", ["::/0", "2000::/3", "2001:db8::/32", "fd12:3456:789a::/64", "fd12:3456:789a::8/125"]
)
def test_what_draws_the_internet_or_the_workloads_answers_is_a_trap(to: str) -> None:
    assert find_traps(6, [on_link(to)], [], INSIDE).routes == (on_link(to),)
    assert find_traps(7, [on_link(to)], [], INSIDE).routes == ()


@pytest.mark.parametrize("to", ["2001:db8:b:1::/64", "fe80::/64", "192.168.0.0/16", "10.0.0.0/8"])
def test_a_lan_is_none(to: str) -> None:
    assert find_traps(6, [on_link(to)], [], INSIDE).routes == ()


def test_a_short_prefix_out_of_which_somebody_gave_the_link_an_address_is_none() -> None:
    wide = on_link("2001:db8::/32")

    assert find_traps(6, [wide], [held(6, "2001:db8::5/32")], INSIDE).routes == ()
    assert find_traps(6, [wide], [held(5, "2001:db8::5/32")], INSIDE).routes == (wide,)


def test_routes_by_a_router_or_by_a_person_are_none() -> None:
    default = replace(on_link("::/0"), via=INSIDE[1], protocol=Protocol.RA)
    by_hand = replace(on_link("2000::/3"), protocol=Protocol.STATIC)

    assert find_traps(6, [default, by_hand], [], INSIDE).routes == ()


def test_an_address_among_the_workloads_is_taken_off_with_its_route() -> None:
    ours, lan = held(6, "fd12:3456:789a::5/64"), held(6, "2001:db8:b:1::5/64")
    elsewhere = held(1, "fd12:3456:789a::1/64")
    found = find_traps(6, [on_link(str(INSIDE))], [ours, lan, elsewhere], INSIDE)

    assert found.addresses == (ours,)
    assert found.routes == (on_link(str(INSIDE)),)

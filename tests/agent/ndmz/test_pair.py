from ipaddress import ip_interface, ip_network

import pytest

from agent.ndmz.guard import is_internet
from agent.ndmz.pair import PLACES, choose_pair

FIRST, SECOND, THIRD = PLACES


def test_the_guard_closes_every_place_so_that_no_workload_misses_it() -> None:
    assert not any(is_internet(address) for place in PLACES for address in place)


def test_the_ends_are_the_two_addresses_of_the_place() -> None:
    pair = choose_pair([], [])

    assert pair is not None
    assert (str(pair.host), str(pair.ndmz)) == ("192.0.0.6/31", "192.0.0.7/31")


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (["192.168.7.0/24", "10.0.0.0/8", "2001:db8::/64"], FIRST),
        (["192.0.0.0/29"], SECOND),
        (["192.0.0.7/32"], SECOND),
        (["192.0.0.0/24", "169.254.0.0/16"], THIRD),
        (["192.0.0.0/24", "169.254.0.0/16", "198.18.0.0/15"], None),
    ],
)
def test_what_the_host_has_already_is_left_to_it(taken: list[str], expected: object) -> None:
    pair = choose_pair(map(ip_network, taken), [])

    assert (pair.network if pair else None) == expected


def test_a_place_that_is_held_is_kept_whatever_came_later() -> None:
    held = [ip_interface("198.19.255.252/31"), ip_interface("fe80::1/64")]
    pair = choose_pair([ip_network("198.18.0.0/15")], held)

    assert pair is not None
    assert pair.network == THIRD

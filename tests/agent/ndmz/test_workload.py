from ipaddress import IPv6Address, IPv6Network

import pytest

from agent.ndmz.workload import FIRST, LAST, choose_number, link_local, place_of, port_name
from runtime.failure import CannotError

SEED = bytes(32)
ULA = IPv6Network("fd11:2233:4455::/64")


def test_a_name_has_the_same_number_each_time_and_another_one_when_that_is_taken() -> None:
    first = choose_number(SEED, "n-1", set())

    assert choose_number(SEED, "n-1", set()) == first
    assert choose_number(SEED, "n-1", {first}) == (first + 1 if first < LAST else FIRST)


def test_a_full_range_says_so_and_the_last_free_number_is_found() -> None:
    everything = set(range(FIRST, LAST + 1))

    assert choose_number(SEED, "n-1", everything - {4711}) == 4711
    with pytest.raises(CannotError, match=r"all 65533 addresses of 100\.127\.0\.0/16 are taken"):
        choose_number(SEED, "n-1", everything)


def test_the_addresses_of_both_families_end_alike() -> None:
    place = place_of(0x0405, "n-1", ULA, "02:11:22:33:44:55")

    assert str(place.ip4) == "100.127.4.5/16"
    assert str(place.ip6) == "fd11:2233:4455::405/64"
    assert place.guard_port.link_local == IPv6Address("fe80::11:22ff:fe33:4455")


def test_the_link_local_address_is_the_one_the_kernel_makes() -> None:
    assert link_local("52:54:00:12:34:56") == IPv6Address("fe80::5054:ff:fe12:3456")


def test_a_ports_name_fits_whatever_the_workloads() -> None:
    names = {port_name("n-" + "x" * length) for length in range(100)}

    assert len(names) == 100
    assert {len(name) for name in names} == {11}

"""What a person may ask of a network resource, and which addresses workloads get."""

from ipaddress import ip_network

import pytest

from agent.nr.local import Local, attached, detached, parse_local, refuse_overlap
from runtime.failure import CannotError, Exit

BLUE = parse_local("blue", ipv4="10.1.1.0/24", ipv6="fd12:3456:789a::/64")


def test_names_and_ranges_are_taken_as_they_are() -> None:
    assert (BLUE.ipv4, BLUE.ipv6) == ("10.1.1.0/24", "fd12:3456:789a::/64")
    assert (BLUE.space, BLUE.bridge) == ("n-blue", "b-blue")
    assert [str(gateway) for gateway in BLUE.gateways] == ["10.1.1.1/24", "fd12:3456:789a::1/64"]
    assert len(parse_local("a" * 13, ipv6="fd12::/126").bridge) == 15  # what a link may be called


@pytest.mark.parametrize("name", ["", "Blue", "-blue", "a_b", "a" * 14, "../x", "000001001122"])
def test_a_name_that_cannot_be_a_link_or_is_a_networks_is_refused(name: str) -> None:
    with pytest.raises(CannotError, match="that is no name for one") as caught:
        parse_local(name, ipv4="10.1.1.0/24")

    assert caught.value.code == Exit.USAGE


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({}, "it has no range"),
        ({"ipv4": "10.1.1.0"}, "the length of a prefix is 8 to 30"),
        ({"ipv4": "10.1.1.7/24"}, "is an address in a prefix"),
        ({"ipv4": "ten"}, "is no IPv4 prefix"),
        ({"ipv4": "fd12::/64"}, "is IPv6"),
        ({"ipv6": "10.1.1.0/24"}, "is IPv4"),
        ({"ipv4": "10.1.1.0/31"}, "8 to 30"),
        ({"ipv6": "fd12::/127"}, "16 to 126"),
        ({"ipv4": "224.0.0.0/8"}, "nobody can have addresses"),
        ({"ipv4": "127.0.0.0/8"}, "nobody can have addresses"),
        ({"ipv6": "fe80::/64"}, "nobody can have addresses"),
    ],
)
def test_a_range_that_cannot_be_is_refused(ranges: dict[str, str], said: str) -> None:
    with pytest.raises(CannotError, match=said) as caught:
        parse_local("blue", **ranges)

    assert caught.value.code == Exit.USAGE


@pytest.mark.parametrize("taken", ["10.1.0.0/16", "10.1.1.128/25", "fd12:3456:789a::/48"])
def test_a_range_that_leads_to_ndmz_is_refused(taken: str) -> None:
    refuse_overlap(BLUE, [ip_network("100.127.0.0/16")])
    with pytest.raises(CannotError, match="overlaps") as caught:
        refuse_overlap(BLUE, [ip_network(taken)])

    assert caught.value.code == Exit.CONFLICT


def test_without_an_ipv6_range_a_delegated_one_is_taken() -> None:
    four = "10.1.1.0/24"
    found = {text: parse_local("blue", ipv4=four, ipv6=text) for text in ("", "delegated", "none")}

    assert [found[text].delegated for text in found] == [True, True, False]
    assert [local.ipv6 for local in found.values()] == ["", "", ""]
    assert parse_local("blue", ipv6="delegated").delegated
    assert not parse_local("blue", ipv6="fd12::/64").delegated
    with pytest.raises(CannotError):
        parse_local("blue", ipv6="none")


def test_workloads_get_the_first_free_addresses_and_keep_them() -> None:
    two = attached(attached(BLUE, "web"), "db")

    assert [w.addresses for w in two.workloads] == [
        ("10.1.1.2", "fd12:3456:789a::2"),
        ("10.1.1.3", "fd12:3456:789a::3"),
    ]
    assert {*attached(two, "web").workloads} == {*two.workloads}


def test_a_freed_address_is_the_first_free_one() -> None:
    local = attached(detached(attached(attached(BLUE, "web"), "db"), "web"), "mail")

    assert {w.namespace: w.ipv4 for w in local.workloads} == {"db": "10.1.1.3", "mail": "10.1.1.2"}


def test_an_address_by_hand_is_given_and_nobody_else_gets_it() -> None:
    local = attached(BLUE, "web", ipv4="10.1.1.2", ipv6="fd12:3456:789a::80")
    local = attached(local, "db")

    assert [w.addresses for w in local.workloads] == [
        ("10.1.1.2", "fd12:3456:789a::80"),
        ("10.1.1.3", "fd12:3456:789a::2"),
    ]


@pytest.mark.parametrize(
    ("wanted", "said", "code"),
    [
        ({"ipv4": "10.1.2.2"}, "no address in 10.1.1.0/24", Exit.USAGE),
        ({"ipv4": "10.1.1.0"}, "no address in", Exit.USAGE),
        ({"ipv4": "10.1.1.255"}, "no address in", Exit.USAGE),
        ({"ipv4": "fd12:3456:789a::9"}, "no address in", Exit.USAGE),
        ({"ipv4": "ten"}, "is no address", Exit.USAGE),
        ({"ipv4": "10.1.1.1"}, "the gateway has 10.1.1.1", Exit.CONFLICT),
        ({"ipv4": "10.1.1.2"}, "web has 10.1.1.2", Exit.CONFLICT),
        ({"link": "no/link"}, "is no name of a link", Exit.USAGE),
    ],
)
def test_an_address_that_cannot_be_is_refused(
    wanted: dict[str, str], said: str, code: Exit
) -> None:
    with pytest.raises(CannotError, match=said) as caught:
        attached(attached(BLUE, "web"), "db", **wanted)

    assert caught.value.code == code


@pytest.mark.parametrize("wanted", [{"link": "eth1"}, {"ipv4": "10.1.1.9"}])
def test_a_workload_that_is_attached_otherwise_is_refused(wanted: dict[str, str]) -> None:
    with pytest.raises(CannotError, match=r"it is attached as eth0 with 10\.1\.1\.2") as caught:
        attached(attached(BLUE, "web"), "web", **wanted)

    assert caught.value.code == Exit.CONFLICT


def test_a_full_range_says_so() -> None:
    small = parse_local("small", ipv4="10.1.1.0/30")
    full = attached(small, "web")
    with pytest.raises(CannotError, match=r"no address of 10\.1\.1\.0/30 is free") as caught:
        attached(full, "db")

    assert full.workloads[0].ipv4 == "10.1.1.2"
    assert caught.value.code == Exit.EXHAUSTED


def test_a_range_of_one_family_gives_addresses_of_that() -> None:
    local = attached(Local(name="six", ipv6="fd12::/64"), "web")

    assert local.workloads[0].addresses == ("fd12::2",)
    with pytest.raises(CannotError, match="it has no range for"):
        attached(local, "db", ipv4="10.1.1.2")

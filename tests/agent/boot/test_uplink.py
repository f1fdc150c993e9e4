"""The choice of the uplink: the order, the ties, and a reason for everyone."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.boot.uplink import AddressClass, Candidate, Choice, choose, classify, natural

ROUTER6 = IPv6Address("fe80::1")


def nic(name: str, *, v4: str = "", v6: str = "", gateway: bool = True) -> Candidate:
    """A candidate with what its probe found; without `gateway` nobody forwards for it."""
    address4 = IPv4Interface(v4) if v4 else None
    return Candidate(
        name=name,
        address4=address4,
        gateway4=address4.network[1] if address4 and gateway else None,
        addresses6=tuple(IPv6Interface(a) for a in v6.split()),
        gateway6=ROUTER6 if v6 and gateway else None,
    )


PRIVATE = nic("private", v4="192.168.1.5/24")
LOCAL6 = nic("ula", v6="fd00::5/64")
SHARED = nic("shared", v4="100.64.0.5/24")
PUBLIC = nic("public", v4="198.51.100.5/24")
GLOBAL = nic("global", v6="2001:db8::5/64")


def order(choice: Choice) -> list[str]:
    return [ranked.name for ranked in choice.ranking]


def reasons(choice: Choice) -> dict[str, str]:
    return {ranked.name: ranked.reason for ranked in choice.ranking}


def test_private_addresses_go_before_public_ones_and_ipv4_before_ipv6() -> None:
    for candidates in permutations([PRIVATE, LOCAL6, SHARED, PUBLIC, GLOBAL]):
        assert order(choose(candidates)) == ["private", "ula", "shared", "public", "global"]


def test_a_pinned_nic_goes_first() -> None:
    choice = choose([PRIVATE, GLOBAL], pin="global")

    assert order(choice) == ["global", "private"]
    assert reasons(choice) == {
        "global": "pinned by config; global IPv6 2001:db8::5/64 by fe80::1",
        "private": "RFC1918 IPv4 192.168.1.5/24 by 192.168.1.1: global is pinned",
    }


def test_a_pin_on_an_unusable_nic_lets_the_node_boot_by_another() -> None:
    choice = choose([Candidate(name="pinned", carrier=False), GLOBAL], pin="pinned")

    assert order(choice) == ["global", "pinned"]
    assert choice.uplink is not None


def test_a_nic_is_judged_by_the_better_of_its_families() -> None:
    public_and_ula = nic("both", v4="198.51.100.5/24", v6="2001:db8::5/64 fd00::5/64")

    best = choose([public_and_ula]).ranking[0]

    assert (best.address_class, str(best.address)) == (AddressClass.ULA, "fd00::5/64")


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (
            nic("eth9", v4="10.0.0.9/24", v6="2001:db8::1/64"),
            nic("eth0", v4="10.0.0.1/24"),
            "eth9 has both families",
        ),
        (
            nic("eth9", v4="10.0.0.2/24"),
            nic("eth0", v4="10.0.0.11/24"),
            "eth9 has the lower address",
        ),
        (nic("eth2", v4="10.0.0.2/24"), nic("eth10", v4="10.0.0.2/24"), "eth2 comes first by name"),
    ],
)
def test_ties_are_broken_by_family_then_address_then_name(
    first: Candidate, second: Candidate, why: str
) -> None:
    for candidates in ([first, second], [second, first]):
        choice = choose(candidates)

        assert order(choice) == [first.name, second.name]
        assert reasons(choice)[second.name].endswith(why)


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (Candidate(name="n", carrier=False), "no carrier"),
        (Candidate(name="n"), "no DHCP answer; no router advertisement"),
        (Candidate(name="n", quiet4="refused by 10.0.0.1"), "refused by 10.0.0.1; no router"),
        (nic("n", v4="10.0.0.9/24", gateway=False), "lease 10.0.0.9/24 without a gateway; no"),
        (nic("n", v4="169.254.7.7/16"), "169.254.7.7 is no address for a node; no router"),
        (nic("n", v6="fec0::5/64"), "no DHCP answer; a router advertisement without a usable"),
        (nic("n", v6="fd00::5/64", gateway=False), "addresses without an IPv6 router"),
        (Candidate(name="n", barred="cannot be moved"), "cannot be moved"),
    ],
)
def test_an_unusable_nic_says_what_it_lacks(candidate: Candidate, reason: str) -> None:
    choice = choose([candidate])

    assert choice.uplink is None
    assert reason in choice.ranking[0].reason


def test_what_a_nic_had_before_its_cable_was_pulled_does_not_count() -> None:
    pulled = Candidate(
        name="eth0",
        carrier=False,
        address4=IPv4Interface("10.0.0.5/24"),
        gateway4=IPv4Address("10.0.0.1"),
        addresses6=(IPv6Interface("fd00::5/64"),),
        gateway6=ROUTER6,
    )

    assert choose([pulled]).uplink is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.255.255.255", AddressClass.PRIVATE4),
        ("172.15.255.255", AddressClass.PUBLIC4),
        ("172.31.0.1", AddressClass.PRIVATE4),
        ("172.32.0.1", AddressClass.PUBLIC4),
        ("100.63.255.255", AddressClass.PUBLIC4),
        ("100.127.255.255", AddressClass.SHARED4),
        ("100.128.0.0", AddressClass.PUBLIC4),
        ("198.51.100.1", AddressClass.PUBLIC4),  # documentation: a lab's Internet
        ("198.18.0.1", AddressClass.PUBLIC4),
        ("224.0.0.1", None),
        ("0.0.0.0", None),
        ("fdff::1", AddressClass.ULA),
        ("2001:db8::1", AddressClass.GLOBAL6),
        ("fe80::1", None),
        ("::1", None),
        ("64:ff9b::1", None),
    ],
)
def test_addresses_are_classified_by_explicit_lists(
    text: str, expected: AddressClass | None
) -> None:
    assert classify(ip_address(text)) == expected


def test_names_sort_as_people_read_them() -> None:
    assert sorted(["eth10", "enp2s0", "eth2", "enp10s0"], key=natural) == [
        "enp2s0",
        "enp10s0",
        "eth2",
        "eth10",
    ]


found = st.sampled_from([PRIVATE, LOCAL6, SHARED, PUBLIC, GLOBAL, Candidate(name="dead")])


@given(st.lists(found, unique_by=lambda c: c.name), st.randoms())
def test_the_order_of_the_question_never_changes_the_answer(
    candidates: list[Candidate], random: object
) -> None:
    """B4."""
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    choice = choose(candidates)

    assert choice == choose(shuffled)
    assert sorted(order(choice)) == sorted(c.name for c in candidates)
    assert all(ranked.reason for ranked in choice.ranking)


def test_an_address_of_the_config_is_called_static_and_one_that_was_heard_is_not() -> None:
    own, heard = IPv4Interface("192.0.2.5/24"), IPv6Interface("2001:db8::5/64")
    by4 = Candidate(name="eth0", address4=own, gateway4=IPv4Address("192.0.2.1"), static=(own,))
    by6 = Candidate(
        name="eth1", addresses6=(heard,), gateway6=IPv6Address("fe80::1"), static=(own,)
    )
    first, second = choose([by4, by6]).ranking

    assert first.reason.startswith("static public IPv4 192.0.2.5/24 by 192.0.2.1, ")
    assert second.reason.startswith("global IPv6 2001:db8::5/64 by fe80::1: ")

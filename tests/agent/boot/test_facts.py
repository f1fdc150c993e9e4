"""From a probe to the status file and back."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest

from agent.boot.facts import candidate, nic_status, nics_status, uplink_status
from agent.boot.uplink import Candidate, choose

FULL = Candidate(
    name="eth0",
    address4=IPv4Interface("192.168.1.5/24"),
    gateway4=IPv4Address("192.168.1.1"),
    addresses6=(IPv6Interface("2001:db8::5/64"), IPv6Interface("fd00::5/64")),
    gateway6=IPv6Address("fe80::1"),
)


@pytest.mark.parametrize(
    "seen",
    [
        FULL,
        Candidate(name="eth1", carrier=False),
        Candidate(name="eth2", quiet4="no offer", quiet6="nothing"),
        Candidate(name="eth3", barred="cannot be moved"),
        Candidate(
            name="eth4", static=(IPv4Interface("192.0.2.2/24"),), quiet4="static: 192.0.2.1 silent"
        ),
    ],
)
def test_what_the_file_keeps_is_enough_to_choose_again(seen: Candidate) -> None:
    (ranked,) = choose([seen]).ranking

    assert candidate(nic_status(seen, ranked, "52:54:00:00:00:01")) == seen


def test_the_status_lists_nics_in_the_order_of_the_choice() -> None:
    seen = [Candidate(name="eth1", carrier=False), FULL]
    nics = nics_status(choose(seen), seen, {"eth0": "52:54:00:00:00:01"})

    assert [(nic.name, nic.mac, nic.address_class) for nic in nics] == [
        ("eth0", "52:54:00:00:00:01", "RFC1918 IPv4"),
        ("eth1", "", None),
    ]
    assert nics[1].reason == "no carrier"


def test_the_uplink_says_why() -> None:
    best = choose([FULL]).uplink

    assert best is not None

    uplink = uplink_status(best, "52:54:00:00:00:01")

    assert uplink.address_class == "RFC1918 IPv4"
    assert uplink.reason == ("RFC1918 IPv4 192.168.1.5/24 by 192.168.1.1, the only one usable")

"""Who else has our address."""

from ipaddress import IPv4Address

import pytest

from agent.dhcp.announce import claims
from netns.arp import Arp, Operation, announcement, probe

OURS, THEIRS = "52:54:00:12:34:56", "52:54:00:99:99:99"
ADDRESS, OTHER = IPv4Address("192.168.1.42"), IPv4Address("192.168.1.43")


@pytest.mark.parametrize(
    ("packet", "conflict"),
    [
        (Arp(Operation.REPLY, THEIRS, ADDRESS, OURS, ADDRESS), True),
        (announcement(THEIRS, ADDRESS), True),
        (Arp(Operation.REQUEST, THEIRS, ADDRESS, OURS, OTHER), True),
        (announcement(OURS, ADDRESS), False),
        (announcement(THEIRS, OTHER), False),
        (Arp(Operation.REQUEST, THEIRS, OTHER, OURS, ADDRESS), False),
        (probe(THEIRS, ADDRESS), False),  # a switch that tracks its hosts
    ],
)
def test_only_another_host_that_says_it_has_the_address_is_in_conflict(
    packet: Arp, conflict: bool
) -> None:
    assert claims(packet, OURS.upper(), ADDRESS) is conflict

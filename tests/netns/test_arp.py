"""The ARP codec and what counts as a conflict."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netns import arp
from netns.arp import Arp, Operation

OURS, THEIRS = "02:00:00:00:00:01", "02:00:00:00:00:02"
ADDRESS, OTHER = IPv4Address("192.168.1.20"), IPv4Address("192.168.1.1")
REPLY = Arp(Operation.REPLY, THEIRS, ADDRESS, OURS, IPv4Address(0))


def test_an_announcement_is_what_rfc_5227_says_byte_for_byte() -> None:
    data = arp.encode(arp.announcement(OURS, ADDRESS))

    assert data.hex(" ") == (
        "00 01 08 00 06 04 00 01 02 00 00 00 00 01 c0 a8 01 14 00 00 00 00 00 00 c0 a8 01 14"
    )


def test_a_probe_names_no_sender_address_so_no_cache_learns_it() -> None:
    assert arp.probe(OURS, ADDRESS).sender == IPv4Address("0.0.0.0")


def test_what_is_encoded_is_decoded_also_with_padding_behind_it() -> None:
    assert arp.decode(arp.encode(REPLY) + bytes(18)) == REPLY


def test_what_is_no_arp_for_ipv4_on_ethernet_is_none() -> None:
    good = arp.encode(REPLY)
    short, hardware, protocol, operation = (
        good[:-1],
        b"\0\6" + good[2:],
        good[:2] + b"\x86\xdd" + good[4:],
        good[:6] + b"\0\x09" + good[8:],
    )

    assert arp.decode(good) is not None
    assert [arp.decode(d) for d in (short, hardware, protocol, operation)] == [None] * 4


@given(st.binary(max_size=64))
def test_no_bytes_raise(data: bytes) -> None:
    packet = arp.decode(data)

    assert packet is None or arp.encode(packet) == data[:28]


def test_a_conflict_is_somebody_who_has_the_address_or_probes_for_it_too() -> None:
    has_it = REPLY
    announces = arp.announcement(THEIRS, ADDRESS)
    probes = arp.probe(THEIRS, ADDRESS)

    assert all(p.claims(ADDRESS, by_other_than=OURS) for p in (has_it, announces, probes))


def test_no_conflict_is_ourselves_a_question_for_it_or_another_address() -> None:
    ourselves = replace(REPLY, sender_mac=OURS)
    asks_for_it = Arp(Operation.REQUEST, THEIRS, OTHER, arp.NOBODY, ADDRESS)
    elsewhere = replace(REPLY, sender=OTHER)
    own_probe = arp.probe(OURS, ADDRESS)
    answers_a_probe = Arp(Operation.REPLY, THEIRS, arp.NOWHERE, OURS, ADDRESS)
    packets = (ourselves, asks_for_it, elsewhere, own_probe, answers_a_probe)

    assert not any(p.claims(ADDRESS, by_other_than=OURS) for p in packets)

"""Echo packets, and whom to ask when."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.overlay.echo import MAX_AT_ONCE, Asker, decode_reply, encode_echo
from netns.values import IPAddress

A, B = ip_address("10.9.0.2"), ip_address("fd09::2")


def ask(asker: Asker, until: float, *, start: float = 0.0) -> list[float]:
    """When it asks, woken at each deadline."""
    moments, now = [], start
    while asker.deadline is not None and asker.deadline <= until:
        now = max(now, asker.deadline)
        if asker.due(now):
            moments.append(round(now, 2))
    return moments


def aimed(*addresses: IPAddress) -> Asker:
    asker = Asker()
    asker.aim(addresses, 0.0)
    return asker


def test_a_reply_is_read_from_behind_the_ipv4_header() -> None:
    reply = struct.pack("!BBHHH", 0, 0, 0, 77, 5)
    header = bytes([0x46]) + bytes(23)

    assert decode_reply(4, header + reply) == (77, 5)
    assert decode_reply(6, struct.pack("!BBHHH", 129, 0, 0, 77, 5)) == (77, 5)


def test_an_echo_request_is_no_reply() -> None:
    assert decode_reply(6, encode_echo(6, 77, 5)) is None
    assert decode_reply(4, bytes([0x45]) + bytes(19) + encode_echo(4, 77, 5)) is None


def test_the_icmp_check_sum_is_right() -> None:
    words = struct.unpack("!4H", encode_echo(4, 0xBEEF, 0x1234))
    total = sum(words)

    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@given(st.binary(max_size=64), st.sampled_from([4, 6]))
def test_noise_is_no_reply_and_no_error(noise: bytes, family: int) -> None:
    found = decode_reply(family, noise)

    assert found is None or len(found) == 2


def test_one_that_does_not_answer_is_asked_quickly_and_then_every_two_seconds() -> None:
    moments = ask(aimed(A), 30)

    assert moments[:5] == [0, 0.03, 0.07, 0.12, 0.19]
    assert [round(b - a, 2) for a, b in zip(moments[-4:], moments[-3:], strict=False)] == [2, 2, 2]


def test_one_that_answers_is_asked_rarely() -> None:
    asker = aimed(A)
    ((_, sequence),) = asker.due(0)
    assert asker.heard(A, sequence, 0.02)

    assert asker.contacts[A].reachable
    assert asker.contacts[A].rtt == pytest.approx(0.02)
    assert asker.deadline == pytest.approx(4.02)


def test_in_a_large_network_each_is_asked_less_often() -> None:
    many = [ip_address(f"10.0.{number // 256}.{number % 256}") for number in range(1000)]
    asker = aimed(*many)
    first, sequence = asker.due(0)[0]
    assert asker.heard(first, sequence, 0.02)

    assert asker.contacts[first].next_at == pytest.approx(50.02)


def test_a_late_answer_has_its_own_round_trip() -> None:
    asker = aimed(A)
    ((_, first),) = asker.due(0)
    asker.due(0.03)
    assert asker.heard(A, first, 0.1)

    assert asker.contacts[A].rtt == pytest.approx(0.1)


def test_three_questions_in_vain_and_it_is_not_reachable_any_more() -> None:
    asker = aimed(A)
    ((_, sequence),) = asker.due(0)
    asker.heard(A, sequence, 0)
    contact = asker.contacts[A]
    seen = []
    for until in (6.0, 8.0):
        ask(asker, until)
        seen.append(contact.reachable)
    assert seen == [True, False]

    ((_, sequence), *_) = asker.due(asker.deadline or 0)
    assert asker.heard(A, sequence, 9)
    assert contact.reachable


def test_an_answer_that_nobody_asked_for_means_nothing() -> None:
    asker = aimed(A)
    asker.due(0)

    assert not asker.heard(A, 999, 0.1)
    assert not asker.heard(B, 1, 0.1)
    assert asker.contacts[A].reachable is None


def test_a_new_target_does_not_disturb_the_others() -> None:
    asker = aimed(A)
    ((_, sequence),) = asker.due(0)
    asker.heard(A, sequence, 0)
    asker.aim([A, B], 1)

    assert [address for address, _ in asker.due(1)] == [B]
    assert asker.contacts[A].reachable


def test_a_new_device_is_asked_for_all_at_once_again() -> None:
    asker = aimed(A, B)
    for address, sequence in asker.due(0):
        asker.heard(address, sequence, 0)
    asker.hurry(3)

    assert [address for address, _ in asker.due(3)] == [A, B]
    assert ask(asker, 3.15, start=3) == [3.03, 3.07, 3.12]


def test_many_targets_are_asked_in_portions() -> None:
    many = [ip_address(f"10.9.{i // 250}.{i % 250 + 1}") for i in range(3 * MAX_AT_ONCE)]
    asker = aimed(*many)

    assert [len(asker.due(0)) for _ in range(4)] == [MAX_AT_ONCE] * 3 + [0]

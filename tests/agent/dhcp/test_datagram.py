"""IP and UDP headers by hand."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.dhcp.datagram import unwrap, wrap
from agent.dhcp.options import BadMessageError

SOURCE, DESTINATION = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.9")


def to_client(payload: bytes) -> bytearray:
    """Our own datagram with the two ports exchanged: the checksum does not see the order."""
    packet = bytearray(wrap(payload, source=SOURCE, destination=DESTINATION))
    packet[20:24] = packet[22:24] + packet[20:22]
    return packet


@given(st.binary(max_size=600))
def test_what_is_wrapped_unwraps(payload: bytes) -> None:
    assert unwrap(bytes(to_client(payload))) == payload


def test_padding_behind_the_datagram_is_cut_off() -> None:
    assert unwrap(bytes(to_client(b"abc")) + bytes(18)) == b"abc"


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0x65), (0, 0x44), (3, 0xFF), (6, 0x20), (9, 6), (15, 9), (23, 69), (25, 99), (30, 0x7A)],
)
def test_a_damaged_datagram_is_refused(at: int, value: int) -> None:
    packet = to_client(b"abc")
    packet[at] = value

    with pytest.raises(BadMessageError):
        unwrap(bytes(packet))


def test_a_checksum_left_to_hardware_is_not_looked_at() -> None:
    packet = to_client(b"abc")
    packet[26] ^= 1

    assert unwrap(bytes(packet), checksum_pending=True) == b"abc"


@given(st.binary(max_size=120))
def test_noise_is_only_ever_a_bad_message(noise: bytes) -> None:
    with pytest.raises(BadMessageError):
        unwrap(noise)

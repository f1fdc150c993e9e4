"""Frames: what a connection may say, and nothing else."""

from ipaddress import ip_address, ip_network

import msgspec
import pytest
import zmq.utils.z85
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import controller_id, network_id, short_id
from protocol.keys import VerifyKey, from_z85, new_curve_pair, to_z85
from protocol.messages import (
    Admit,
    Join,
    MessageError,
    Ping,
    decode_node_request,
    decode_reply,
    decode_token_request,
    encode,
)
from protocol.packing import (
    format_endpoint,
    is_endpoint_address,
    pack_network,
    parse_endpoint,
    unpack_network,
)

ADMIT = Admit(1, b"n" * 32, "n1", "0.1.0", "linux")
JOIN = Join(2, "00112233440000aa", b"w" * 32, ("192.0.2.1:51820",), (4,), 51820)


def test_a_token_connection_knows_admit_and_a_node_connection_does_not() -> None:
    assert decode_token_request(encode(ADMIT)) == ADMIT
    with pytest.raises(MessageError):
        decode_node_request(encode(ADMIT))
    with pytest.raises(MessageError):  # nothing is answered without a look at the token
        decode_token_request(encode(Ping(1)))


def test_a_node_connection_knows_join_and_a_token_connection_does_not() -> None:
    assert decode_node_request(encode(JOIN)) == JOIN
    with pytest.raises(MessageError):
        decode_token_request(encode(JOIN))


@given(st.binary(max_size=200))
def test_noise_is_a_message_error_or_a_message(noise: bytes) -> None:
    for decode in (decode_node_request, decode_token_request, decode_reply):
        try:
            decode(noise)
        except MessageError:
            continue


def test_keys_of_a_wrong_size_are_refused() -> None:
    assert decode_token_request(encode(ADMIT)) == ADMIT
    with pytest.raises(MessageError):
        decode_token_request(encode(Admit(1, b"n" * 31, "n1", "0.1.0", "linux")))


def test_z85_is_what_zeromq_calls_z85() -> None:
    public, _ = new_curve_pair()

    assert to_z85(public) == zmq.utils.z85.encode(bytes(public))
    assert from_z85(to_z85(public)) == public


@pytest.mark.parametrize("text", ["192.0.2.1:51820", "[2001:db8::1]:51820"])
def test_endpoints_are_written_as_they_are_read(text: str) -> None:
    assert format_endpoint(*parse_endpoint(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:1",
        "192.0.2.1",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:+5",
        "192.0.2.1:\uff15",
        "2001:db8::1:x",
        "[2001:db8::1%eth0]:5",
        "[2001:db8::1%\nreplace_peers=true\n]:5",
    ],
)
def test_what_is_no_endpoint_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text)


def test_an_endpoint_address_is_another_machine_s() -> None:
    good = ("192.0.2.1", "192.168.1.7", "2001:db8::1", "fd00::7")
    bad = (
        *("0.0.0.0", "127.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:192.0.2.1"),
    )

    assert [text for text in good if not is_endpoint_address(ip_address(text))] == []
    assert [text for text in bad if is_endpoint_address(ip_address(text))] == []


def test_a_network_id_ends_where_it_ends() -> None:
    assert decode_node_request(encode(JOIN)) == JOIN
    longer = msgspec.structs.replace(JOIN, network=JOIN.network + "\n")
    with pytest.raises(MessageError):
        decode_node_request(encode(longer))


def test_a_prefix_with_host_bits_is_refused() -> None:
    packed = pack_network(ip_network("10.9.0.0/16"))
    assert unpack_network(packed) == ip_network("10.9.0.0/16")
    with pytest.raises(ValueError, match="host bits"):
        unpack_network(b"\x0a\x09\x00\x01\x10")


def test_interface_names_fit_into_fifteen_characters() -> None:
    network = network_id(controller_id(VerifyKey(b"r" * 32)), 1)

    assert len("w-" + short_id(network)) <= 15

"""Messages to bytes and back, and what nobody may delegate."""

from ipaddress import IPv6Network

import pytest

from agent.dhcp.options import BadMessageError, StrayMessageError
from agent.dhcp6.wire import Answer, MessageType, Query, Status, decode_answer, encode_query
from tests.agent.dhcp6.answers import (
    CLIENT,
    OFFER,
    PREFIX,
    QUERY,
    SERVER,
    ia,
    ia_prefix,
    message,
    option,
    status,
)

LAN = IPv6Network("2001:db8:b:1::/64")


def decode(*options: bytes, **changes: int | bytes) -> Answer:
    return decode_answer(message(*options, **changes), query=QUERY, avoid=(LAN,))  # type: ignore[arg-type]


def refusal(*options: bytes, **changes: int | bytes) -> str:
    with pytest.raises(BadMessageError) as refused:
        decode(*options, **changes)
    return str(refused.value)


def test_a_query_says_who_asks_for_what() -> None:
    query = Query(
        type=MessageType.RENEW,
        xid=0xABCDEF,
        client=CLIENT,
        server=SERVER,
        prefix=PREFIX,
        elapsed_s=2.5,
    )

    assert encode_query(query) == (
        b"\x05\xab\xcd\xef"
        + option(1, CLIENT)
        + option(2, SERVER)
        + option(8, b"\0\xfa")
        + option(6, b"\0\x52")
        + ia(ia_prefix(str(PREFIX), preferred=0, valid=0), t1=0, t2=0)
    )


def test_a_first_question_names_no_server_and_no_prefix() -> None:
    assert encode_query(QUERY) == (
        b"\x01\x12\x34\x56"
        + option(1, CLIENT)
        + option(8, b"\0\0")
        + option(6, b"\0\x52")
        + ia(t1=0, t2=0)
    )


def test_a_long_wait_does_not_overflow() -> None:
    query = Query(type=MessageType.SOLICIT, xid=1, client=CLIENT, elapsed_s=1e6)

    assert option(8, b"\xff\xff") in encode_query(query)


def test_an_answer_is_read() -> None:
    found = decode(
        ia(ia_prefix(str(PREFIX))),
        option(7, b"\x05"),
        option(82, b"\0\0\x0e\x10"),
        kind=MessageType.ADVERTISE,
    )

    assert found == Answer(
        type=MessageType.ADVERTISE,
        server=SERVER,
        offers=(OFFER,),
        renew_s=500,
        rebind_s=800,
        preference=5,
        sol_max_rt=3600,
    )


@pytest.mark.parametrize(("said", "heard"), [(59, None), (60, 60), (3600, 3600), (86400, None)])
def test_a_server_makes_us_no_more_patient_than_we_are(said: int, heard: int | None) -> None:
    assert decode(option(82, said.to_bytes(4, "big"))).sol_max_rt == heard


@pytest.mark.parametrize("options", [(ia(status(6)),), (status(6),), (status(6), ia())])
def test_that_there_is_no_prefix_may_be_said_in_two_places(options: tuple[bytes, ...]) -> None:
    assert decode(*options).status == Status.NO_PREFIX


def test_another_association_is_not_ours() -> None:
    assert decode(ia(ia_prefix(str(PREFIX)), iaid=7)).offers == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("::/0", "32 to 64 bits"),
        ("2000::/3", "32 to 64 bits"),
        ("2001:db8:b:10::1/128", "32 to 64 bits"),
        ("2001:db8:b:10::/65", "32 to 64 bits"),
        ("2001:db8:b:10::1/60", "bits behind its length"),
        ("fd12:3456:789a::/48", "not global"),
        ("fe80::/64", "not global"),
        ("ff02::/64", "not global"),
        ("2002:c000:200::/48", "not global"),
        ("2001:0:1::/48", "not global"),
        ("64:ff9b::/60", "not global"),
        ("2001:db8:b::/48", "own"),  # the LAN is in it
        ("2001:db8:b:1::/64", "own"),
    ],
)
def test_a_prefix_that_nobody_may_delegate_is_refused(text: str, said: str) -> None:
    assert said in refusal(ia(ia_prefix(text)))


@pytest.mark.parametrize(
    ("preferred", "valid", "said"), [(3000, 2000, "preferred for 3000"), (5, 5, "valid for 5 s")]
)
def test_times_that_are_none_are_refused(preferred: int, valid: int, said: str) -> None:
    assert said in refusal(ia(ia_prefix(str(PREFIX), preferred=preferred, valid=valid)))


def test_a_life_of_nothing_is_an_end() -> None:
    (offer,) = decode(ia(ia_prefix(str(PREFIX), preferred=0, valid=0))).offers

    assert offer.valid_s == 0


def test_t1_after_t2_is_refused_whole() -> None:
    assert "T1" in refusal(ia(ia_prefix(str(PREFIX)), t1=900, t2=800))


def test_a_bad_prefix_beside_a_good_one_is_left_out_with_a_reason() -> None:
    found = decode(ia(ia_prefix("fd00::/48"), ia_prefix(str(PREFIX))))

    assert found.offers == (OFFER,)
    assert found.left_out == ("offers fd00::/48: it is not global",)


def test_what_is_not_for_us_is_a_stray() -> None:
    for data in (
        message(xid=1),
        message(client=b"\0\x04somebody else"),
        message(kind=MessageType.SOLICIT),
        message(kind=10),  # RECONFIGURE
    ):
        with pytest.raises(StrayMessageError):
            decode_answer(data, query=QUERY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x07\x12\x34\x56",
        message() + b"\0",
        message() + b"\0\x19\xff\xff",
        message() + option(1, CLIENT),
        message() + option(2, SERVER),
        message(server=b""),
        message(server=b"x" * 131),
        message(status(6)[:-1]),
        message(option(13, b"\0")),
        message(option(7, b"\0\0")),
        message(option(82, b"\0")),
        message(option(25, b"\0" * 11)),
        message(ia(), ia()),
        message(ia(option(26, b"\0" * 24))),
        message(ia(ia_prefix("::/60", inner=b"\0\x0d\0"))),
        message(*[option(99, b"")] * 63),
        message(option(99, b"x" * 1500)),
    ],
)
def test_a_message_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessageError) as refused:
        decode_answer(data, query=QUERY)

    assert not isinstance(refused.value, StrayMessageError)


def test_a_prefix_of_more_than_all_bits_is_refused() -> None:
    bad = bytearray(ia_prefix("2001:db8::/60"))
    bad[12] = 129

    assert "129" in refusal(ia(bytes(bad)))

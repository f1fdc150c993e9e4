import struct
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from agent.ndmz.rdnss import MAX_OFFERS, Offers, Servers, decode_servers

ONE, TWO = IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54")


def option(kind: int, lifetime: int, *servers: IPv6Address) -> bytes:
    body = b"".join(server.packed for server in servers)
    return struct.pack("!BBHI", kind, (8 + len(body)) // 8, 0, lifetime) + body


def message(options: bytes, *, kind: int = 68, icmp: int = 134, link: int = 6) -> bytes:
    body = struct.pack("=BxHiBB6x", 10, len(options), link, icmp, 0) + options
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_the_servers_of_an_advertisement_are_read() -> None:
    data = message(option(31, 60) + option(25, 600, ONE, TWO))

    assert decode_servers(data) == [Servers(6, 600, (ONE, TWO))]


def test_two_messages_in_one_datagram_are_two_answers() -> None:
    data = message(option(25, 600, ONE)) + message(option(25, 0, TWO), link=7)

    assert decode_servers(data) == [Servers(6, 600, (ONE,)), Servers(7, 0, (TWO,))]


def test_other_messages_are_no_answer() -> None:
    good = option(25, 600, ONE)

    assert decode_servers(message(good, kind=16)) == []
    assert decode_servers(message(good, icmp=137)) == []
    assert decode_servers(message(option(31, 600, ONE))) == []
    assert decode_servers(message(good)) != []


@given(st.binary(max_size=200), st.binary(max_size=64))
def test_bad_bytes_are_an_empty_or_short_answer_and_never_an_error(
    datagram: bytes, options: bytes
) -> None:
    decode_servers(datagram)
    decode_servers(message(options))


def test_offers_end_with_their_time_or_by_a_lifetime_of_nothing() -> None:
    offers = Offers()
    news = [offers.take(Servers(6, 600, (ONE, TWO)), 0.0), offers.take(Servers(6, 600, (ONE,)), 9)]
    at_first = offers.current(10.0)
    news.append(offers.take(Servers(6, 0, (TWO,)), 10.0))

    assert at_first == [ONE, TWO]
    assert offers.current(11.0) == [ONE]
    assert offers.current(609.0) == []
    assert news == [True, False, True]


def test_a_router_of_ever_new_servers_fills_no_memory() -> None:
    offers = Offers()
    offers.take(Servers(6, 1800, (ONE,)), 0.0)
    for number in range(1000):
        offers.take(Servers(6, 600, (IPv6Address(number),)), 1.0)

    assert len(offers.current(2.0)) == MAX_OFFERS
    assert ONE in offers.current(2.0)

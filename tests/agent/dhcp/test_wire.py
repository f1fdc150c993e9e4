"""A strict reader of what anybody on the link may send, and a plain writer."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.dhcp.lease import StaticRoute
from agent.dhcp.options import BadMessageError
from agent.dhcp.wire import (
    Grant,
    MessageType,
    Nak,
    Query,
    decode_reply,
    encode_query,
)
from tests.agent.dhcp.replies import GOOD, QUERY, XID, area, ip, option, reply

LISTENING = replace(QUERY, static_routes=True)


def grant(data: bytes, query: Query = QUERY) -> Grant:
    decoded = decode_reply(data, query=query)
    assert isinstance(decoded, Grant)
    return decoded


def test_a_good_offer_is_read_whole() -> None:
    read = grant(reply({15: b"lan.example", 26: (1400).to_bytes(2, "big")}))

    assert read == Grant(
        type=MessageType.OFFER,
        server=IPv4Address("192.168.1.1"),
        address=IPv4Interface("192.168.1.42/24"),
        routers=(IPv4Address("192.168.1.1"),),
        dns=(IPv4Address("192.168.1.1"), IPv4Address("9.9.9.9")),
        domain="lan.example",
        mtu=1400,
        routes=(),
        lease_s=3600,
        renew_s=1800,
        rebind_s=3150,
    )


def test_a_refusal_needs_no_address_and_its_text_is_made_printable() -> None:
    data = reply(yiaddr="0.0.0.0", options=area({53: b"\x06", 54: ip("10.0.0.1"), 56: b"no\n\x1b"}))

    assert decode_reply(data, query=QUERY) == Nak(server=IPv4Address("10.0.0.1"), text="no??")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        reply()[:240],
        reply() + bytes(2000),
        reply(op=1),
        reply(xid=XID + 1),
        reply(mac="52:54:00:12:34:57"),
        reply(cookie=b"c\x82Sd"),
        reply()[:-1],
        reply(options=area(GOOD)[:-1] + b"\x0c"),
        reply(options=area(GOOD)[:-1] + b"\x0c\x05ab"),
        reply({53: None}),
        reply({53: b""}),
        reply({53: b"\x02\x02"}),
        reply({53: b"\x04"}),
        reply({53: b"\xc8"}),
        reply({54: None}),
        reply({54: ip("0.0.0.0")}),
        reply({54: b"abc"}),
        reply({1: None}),
        reply({1: ip("0.0.0.0")}),
        reply({1: ip("128.0.0.0")}),
        reply({1: ip("255.0.255.0")}),
        reply({51: None}),
        reply({51: bytes(4)}),
        reply({51: (59).to_bytes(4, "big")}),
        reply({51: b"\x01"}),
        reply({3: b"\x01\x02\x03"}),
        reply({3: b""}),
        reply({3: ip("192.168.1.1") * 17}),
        reply({6: b"\x01"}),
        reply({26: b"\x05"}),
        reply({58: b"\x05"}),
        reply({61: b"\x01\x02\x03"}),
        reply({52: b"\x04"}),
        reply({52: b""}),
        *(
            reply(yiaddr=hostile)
            for hostile in (
                "0.0.0.0",
                "0.1.2.3",
                "127.0.0.1",
                "169.254.3.4",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "192.168.1.0",
                "192.168.1.255",
            )
        ),
    ],
)
def test_a_bad_message_is_refused_by_one_error(data: bytes) -> None:
    with pytest.raises(BadMessageError):
        decode_reply(data, query=QUERY)


def test_the_frame_that_kills_other_clients_is_refused() -> None:
    """An option 61 of no length, in 284 bytes with IP and UDP headers."""
    data = reply(options=option(53, b"\x02") + option(61, b"") + b"\xff").ljust(256, b"\0")

    with pytest.raises(BadMessageError):
        decode_reply(data, query=QUERY)


def test_our_own_client_id_coming_back_is_welcome() -> None:
    assert grant(reply({61: QUERY.client_id})) == grant(reply())


@pytest.mark.parametrize("mtu", [0, 68, 575, 9217, 65535])
def test_a_useless_mtu_is_left_out(mtu: int) -> None:
    assert grant(reply({26: mtu.to_bytes(2, "big")})).mtu is None


@pytest.mark.parametrize("mtu", [576, 1500, 9216])
def test_a_sane_mtu_is_taken(mtu: int) -> None:
    assert grant(reply({26: mtu.to_bytes(2, "big")})).mtu == mtu


@pytest.mark.parametrize(
    "gateway", ["10.0.0.1", "192.168.1.42", "127.0.0.1", "224.0.0.1", "0.0.0.0"]
)
def test_a_gateway_that_cannot_be_one_is_left_out(gateway: str) -> None:
    read = grant(reply({3: ip(gateway) + ip("192.168.1.254")}))

    assert read.routers == (IPv4Address("192.168.1.254"),)


@pytest.mark.parametrize(
    ("offered", "mask", "gateway"),
    [
        ("100.127.200.9", 17, "100.127.128.1"),
        ("100.127.0.9", 24, "100.127.0.1"),
        ("100.64.0.9", 10, "100.127.0.1"),
    ],
)
def test_an_offer_out_of_a_network_of_this_node_is_refused(
    offered: str, mask: int, gateway: str
) -> None:
    own = replace(QUERY, avoid=(IPv4Network("100.127.0.0/16"),))
    wide = IPv4Network((0, mask)).netmask.packed
    offer = reply({1: wide, 3: ip(gateway)}, yiaddr=offered)
    assert isinstance(decode_reply(offer, query=QUERY), Grant)

    with pytest.raises(BadMessageError, match="this node's own"):
        decode_reply(offer, query=own)


def test_an_offer_out_of_a_network_around_this_node_s_is_taken() -> None:
    own = replace(QUERY, avoid=(IPv4Network("100.127.0.0/16"),))
    offer = reply({1: ip("255.192.0.0"), 3: ip("100.64.0.1")}, yiaddr="100.64.0.9")

    assert isinstance(decode_reply(offer, query=own), Grant)


@pytest.mark.parametrize(
    "data",
    [
        reply({3: ip("10.9.9.9")}),
        reply({3: ip("192.168.1.1") + ip("10.9.9.9")}),
        reply({3: None}),
        reply({1: ip("255.255.255.255"), 3: ip("10.9.9.9")}),
        reply({26: (68).to_bytes(2, "big")}),
        reply({15: b"$(reboot)"}),
        reply({3: ip("100.127.0.1")}, yiaddr="100.127.0.9"),
    ],
)
def test_an_offer_of_which_something_had_to_be_left_out_is_doubtful(data: bytes) -> None:
    assert grant(data).doubtful
    assert not grant(reply({15: b"home.example", 26: (1400).to_bytes(2, "big")})).doubtful


def test_a_host_mask_allows_a_gateway_outside() -> None:
    read = grant(reply({1: ip("255.255.255.255"), 3: ip("10.0.0.1")}))

    assert read.address == IPv4Interface("192.168.1.42/32")
    assert read.routers == (IPv4Address("10.0.0.1"),)


@pytest.mark.parametrize(
    ("renew", "rebind", "expected"),
    [
        (600, 1200, (600, 1200)),
        (0, 0, (1800, 3150)),
        (4, 3000, (1800, 3150)),
        (3000, 600, (1800, 3150)),
        (600, 3600, (1800, 3150)),
        (0xFFFFFFFF, 0xFFFFFFFF, (1800, 3150)),
    ],
)
def test_renewal_times_that_make_no_sense_become_the_usual_parts(
    renew: int, rebind: int, expected: tuple[int, int]
) -> None:
    read = grant(reply({58: renew.to_bytes(4, "big"), 59: rebind.to_bytes(4, "big")}))

    assert (read.renew_s, read.rebind_s) == expected


def test_a_lease_of_half_of_all_numbers_is_long_not_negative() -> None:
    assert grant(reply({51: b"\x80\0\0\0"})).lease_s == 0x80000000


@pytest.mark.parametrize(
    "domain", [b"a b", b"x\nnameserver 6.6.6.6", b"-a", b"a..b", b"\xff", b"", b"$(reboot)"]
)
def test_a_domain_that_could_be_more_than_a_name_is_left_out(domain: bytes) -> None:
    assert grant(reply({15: domain})).domain is None


def test_hostile_name_servers_are_left_out_and_three_are_enough() -> None:
    servers = [b"\x7f\0\0\1", ip("0.0.0.0"), *(ip(f"10.0.0.{i}") for i in range(1, 6))]

    assert grant(reply({6: b"".join(servers)})).dns == tuple(
        IPv4Address(f"10.0.0.{i}") for i in (1, 2, 3)
    )


def test_an_option_in_parts_is_joined() -> None:
    """RFC 3396: a router list that stands in two options."""
    parts = option(3, ip("192.168.1.1")[:1]) + option(3, ip("192.168.1.1")[1:])
    rest = area({k: v for k, v in GOOD.items() if k != 3})

    assert grant(reply(options=parts + rest)).routers == (IPv4Address("192.168.1.1"),)


@pytest.mark.parametrize(("overload", "field"), [(1, "file"), (2, "sname"), (3, "file")])
def test_options_in_the_name_fields_count_when_the_message_says_so(
    overload: int, field: str
) -> None:
    moved = {field: area({3: ip("192.168.1.7")})}
    said = reply({3: None, 52: bytes((overload,))}, **moved)  # type: ignore[arg-type]
    unsaid = reply({3: None}, **moved)  # type: ignore[arg-type]

    assert grant(said).routers == (IPv4Address("192.168.1.7"),)
    assert grant(unsaid).routers == ()


def test_an_option_goes_on_from_the_options_to_file_to_sname() -> None:
    data = reply({3: b"\xc0", 52: b"\x03"}, file=option(3, b"\xa8\x01"), sname=option(3, b"\x09"))

    assert grant(data).routers == (IPv4Address("192.168.1.9"),)


ROUTES = bytes((8, 10)) + ip("192.168.1.3") + bytes((0,)) + ip("192.168.1.2")


def test_routes_of_the_server_are_ignored_unless_configured() -> None:
    ignored, taken = grant(reply({121: ROUTES})), grant(reply({121: ROUTES}), LISTENING)

    assert (ignored.routes, ignored.routers) == ((), (IPv4Address("192.168.1.1"),))
    assert taken.routers == (IPv4Address("192.168.1.2"),)
    assert taken.routes == (StaticRoute(IPv4Network("10.0.0.0/8"), IPv4Address("192.168.1.3")),)


@pytest.mark.parametrize("bad", [b"\x21", b"\x08\x0a\x01", bytes((33, 1, 2, 3, 4, 5)), b"\0" * 4])
def test_routes_that_are_no_list_refuse_the_message(bad: bytes) -> None:
    with pytest.raises(BadMessageError):
        decode_reply(reply({121: bad}), query=LISTENING)


def test_routes_into_reserved_space_or_by_a_stranger_are_left_out() -> None:
    routes = bytes((8, 127)) + ip("192.168.1.3") + bytes((8, 11)) + ip("8.8.8.8")
    on_link = bytes((8, 12)) + ip("0.0.0.0")

    assert grant(reply({121: routes + on_link}), LISTENING).routes == (
        StaticRoute(IPv4Network("12.0.0.0/8"), None),
    )


@given(st.binary(max_size=700))
@settings(max_examples=400)
def test_noise_is_only_ever_a_bad_message(noise: bytes) -> None:
    with pytest.raises(BadMessageError):
        decode_reply(noise, query=QUERY)


@given(
    st.dictionaries(
        st.sampled_from([1, 3, 6, 12, 15, 26, 43, 51, 52, 53, 54, 56, 58, 59, 61, 121]),
        st.none() | st.binary(max_size=40),
    ),
    st.binary(max_size=128),
    st.binary(max_size=64),
    st.ip_addresses(v=4),
)
@settings(max_examples=600)
def test_whatever_is_accepted_is_fit_to_configure(
    changes: dict[int, bytes | None], file: bytes, sname: bytes, address: IPv4Address
) -> None:
    try:
        read = decode_reply(
            reply(changes, file=file, sname=sname, yiaddr=str(address)), query=LISTENING
        )
    except BadMessageError:
        return
    if isinstance(read, Nak):
        return
    # By the standard library's own idea of these classes, not by ours.
    ip = read.address.ip
    assert not any((ip.is_loopback, ip.is_multicast, ip.is_link_local, ip.is_unspecified))
    assert 8 <= read.address.network.prefixlen <= 32
    assert 60 <= read.lease_s < 1 << 32
    assert 0 < read.renew_s < read.rebind_s < read.lease_s
    assert read.mtu is None or 576 <= read.mtu <= 9216


@given(st.data())
@settings(max_examples=300)
def test_a_flipped_or_cut_good_message_never_raises_anything_else(data: st.DataObject) -> None:
    whole = bytearray(reply({15: b"lan", 58: bytes(4), 121: ROUTES, 52: b"\x03"}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(236, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for candidate in (bytes(whole), bytes(whole[:cut])):
        with suppress(BadMessageError):
            decode_reply(candidate, query=LISTENING)


def options_of(data: bytes) -> dict[int, bytes]:
    assert data[236:240] == b"c\x82Sc"
    found, at = {}, 240
    while data[at] != 255:
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def test_a_discover_asks_for_what_we_use_and_is_not_too_short() -> None:
    data = encode_query(replace(QUERY, secs=7, broadcast=True))
    sent = options_of(data)

    assert len(data) >= 300
    assert data[:4] == b"\x01\x01\x06\0"
    assert data[4:12] == XID.to_bytes(4, "big") + b"\0\x07\x80\0"
    assert data[28:44] == QUERY.hardware.ljust(16, b"\0")
    assert sent[53] == b"\x01"
    assert set(sent[55]) == {1, 3, 6, 15, 26, 51, 54, 58, 59}
    assert sent[61] == b"\x01" + QUERY.hardware


def test_routes_are_asked_for_only_when_configured() -> None:
    assert 121 in options_of(encode_query(LISTENING))[55]
    assert 121 not in options_of(encode_query(QUERY))[55]


def test_a_decline_names_address_and_server_and_asks_for_nothing() -> None:
    """RFC 2131, table 5."""
    decline = replace(
        QUERY,
        type=MessageType.DECLINE,
        requested=IPv4Address("10.0.0.9"),
        server=IPv4Address("10.0.0.1"),
    )
    sent = options_of(encode_query(decline))

    assert set(sent) == {50, 53, 54, 61}
    assert (sent[50], sent[54]) == (ip("10.0.0.9"), ip("10.0.0.1"))

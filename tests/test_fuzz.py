"""Whatever comes by the network, a parser answers with a value or with its one error.

A moment for each parser here; `script/fuzz` takes minutes. ZOSNET_FUZZ_SECONDS and _SEED say how long
and which.
"""

import os
import random
from collections.abc import Callable
from ipaddress import IPv6Network

import pytest
from msgspec.structs import replace

from agent.dhcp.datagram import unwrap
from agent.dhcp.options import BadMessageError
from agent.dhcp.wire import MIN_LEASE_S, MTU_RANGE, Grant, Nak, decode_reply
from agent.dhcp6.machine import choose_offer, delegation_of
from agent.dhcp6.wire import GLOBAL, LENGTHS, MIN_VALID_S, decode_answer
from agent.ndmz.rdnss import Offers, decode_servers
from agent.overlay import echo
from netns import arp
from protocol import messages
from protocol.messages import MessageError
from tests.agent.dhcp.replies import QUERY
from tests.agent.dhcp6.answers import QUERY as QUERY6
from tests.fuzz import mutations, seeds
from tests.protocol import documented

SECONDS = float(os.environ.get("ZOSNET_FUZZ_SECONDS", "0.2"))
SEED = int(os.environ.get("ZOSNET_FUZZ_SEED", "1"))

pytestmark = pytest.mark.timeout(SECONDS * 2 + 60)


def dhcp(data: bytes) -> bool:
    """As the client whose query it answers reads it; what is taken must be fit to configure."""
    xid, hardware = int.from_bytes(data[4:8], "big"), data[28:34].ljust(6, b"\0")
    query = replace(QUERY, xid=xid, hardware=hardware, static_routes=bool(xid & 1))
    try:
        reply = decode_reply(data, query=query)
    except BadMessageError:
        return False
    if isinstance(reply, Nak):
        assert reply.text.isprintable()
        return True
    assert_fit(reply)
    return True


def assert_fit(grant: Grant) -> None:
    assert grant.lease_s >= MIN_LEASE_S
    assert 0 < grant.renew_s < grant.rebind_s < grant.lease_s
    assert grant.mtu is None or grant.mtu in MTU_RANGE
    assert set(grant.domain or "") <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
    )
    assert grant.address.network.prefixlen >= 8
    assert not any(a.is_multicast or a.is_loopback for a in (grant.address.ip, *grant.routers))


def dhcp6(data: bytes) -> bool:
    """As the client whose question it answers reads it; what is taken must be fit to route."""
    query = replace(QUERY6, xid=int.from_bytes(data[1:4].ljust(3, b"\0"), "big"))
    try:
        answer = decode_answer(data, query=query, avoid=(IPv6Network("2001:db8:b:1::/64"),))
    except BadMessageError:
        return False
    for offer in answer.offers:
        assert offer.prefix.prefixlen in LENGTHS
        assert offer.prefix.subnet_of(GLOBAL)
        assert offer.valid_s == 0 or offer.preferred_s <= offer.valid_s >= MIN_VALID_S
    if (chosen := choose_offer(answer, None)) is not None:
        held = delegation_of(answer, chosen, acquired=0)
        assert 10 <= held.renew_s <= held.rebind_s < held.valid_s
    return True


def datagram(data: bytes) -> bool:
    read = 0
    for pending in (False, True):
        try:
            unwrap(data, checksum_pending=pending)
            read += 1
        except BadMessageError:
            pass
    return read > 0


def rdnss(data: bytes) -> bool:
    found, offers = decode_servers(data), Offers()
    for servers in found:
        offers.take(servers, 0.0)
    return bool(found)


def controller_reply(data: bytes) -> bool:
    try:
        messages.decode_reply(data)
    except MessageError:
        return False
    return True


PARSERS: dict[str, Callable[[bytes], bool]] = {
    "dhcp": dhcp,
    "dhcp6": dhcp6,
    "datagram": datagram,
    "rdnss": rdnss,
    "arp": lambda data: arp.decode(data) is not None,
    "echo4": lambda data: echo.decode_reply(4, data) is not None,
    "echo6": lambda data: echo.decode_reply(6, data) is not None,
    "controller's reply": controller_reply,
}


def corpus_of(name: str) -> list[bytes]:
    if name == "controller's reply":
        return [messages.encode(message) for message in documented.MESSAGES]
    return seeds(name)


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_says_a_value_or_its_one_error(name: str) -> None:
    parse, corpus = PARSERS[name], corpus_of(name)
    count = taken = 0
    for data in mutations(corpus, SECONDS, random.Random(SEED)):
        try:
            taken += parse(data)
        except Exception as error:
            error.add_note(f"for tests/corpus: {data.hex()}")
            raise
        count += 1

    assert any(parse(seed) for seed in corpus)
    assert count > sum(map(len, corpus))
    assert 0 < taken < count
    print(f"{name}: {count} inputs, {taken} taken")


def test_a_parser_that_breaks_is_found() -> None:
    inputs = mutations(seeds("dhcp"), 5, random.Random(SEED))

    assert any(data[:1] == b"\x02" and data[-1:] == b"\xfe" for data in inputs)

"""The messages to the kernel: what is asked, in pieces that fit, and what is understood."""

import struct
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from netns.decode import attributes, each_attribute
from netns.wireguard import genl
from netns.wireguard.device import (
    Device,
    DeviceError,
    Endpoint,
    Op,
    Peer,
    PeerStat,
    Place,
    Prefix,
    Remove,
    Reset,
    SetDevice,
    Upsert,
)

KEY = bytes(range(32))
PEER = Peer(
    KEY,
    frozenset({ip_network("10.9.0.2/32"), ip_network("fd00::2/128")}),
    Endpoint(ip_address("192.0.2.1"), 51820),
    25,
)
MANY: frozenset[Prefix] = frozenset(
    ip_network((int(IPv4Address("10.0.0.0")) + number, 32)) for number in range(600)
)
NEVER = bytes(16)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def entries(body: bytes) -> list[dict[int, memoryview]]:
    """The peers in a request, as attributes by number."""
    peers = attributes(body, 4).get(8, b"")
    return [attributes(data) for _, data in each_attribute(peers)]


def flags(entry: dict[int, memoryview]) -> int:
    return int.from_bytes(entry[3], "little") if 3 in entry else 0


def prefixes(entry: dict[int, memoryview]) -> int:
    return len(list(each_attribute(entry.get(9, b""))))


def test_a_peer_is_asked_for_as_linux_wireguard_h_has_it() -> None:
    (body,) = genl.set_bodies("w-1", [Upsert(PEER)])
    (entry,) = entries(body)

    assert body[:4] == bytes([1, 1, 0, 0])  # WG_CMD_SET_DEVICE, version 1
    assert bytes(attributes(body, 4)[2]) == b"w-1\0"
    assert bytes(entry[1]) == KEY
    assert flags(entry) == 2  # WGPEER_F_REPLACE_ALLOWEDIPS
    assert bytes(entry[4]) == bytes.fromhex("0200 ca6c c0000201") + bytes(8)
    assert bytes(entry[5]) == (25).to_bytes(2, "little")
    first, second = (attributes(data) for _, data in each_attribute(entry[9]))
    assert [bytes(first[1]), bytes(first[2]), bytes(first[3])] == [b"\2\0", b"\n\t\0\2", b"\x20"]
    assert [bytes(second[1]), second[3][0]] == [b"\n\0", 128]


def test_an_ipv6_endpoint_has_no_flow_and_no_scope() -> None:
    peer = Peer(KEY, endpoint=Endpoint(ip_address("2001:db8::1"), 51820))
    (body,) = genl.set_bodies("w-1", [Upsert(peer)])
    (entry,) = entries(body)
    address = bytes.fromhex("20010db8000000000000000000000001")

    assert bytes(entry[4]) == bytes.fromhex("0a00 ca6c 00000000") + address + bytes(4)


def test_a_peers_place_is_said_without_a_word_about_anything_else() -> None:
    endpoint = Endpoint(ip_address("192.0.2.1"), 51820)
    (body,) = genl.set_bodies("w-1", [Place(KEY, endpoint)])
    (entry,) = entries(body)

    assert flags(entry) == 4  # WGPEER_F_UPDATE_ONLY
    assert {1, 3, 4} == entry.keys()


def test_a_reset_removes_and_sets_in_one_request() -> None:
    (body,) = genl.set_bodies("w-1", [Reset(PEER)])

    assert [flags(entry) for entry in entries(body)] == [1, 2]


def test_device_and_peers_are_asked_in_their_order() -> None:
    ops: list[Op] = [Remove(KEY), SetDevice(secret=KEY), SetDevice(port=51821), Upsert(PEER)]
    bodies = list(genl.set_bodies("w-1", ops))

    assert [flags(entries(body)[0]) if entries(body) else None for body in bodies] == [
        1,
        None,
        None,
        2,
    ]
    assert bytes(attributes(bodies[1], 4)[3]) == KEY
    assert bytes(attributes(bodies[2], 4)[6]) == (51821).to_bytes(2, "little")


def test_no_request_is_larger_than_a_message_and_none_loses_a_peer() -> None:
    peers = [
        Peer(number.to_bytes(32), frozenset({ip_network((number, 32))})) for number in range(2000)
    ]
    bodies = list(genl.set_bodies("w-1", [Upsert(peer) for peer in peers]))
    asked = [bytes(entry[1]) for body in bodies for entry in entries(body)]

    assert max(map(len, bodies)) < 0x10000
    assert asked == [peer.key for peer in peers]


def test_a_peer_with_many_prefixes_goes_on_without_losing_the_first() -> None:
    told = [e for body in genl.set_bodies("w-1", [Upsert(Peer(KEY, MANY))]) for e in entries(body)]

    assert sum(map(prefixes, told)) == len(MANY)
    assert [flags(entry) for entry in told] == [2, 0, 0]
    assert {bytes(entry[1]) for entry in told} == {KEY}


def test_a_wrong_peer_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(DeviceError):
        list(genl.set_bodies("w-1", [Upsert(PEER), Upsert(Peer(b"short"))]))


# -- answers


def told_peer(key: bytes, *more: bytes, endpoint: bytes = b"") -> bytes:
    where = attribute(4, endpoint) if endpoint else b""
    counters = [attribute(6, NEVER), attribute(7, bytes(8)), attribute(8, bytes(8))]
    parts = [attribute(1, key), where, attribute(5, b"\x19\0"), *counters, *more]
    return attribute(0x8000, b"".join(parts))


def told_prefix(text: str) -> bytes:
    network = ip_network(text)
    family = 2 if network.version == 4 else 10
    parts = [
        attribute(1, family.to_bytes(2, "little")),
        attribute(2, network.network_address.packed),
        attribute(3, bytes([network.prefixlen])),
    ]
    return attribute(0x8000, b"".join(parts))


def test_a_device_is_read_over_several_messages_and_so_is_a_peer() -> None:
    other = b"\xff" * 32
    seen = struct.pack("=qq", 1790000000, 500000000)
    rest = attribute(0x8000, attribute(1, other) + attribute(0x8009, told_prefix("fd00::9/128")))
    first = told_peer(
        KEY,
        attribute(6, seen),
        attribute(7, (20).to_bytes(8, "little")),
        attribute(0x8009, told_prefix("10.9.0.2/32")),
        endpoint=bytes.fromhex("0200 1194 c0000201") + bytes(8),
    )
    second = told_peer(other, attribute(0x8009, told_prefix("10.9.0.9/32")))
    settings = attribute(2, b"w-1\0") + attribute(3, KEY) + attribute(6, b"\x6c\xca")
    reading = genl.decode_reading(
        [
            bytes(4) + settings + attribute(0x8008, first + second),
            bytes(4) + attribute(0x8008, rest),
        ]
    )

    allowed = frozenset({ip_network("10.9.0.9/32"), ip_network("fd00::9/128")})
    learnt = Endpoint(ip_address("192.0.2.1"), 4500)
    assert reading.device == Device(
        KEY,
        51820,
        {
            KEY: Peer(KEY, frozenset({ip_network("10.9.0.2/32")}), learnt, 25),
            other: Peer(other, allowed, None, 25),
        },
    )
    assert reading.stats == {KEY: PeerStat(1790000000.5, 20, 0), other: PeerStat()}


def test_a_device_that_was_just_made_has_no_key() -> None:
    settings = attribute(3, bytes(32)) + attribute(6, b"\0\0")

    assert genl.decode_reading([bytes(4) + settings]).device == Device()


def test_a_peer_that_speaks_from_a_link_local_address_has_no_endpoint_to_keep() -> None:
    where = bytes.fromhex("0a00 1194 00000000") + ip_address("fe80::7").packed + bytes(4)
    settings = attribute(3, KEY) + attribute(6, b"\0\0")
    peers = attribute(0x8008, told_peer(KEY, endpoint=where))
    reading = genl.decode_reading([bytes(4) + settings + peers])

    assert reading.device.peers[KEY].endpoint is None

"""Devices as values: the difference leads there, and what cannot be is refused before a write."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netns.wireguard.device import (
    Device,
    DeviceError,
    Endpoint,
    Peer,
    Place,
    Prefix,
    Remove,
    Reset,
    SetDevice,
    Upsert,
    apply,
    diff,
    keep_roamed,
    validate,
)

KEYS = [bytes([n]) * 32 for n in range(1, 5)]
PREFIXES: list[Prefix] = [
    ip_network(text)
    for text in ("10.9.0.1/32", "10.9.0.2/32", "10.9.0.0/24", "fd00::1/128", "fd00::/64", "::/0")
]
ENDPOINTS = [
    Endpoint(ip_address("192.0.2.1"), 51820),
    Endpoint(ip_address("2001:db8::1"), 51821),
]


def device(peers: Iterable[Peer], *, port: int = 51820) -> Device:
    return Device(b"s" * 32, port, {peer.key: peer for peer in peers})


@st.composite
def devices(draw: st.DrawFn) -> Device:
    """Valid ones: every prefix has at most one owner."""
    owners = draw(st.lists(st.sampled_from([None, *KEYS]), min_size=6, max_size=6))
    chosen = draw(st.sets(st.sampled_from(KEYS)))
    peers = [
        Peer(
            key,
            frozenset(p for p, owner in zip(PREFIXES, owners, strict=True) if owner == key),
            draw(st.sampled_from([None, *ENDPOINTS])),
            draw(st.sampled_from([0, 25])),
        )
        for key in chosen
    ]
    return device(peers, port=draw(st.sampled_from([51820, 51821])))


@given(devices(), devices())
def test_the_difference_leads_from_any_device_to_any_other(have: Device, want: Device) -> None:
    validate(want)

    assert apply(have, diff(have, want)) == want


@given(devices())
def test_there_is_nothing_to_do_between_equal_devices(have: Device) -> None:
    assert diff(have, have) == []


@given(devices(), devices())
def test_an_endpoint_that_was_learnt_is_kept(have: Device, want: Device) -> None:
    after = apply(have, diff(have, keep_roamed(have, want)))

    for key in have.peers.keys() & want.peers.keys():
        learnt = have.peers[key].endpoint
        assert after.peers[key].endpoint == (learnt or want.peers[key].endpoint)


def test_peers_that_did_not_change_are_not_touched() -> None:
    first, second = Peer(KEYS[0], frozenset(PREFIXES[:1])), Peer(KEYS[1], frozenset(PREFIXES[1:2]))
    have = device([first, second])
    changed = replace(second, keepalive=25)

    assert diff(have, device([first, changed])) == [Upsert(changed)]


def test_removals_come_before_the_prefix_is_given_to_another() -> None:
    have = device([Peer(KEYS[1], frozenset(PREFIXES[:1]))])
    heir = Peer(KEYS[0], frozenset(PREFIXES[:1]))

    assert diff(have, device([heir])) == [Remove(KEYS[1]), Upsert(heir)]


def test_only_a_new_peer_forgets_its_endpoint() -> None:
    have = device([Peer(KEYS[0], endpoint=ENDPOINTS[0])])
    want = device([Peer(KEYS[0])])

    assert diff(have, want) == [Reset(Peer(KEYS[0]))]


def test_a_peer_is_placed_and_one_that_is_not_there_is_not_made() -> None:
    have = device([Peer(KEYS[0], frozenset(PREFIXES[:1]), ENDPOINTS[0], 25)])
    placed = device([Peer(KEYS[0], frozenset(PREFIXES[:1]), ENDPOINTS[1], 25)])

    assert apply(have, [Place(key, ENDPOINTS[1]) for key in KEYS[:2]]) == placed


def test_a_device_without_key_gets_key_and_port() -> None:
    assert diff(Device(), device([])) == [SetDevice(secret=b"s" * 32), SetDevice(port=51820)]


@pytest.mark.parametrize(
    "wrong",
    [
        Device(b"short"),
        Device(port=65536),
        device([Peer(b"short")]),
        device([Peer(KEYS[0], keepalive=-1)]),
        device([Peer(KEYS[0], endpoint=Endpoint(ip_address("192.0.2.1"), 0))]),
        device([Peer(KEYS[0], endpoint=Endpoint(ip_address("0.0.0.0"), 1))]),
        device([Peer(KEYS[0], endpoint=Endpoint(ip_address("fe80::1"), 1))]),
        device([Peer(KEYS[0], frozenset(PREFIXES[:1])), Peer(KEYS[1], frozenset(PREFIXES[:1]))]),
        Device(peers={KEYS[0]: Peer(KEYS[1])}),
    ],
)
def test_what_cannot_be_is_refused(wrong: Device) -> None:
    validate(device([Peer(KEYS[0], frozenset(PREFIXES[:1]), ENDPOINTS[1], 25)]))  # the control

    with pytest.raises(DeviceError):
        validate(wrong)


def test_a_key_that_the_device_gives_back_clamped_is_the_same_key() -> None:
    have = replace(device([]), secret=bytes([0xF8, *b"\xff" * 30, 0x7F]))

    assert diff(have, replace(device([]), secret=b"\xff" * 32)) == []
    assert diff(have, replace(device([]), secret=b"\x0f" + b"\xff" * 31)) != []


def test_no_key_shows_when_a_device_is_printed() -> None:
    printed = repr(device([])) + repr(SetDevice(secret=b"s" * 32))

    assert "ssss" not in printed

"""Peers of a device: set once, kicked until they answer, left alone after."""

import asyncio
from ipaddress import ip_network

import pytest
from msgspec.structs import replace

from agent.enrol.store import WireGuardKey
from agent.overlay.peering import DeviceGoneError, Peering, PortTakenError
from agent.overlay.peers import PeerPlan, Plan
from netns.wireguard.device import Endpoint, Peer, PeerStat, Place, Remove, Reset, SetDevice, Upsert
from protocol.keys import WireGuardPublic, WireGuardSecret
from tests.agent.overlay.signing import endpoint
from tests.fakes.wireguard import MemoryDevice

KEY = WireGuardKey(WireGuardPublic(b"p" * 32), WireGuardSecret(b"s" * 32), 51820)
A, B = endpoint("192.0.2.1:1"), endpoint("192.0.2.2:2")
PEER = b"k" * 32
ALLOWED = frozenset({ip_network("10.9.0.2/32")})
SHAKEN = PeerStat(handshake=1.0, rx=500)


def plan(*endpoints: Endpoint, initiator: bool = True, key: bytes = PEER) -> Plan:
    return Plan({key: PeerPlan(b"n" * 32, key, ALLOWED, endpoints, initiator)}, {})


class Story:
    """A peering and its device, tended at given moments."""

    def __init__(self) -> None:
        self.device = MemoryDevice()
        self.peering = Peering(self.device, "w-1")

    def tend(self, wanted: Plan, now: float, key: WireGuardKey = KEY) -> float | None:
        return asyncio.run(self.peering.tend(wanted, key, now))

    @property
    def last(self) -> list[object]:
        return list(self.device.requests[-1])


def test_a_new_device_gets_key_port_and_peers_in_one_request() -> None:
    story = Story()
    next_at = story.tend(plan(A), 0)

    assert story.device.requests == [
        [
            SetDevice(secret=b"s" * 32),
            SetDevice(port=51820),
            Upsert(Peer(PEER, ALLOWED, A, 25)),
        ]
    ]
    assert next_at == 0.15


def test_a_peer_that_answers_is_never_touched_again() -> None:
    story = Story()
    story.tend(plan(A), 0)
    story.device.hear(PEER, B, SHAKEN)  # it has roamed
    for now in (0.1, 1, 10, 100):
        story.tend(plan(A), now)

    assert len(story.device.requests) == 1
    assert story.peering.learnt == {PEER: B}


def test_a_kick_makes_the_peer_anew_in_one_request() -> None:
    story = Story()
    story.tend(plan(A), 0)
    story.tend(plan(A), 0.15)

    assert story.last == [Reset(Peer(PEER, ALLOWED, A, 25))]


def test_the_one_that_waits_asks_with_one_request_and_so_one_initiation() -> None:
    story = Story()
    story.tend(plan(A, initiator=False), 0)
    assert Upsert(Peer(PEER, ALLOWED)) in story.last
    story.tend(plan(A, initiator=False), 3)

    assert story.last == [Reset(Peer(PEER, ALLOWED, A, 25))]
    story.tend(plan(A, initiator=False), 4)
    assert len(story.device.requests) == 2


def test_a_session_that_we_find_at_our_start_stays_where_it_is() -> None:
    story = Story()
    story.tend(plan(A), 0)
    story.device.hear(PEER, B, SHAKEN)
    again = Peering(story.device, "w-1")
    asyncio.run(again.tend(plan(A), KEY, 100))
    asyncio.run(again.tend(plan(A), KEY, 110))

    assert story.last == [Place(PEER, B)]
    assert len(story.device.requests) == 2


def test_a_member_that_is_gone_is_removed_and_its_endpoint_stays_known() -> None:
    story = Story()
    story.tend(plan(A), 0)
    story.device.hear(PEER, A, SHAKEN)
    story.tend(plan(A), 1)
    story.tend(Plan({}, {}), 2)

    assert story.last == [Remove(PEER)]
    assert story.peering.learnt == {PEER: A}


def test_what_somebody_else_changed_is_put_right() -> None:
    story = Story()
    story.tend(plan(A), 0)
    story.device.hear(PEER, A, SHAKEN)
    assert story.device.device is not None
    stranger = Peer(b"x" * 32, frozenset({ip_network("0.0.0.0/0")}))
    peers = {**story.device.device.peers, stranger.key: stranger}
    story.device.device = replace(story.device.device, peers=peers)
    story.tend(plan(A), 5)

    assert story.last == [Remove(stranger.key)]


def test_a_device_that_died_and_a_port_that_is_taken_are_told_apart() -> None:
    story = Story()
    story.device.taken = {51820}
    with pytest.raises(PortTakenError):
        story.tend(plan(A), 0)
    story.device.device = None

    with pytest.raises(DeviceGoneError):
        story.tend(plan(A), 1)


def test_elsewhere_the_beginner_begins_anew_and_the_other_end_forgets_where_it_spoke_from() -> None:
    for initiator, step in (
        (True, Reset(Peer(PEER, ALLOWED, A, 25))),
        (False, Place(PEER, B)),
    ):
        story = Story()
        story.tend(plan(A, initiator=initiator), 0)
        story.device.hear(PEER, B, SHAKEN)
        story.tend(plan(A, initiator=initiator), 1)
        story.peering.restart()
        story.tend(plan(A, initiator=initiator), 10)

        assert story.last == [step]
        assert len(story.device.requests) == 2
        story.device.hear(PEER, B, SHAKEN)
        story.tend(plan(A, initiator=initiator), 11)
        assert len(story.device.requests) == 2


def test_elsewhere_one_who_is_to_begin_from_now_on_begins() -> None:
    """It has no address any more that the other could send to; their session leads nowhere."""
    story = Story()
    story.tend(plan(A, initiator=False), 0)
    story.device.hear(PEER, B, SHAKEN)
    story.tend(plan(A, initiator=False), 1)
    story.peering.restart()
    next_at = story.tend(plan(A, initiator=True), 10)

    assert story.last == [Reset(Peer(PEER, ALLOWED, A, 25))]
    assert next_at == 10.15


def test_after_a_death_all_pairs_start_anew() -> None:
    story = Story()
    story.tend(plan(A), 0)
    story.device.hear(PEER, B, SHAKEN)
    story.tend(plan(A), 1)
    story.device.device, story.device.stats = None, {}
    asyncio.run(story.device.ensure("w-1", underlay="", space="n-1"))
    story.peering.renew(from_cache=True)
    next_at = story.tend(plan(A), 10)

    assert next_at == 10.15
    assert Upsert(Peer(PEER, ALLOWED, A, 25)) in story.last

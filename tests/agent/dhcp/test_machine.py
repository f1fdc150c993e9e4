"""The DHCPv4 client's timelines: days of it in a millisecond."""

from ipaddress import IPv4Address, IPv4Interface
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.dhcp.lease import FOREVER
from agent.dhcp.machine import (
    EARLY_RETRIES,
    Bound,
    Drop,
    Rebinding,
    Renewing,
    Requesting,
    Selecting,
    Send,
    Use,
    Waiting,
)
from agent.dhcp.wire import Grant, MessageType, Nak
from tests.agent.dhcp.timeline import (
    ACK,
    ADDRESS,
    LEASE,
    NAK,
    OFFER,
    OTHER,
    SERVER,
    bound,
    new_machine,
    queries,
)


def test_from_nothing_to_a_lease_in_four_messages() -> None:
    machine = new_machine()
    machine.start(10)
    (discover,) = queries(machine)
    machine.receive(OFFER, 11)
    (request,) = queries(machine)
    machine.receive(ACK, 12)

    assert (discover.type, discover.requested, discover.server) == (1, None, None)
    assert (request.type, request.requested, request.server) == (3, ADDRESS.ip, SERVER)
    assert request.xid == discover.xid
    assert request.ciaddr == IPv4Address(0)
    # RFC 2131, 4.4.1: the lease counts from the request.
    assert machine.actions() == [Use(replace(LEASE, acquired=11))]
    assert isinstance(machine.state, Bound)


def test_silence_is_asked_again_at_once_some_times_then_after_1_2_4_up_to_64_seconds_with_one_xid() -> (
    None
):
    machine, moments, xids = new_machine(), [0.0], set()
    machine.start(0)
    for _ in range(15):
        moments.append(machine.deadline)
        machine.wake(moments[-1])
    xids = {query.xid for query in queries(machine)}

    assert [b - a for a, b in pairwise(moments)] == pytest.approx([
        0.001, 0.002, 0.004, 0.016, 0.064, 0.256, 1, 2, 4, 8, 16, 32, 64, 64, 64,
    ])  # fmt: skip
    assert len(xids) == 1


def test_jitter_moves_a_retry_by_a_tenth_at_most() -> None:
    early, late = new_machine(jitter=lambda: 0.0), new_machine(jitter=lambda: 0.999999)
    for machine in (early, late):
        machine.start(0)
        for _ in EARLY_RETRIES:
            machine.wake(machine.deadline)

    assert early.deadline == pytest.approx(sum(EARLY_RETRIES) + 0.9)
    assert late.deadline == pytest.approx(sum(EARLY_RETRIES) + 1.1)


def test_a_late_offer_after_three_tries_is_taken() -> None:
    """dnsmasq pings an address for 3 s before it offers it."""
    machine = new_machine()
    machine.start(0)
    while machine.deadline < 3:
        machine.wake(machine.deadline)
    machine.receive(OFFER, 3.0)

    assert isinstance(machine.state, Requesting)


def test_after_some_seconds_answers_by_broadcast_are_asked_for() -> None:
    machine = new_machine()
    machine.start(0)
    while machine.deadline < 4:
        machine.wake(machine.deadline)
    machine.receive(OFFER, 3.5)

    assert [query.broadcast for query in queries(machine)] == [False] * 8 + [True, True]


def test_waking_early_changes_nothing() -> None:
    machine = new_machine()
    machine.start(0)
    machine.actions()
    before = machine.deadline
    machine.wake(before - 0.001)

    assert machine.actions() == []
    assert machine.deadline == before


def test_a_lost_ack_is_asked_for_four_times_then_all_begins_again() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(OFFER, 0)
    queries(machine)
    kinds = []
    while isinstance(machine.state, Requesting):
        machine.wake(machine.deadline)
        kinds += [(query.type, query.requested) for query in queries(machine)]

    assert kinds == [(3, ADDRESS.ip)] * 3 + [(1, ADDRESS.ip)]
    assert isinstance(machine.state, Selecting)
    assert machine.state.began == 15


def test_an_ack_of_another_server_is_not_the_answer() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(OFFER, 0)
    machine.receive(replace(ACK, server=OTHER), 0)
    machine.receive(replace(NAK, server=OTHER), 0)

    assert isinstance(machine.state, Requesting)


def test_renewal_asks_the_server_then_everybody_then_gives_the_address_up() -> None:
    """RFC 2131, 4.4.5: half of the time to T2 and to the end between tries, at least 60 s."""
    machine = bound()
    sent: list[tuple[float, IPv4Address | None, IPv4Address]] = []
    dropped: list[float] = []
    while not isinstance(machine.state, Selecting):
        now = machine.deadline
        machine.wake(now)
        for action in machine.actions():
            match action:
                case Send(query, to):
                    sent.append((now, to, query.ciaddr))
                case Drop():
                    dropped.append(now)
                case Use():
                    raise AssertionError

    assert sent == [
        (500, SERVER, ADDRESS.ip),
        (687.5, SERVER, ADDRESS.ip),
        (781.25, SERVER, ADDRESS.ip),
        (841.25, SERVER, ADDRESS.ip),
        (875, None, ADDRESS.ip),
        (937.5, None, ADDRESS.ip),
        (997.5, None, ADDRESS.ip),
        (1000, None, IPv4Address(0)),  # the DISCOVER
    ]
    assert dropped == [1000]


@pytest.mark.parametrize(("now", "state"), [(500, Renewing), (900, Rebinding)])
def test_an_extended_lease_is_used_from_the_moment_it_was_asked_for(
    now: float, state: type
) -> None:
    machine = bound()
    machine.wake(500)
    machine.wake(now)
    assert isinstance(machine.state, state)
    machine.actions()
    machine.receive(ACK, now + 1)

    assert machine.actions() == [Use(replace(LEASE, acquired=now))]
    assert machine.deadline == now + 500


def test_an_ack_that_is_over_when_it_comes_is_no_lease() -> None:
    machine = bound()
    machine.wake(500)
    machine.receive(replace(ACK, lease_s=60, renew_s=30, rebind_s=50), 560)

    assert isinstance(machine.state, Renewing)


def test_a_refused_renewal_takes_the_address_off_and_asks_at_once() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    machine.receive(NAK, 501)
    drop, send = machine.actions()

    assert drop == Drop(LEASE, "the server refused it (wrong network)")
    assert isinstance(send, Send)
    assert send.query.type is MessageType.DISCOVER


def test_a_server_that_offers_and_refuses_in_turn_is_asked_ever_more_slowly() -> None:
    machine, now, moments = new_machine(), 0.0, []
    machine.start(0)
    for _ in range(9):
        machine.receive(OFFER, now)
        machine.receive(NAK, now)
        if isinstance(machine.state, Waiting):
            now = machine.deadline
            machine.wake(now)
        moments.append(now)

    assert moments == [0, 1, 3, 7, 15, 31, 63, 127, 191]


def test_an_address_in_use_is_declined_and_nothing_asked_for_ten_seconds() -> None:
    machine = bound()
    machine.conflict(5, holder="aa:bb:cc:dd:ee:ff")
    drop, send = machine.actions()
    machine.wake(14.9)
    machine.reconnect(14.9)

    assert drop == Drop(LEASE, "its address is in use by aa:bb:cc:dd:ee:ff")
    assert isinstance(send, Send)
    assert send.query.type is MessageType.DECLINE
    assert (send.query.requested, send.query.server) == (ADDRESS.ip, SERVER)
    assert machine.actions() == []
    machine.wake(15)
    assert [query.requested for query in queries(machine)] == [None]


def test_a_conflict_about_no_lease_is_nothing() -> None:
    machine = new_machine()
    machine.start(0)
    machine.actions()
    machine.conflict(0, holder="aa:bb:cc:dd:ee:ff")

    assert machine.actions() == []


def test_a_lease_for_ever_is_renewed_in_decades() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(OFFER, 0)
    half = FOREVER // 2
    machine.receive(replace(ACK, lease_s=FOREVER, renew_s=half, rebind_s=FOREVER - 1), 0)

    assert machine.deadline > 60 * 365 * 86400


REPLIES = st.builds(
    replace,
    st.sampled_from([OFFER, ACK]),
    lease_s=st.integers(60, FOREVER),
    server=st.sampled_from([SERVER, OTHER]),
    address=st.sampled_from([ADDRESS, IPv4Interface("10.0.0.7/8")]),
).map(lambda g: replace(g, renew_s=max(5, g.lease_s // 2), rebind_s=g.lease_s * 7 // 8))
EVENTS = st.one_of(
    REPLIES, st.just(NAK), st.just(replace(NAK, server=OTHER)), st.sampled_from(["cable", "arp"])
)


@given(
    st.lists(st.tuples(EVENTS, st.floats(0, 2000))),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_whatever_comes_a_machine_knows_when_to_wake_and_holds_one_address(
    script: list[tuple[Grant | Nak | str, float]], begin_with_a_lease: bool, chance: object
) -> None:
    machine, now = new_machine(jitter=chance.random), 10.0  # type: ignore[attr-defined]
    used = LEASE if begin_with_a_lease else None
    machine.start(now, first=used)
    machine.actions()
    for event, step in script:
        now += step
        match event:
            case "cable":
                machine.reconnect(now)
            case "arp":
                machine.conflict(now, holder="aa:bb:cc:dd:ee:ff")
            case str():
                raise AssertionError
            case reply:
                machine.receive(reply, now)
        for _ in range(4):
            machine.wake(now)
        assert machine.deadline > now
        sent = 0
        for action in machine.actions():
            match action:
                case Use(lease):
                    assert lease.is_valid(now)
                    used = lease
                case Drop(lease, reason):
                    assert (lease, bool(reason)) == (used, True)
                    used = None
                case Send():
                    sent += 1
        assert sent <= 3
        assert used == machine.lease

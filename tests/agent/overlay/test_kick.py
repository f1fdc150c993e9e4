"""The start of a pair, second by second."""

from agent.overlay.kick import ASK_AGAIN, Do, Kick, Phase
from netns.wireguard.device import Endpoint, PeerStat
from tests.agent.overlay.signing import endpoint

A, B = endpoint("198.51.100.1:1"), endpoint("[2001:db8::1]:1")
NOTHING = PeerStat()
SHAKEN = PeerStat(handshake=1.0, rx=92)
ALIVE = PeerStat(handshake=1.0, rx=124)


def run(kick: Kick, until: float, stat: PeerStat = NOTHING) -> list[tuple[float, Do]]:
    """What it does when it is woken at each deadline."""
    done = []
    while kick.deadline is not None and kick.deadline <= until:
        now = kick.deadline
        do = kick.wake(stat, now)
        if do is not None:
            done.append((round(now, 2), do))
        elif kick.deadline == now:
            break
    return done


def beginner(*endpoints: Endpoint, settled: bool = False) -> Kick:
    return Kick(endpoints or (A,), initiator=True, settled=settled, now=0.0)


def waiter(*endpoints: Endpoint, from_cache: bool = False) -> Kick:
    return Kick(endpoints, initiator=False, from_cache=from_cache, now=0.0)


def test_the_beginner_has_endpoint_and_keepalive_at_once_and_the_other_has_neither() -> None:
    assert (beginner().endpoint, beginner().keepalive) == (A, 25)
    assert (waiter(A).endpoint, waiter(A).keepalive) == (None, 0)


def test_the_beginner_kicks_ever_more_slowly_until_a_handshake() -> None:
    kick = beginner()

    assert [t for t, do in run(kick, 12) if do is Do.RESET] == [
        0.15,
        0.39,
        0.77,
        1.39,
        2.37,
        3.94,
        6.46,
        9.46,
    ]


def test_it_stops_when_data_has_come_back() -> None:
    kick = beginner()
    run(kick, 1)

    assert kick.wake(ALIVE, 1.1) is None
    assert kick.phase is Phase.SETTLED
    assert kick.deadline is None


def test_a_handshake_alone_is_no_proof_and_gets_one_more_try() -> None:
    kick = beginner()

    assert kick.wake(SHAKEN, 0.1) is None
    assert kick.wake(SHAKEN, 5.0) is None
    assert kick.wake(SHAKEN, 5.1) is Do.RESET
    assert kick.wake(SHAKEN, 5.2) is None
    assert kick.wake(SHAKEN, 10.3) is None
    assert kick.phase is Phase.SETTLED  # it may drop pings: it is left alone


def test_after_three_kicks_in_vain_the_next_endpoint_is_tried() -> None:
    kick = beginner(A, B)
    used = []
    for _ in range(7):
        assert kick.deadline is not None
        kick.wake(NOTHING, kick.deadline)
        used.append(kick.endpoint)

    assert used == [A, A, B, B, B, A, A]


def test_the_one_that_waits_speaks_after_three_seconds_and_once_more() -> None:
    kick = waiter(A)

    assert run(kick, 60) == [(3.0, Do.RESET), (3.0 + ASK_AGAIN, Do.RESET)]
    assert (kick.endpoint, kick.keepalive) == (A, 25)


def test_at_boot_from_the_cache_it_waits_half_a_second() -> None:
    assert run(waiter(A, from_cache=True), 60) == [
        (0.5, Do.RESET),
        (0.5 + ASK_AGAIN, Do.RESET),
    ]


def test_the_one_that_waits_says_nothing_when_it_was_spoken_to_or_knows_no_place() -> None:
    assert run(waiter(A), 60, ALIVE) == []
    assert run(waiter(), 60) == []


def test_a_session_that_was_found_is_left_alone() -> None:
    kick = beginner(settled=True)

    assert kick.deadline is None
    assert kick.wake(NOTHING, 100.0) is None


def test_a_peer_that_moved_gets_its_new_place_and_keeps_a_living_session() -> None:
    kick = beginner()
    kick.wake(ALIVE, 0.1)

    assert kick.move((A, B), 1.0) is None
    assert kick.move((B,), 2.0) is Do.SET
    assert kick.endpoint == B


def test_where_a_peer_was_heard_from_does_not_keep_it_where_it_is_not_said_to_be_any_more() -> None:
    kick = beginner(A)
    kick.wake(ALIVE, 0.1)

    assert kick.move((B,), 1.0, last=A) is Do.SET
    assert kick.endpoint == B
    assert kick.move((B,), 2.0, last=A) is None


def test_where_it_was_heard_from_is_tried_when_all_else_fails() -> None:
    kick = Kick((A,), initiator=True, last=B, now=0.0)
    run(kick, 0.5)
    assert kick.endpoint == A
    run(kick, 1)

    assert kick.endpoint == B
    kick.wake(ALIVE, 1.1)
    assert kick.move((A,), 2.0, last=B) is None
    assert kick.endpoint == B


def test_a_peer_that_moved_before_it_answered_is_kicked_at_its_new_place() -> None:
    kick = beginner()
    run(kick, 5)

    assert kick.move((B,), 6.0) is Do.RESET
    assert run(kick, 6.2) == [(6.15, Do.RESET)]


def test_one_that_knew_no_place_asks_as_soon_as_it_learns_one() -> None:
    kick = waiter()
    assert run(kick, 60) == []
    assert kick.move((A,), 70.0) is None

    assert run(kick, 80)[0] == (70.0, Do.RESET)


def test_on_another_uplink_the_beginner_begins_anew_and_the_other_end_waits_to_be_followed() -> (
    None
):
    kick, other = beginner(A, B, settled=True), waiter(A)
    other.wake(SHAKEN, 1.0)

    assert kick.restart(10.0) is Do.RESET
    assert (kick.phase, kick.endpoint, kick.deadline) == (Phase.KICKING, A, 10.15)
    assert other.restart(10.0) is None
    assert other.phase is Phase.SETTLED
    assert kick.wake(ALIVE, 10.2) is None
    assert kick.phase is Phase.SETTLED

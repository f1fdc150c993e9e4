"""Admission: how each network stands, what is asked about it, and what withdraws it (nothing)."""

from agent.enrol.actions import (
    Close,
    Deliver,
    Left,
    Prepare,
    Presence,
)
from agent.enrol.standing import Standing
from protocol.messages import (
    Ack,
    Code,
    Done,
    FetchRows,
    Hello,
    Join,
    Leave,
    Ping,
    Pong,
    Refresh,
    Refused,
    Rows,
    Unchanged,
    Waiting,
)
from tests.agent.enrol.timeline import HELD, OFFER, joined, member, online, welcome
from tests.agent.overlay.signing import NETWORK


def test_after_a_reconnect_it_greets_refreshes_and_asks_for_what_it_missed() -> None:
    who = member()
    who.machine.lost(5)
    who.machine.wake(6)
    who.machine.shaken(6)
    assert [type(m) for m in who.sent()] == [Hello]
    who.answer(Hello, welcome(NETWORK), 6)
    refresh, fetch = who.sent()

    assert isinstance(refresh, Refresh)
    assert (refresh.serial, refresh.epoch, refresh.revision) == (3, 2, 5)
    assert isinstance(fetch, FetchRows)
    assert fetch.revision == 5


def test_a_request_without_an_answer_is_asked_again_with_its_number() -> None:
    who = online(NETWORK)
    who.machine.present(NETWORK, OFFER, 0)
    (join,) = who.sent()
    who.machine.wake(5)

    assert who.sent() == [join]


def test_a_member_refreshes_each_minute_or_so_and_at_once_when_it_moves() -> None:
    who = member()
    who.machine.received(Ping(1), 55)
    assert Refresh not in {type(m) for m in who.sent()}
    who.machine.wake(60)
    assert Refresh in {type(m) for m in who.sent()}
    who.answer(Refresh, Unchanged(0, NETWORK, 1), 60)
    moved = Presence(OFFER.wireguard, (), (4,), 51820)
    who.machine.present(NETWORK, moved, 61)
    (refresh,) = who.sent()

    assert isinstance(refresh, Refresh)
    assert refresh.endpoints == ()


def test_members_that_joined_together_refresh_one_after_the_other() -> None:
    """D7: a fifth sooner, or a fifth later."""
    asked = []
    for fraction in (0.0, 0.5, 0.9):
        who = member(fraction=fraction)
        for moment in range(40, 80):
            who.machine.received(Ping(1), moment)
            who.machine.wake(moment)
            if Refresh in {type(m) for m in who.sent()}:
                asked.append(moment)
                break

    assert asked == [48, 60, 70]


def test_rows_are_fetched_from_the_revision_that_is_held_and_acknowledged_when_stored() -> None:
    who = online(NETWORK)
    who.machine.present(NETWORK, OFFER, 0)
    who.answer(Join, joined(revision=5), 0)
    fetches = [m for m in who.sent() if isinstance(m, FetchRows)]
    assert [(f.revision, f.after) for f in fetches] == [(0, b"")]
    rows = Rows(0, NETWORK, 0, 5, False, (), (), None)
    who.answer(FetchRows, rows, 0)
    assert [type(a) for a in who.take()] == [Deliver]
    who.machine.hold(NETWORK, HELD)

    assert who.sent() == [Ack(NETWORK, 5)]


def test_one_that_is_not_authorized_asks_again_when_it_was_told_to() -> None:
    who = online(NETWORK)
    who.machine.present(NETWORK, OFFER, 0)
    who.answer(Join, Waiting(0, NETWORK, "pending", 7.0), 0)
    who.take()
    assert who.machine.memberships[NETWORK].said == "pending"
    who.machine.wake(7)

    assert [type(m) for m in who.sent()] == [Join]


def test_one_that_was_just_authorized_joins_at_once() -> None:
    who = online(NETWORK)
    who.machine.present(NETWORK, OFFER, 0)
    who.answer(Join, Waiting(0, NETWORK, "pending", 60.0), 0)
    who.machine.received(Waiting(0, NETWORK, "authorized", 0.0), 3)
    who.take()
    who.machine.wake(3)

    assert [type(m) for m in who.sent()] == [Join]


def test_a_full_pool_is_said_and_asked_again_later() -> None:
    who = online(NETWORK)
    who.machine.present(NETWORK, OFFER, 0)
    who.answer(Join, Refused(0, Code.POOL_EXHAUSTED, "cannot assign: full", "add one"), 0)
    network = who.machine.memberships[NETWORK]

    assert (network.standing, network.said) == (Standing.REFUSED, "cannot assign: full")
    assert network.next_at == 60.0


def test_a_controller_that_forgot_a_member_is_asked_to_take_it_again() -> None:
    who = member()
    who.machine.received(Ping(1), 55)
    who.machine.wake(60)
    who.answer(Refresh, Refused(0, Code.NOT_FOUND, "cannot: no such member"), 60)
    who.machine.received(Ping(2), 61)
    who.take()
    who.machine.wake(62)

    assert Join in {type(m) for m in who.sent()}


def test_leaving_is_asked_until_it_is_done_whatever_the_controller_lists() -> None:
    who = member()
    who.machine.leave(NETWORK, 1)
    assert [type(m) for m in who.sent()] == [Leave]
    who.machine.lost(2)
    who.machine.wake(3)
    who.machine.shaken(3)
    who.answer(Hello, welcome(NETWORK), 3)
    assert [type(m) for m in who.sent()] == [Leave]
    who.answer(Leave, Done(0), 3)

    assert Left(NETWORK) in who.take()
    assert who.machine.memberships == {}


def test_a_late_answer_to_a_refresh_brings_nobody_back_who_leaves() -> None:
    """The controller may see the refresh after the leave, and says that we have no place there."""
    who = member()
    who.machine.received(Ping(1), 55)
    who.machine.wake(60)
    (refresh,) = (m for m in who.sent() if isinstance(m, Refresh))
    who.machine.leave(NETWORK, 60)
    assert [type(m) for m in who.sent()] == [Leave]
    who.machine.received(Refused(refresh.id, Code.NOT_FOUND, "cannot refresh: left"), 61)
    assert who.sent() == []
    who.answer(Leave, Done(0), 61)
    who.machine.received(Refused(refresh.id, Code.NOT_FOUND, "cannot refresh: left"), 61)

    assert who.machine.memberships == {}
    assert who.sent() == []


def test_rows_of_a_network_that_is_being_left_go_nowhere() -> None:
    rows = Rows(0, NETWORK, 0, 5, False, (), (), None)
    who = member()
    who.machine.received(rows, 1)
    assert [type(a) for a in who.take()] == [Deliver]
    who.machine.leave(NETWORK, 1)
    who.take()
    who.machine.received(rows, 1)

    assert who.take() == []


def test_nothing_that_a_controller_says_withdraws_a_network() -> None:
    for reply in (
        Waiting(0, NETWORK, "deauthorized", 5.0),
        Refused(0, Code.BANNED, "cannot: banned"),
        Refused(0, Code.NOT_FOUND, "cannot: unknown"),
    ):
        who = member()
        who.machine.received(Ping(1), 55)
        who.machine.wake(60)
        who.answer(Refresh, reply, 60)

        assert not any(isinstance(action, Left) for action in who.take())
        assert NETWORK in who.machine.memberships


def test_a_network_that_could_not_be_prepared_is_asked_to_be_again() -> None:
    who = online(NETWORK)
    early = []
    for moment in range(10, 60, 10):
        who.machine.wake(moment)
        who.machine.received(Pong(1, 0), moment)
        early += who.take()
    who.machine.wake(60)

    assert Prepare(NETWORK) not in early
    assert Prepare(NETWORK) in who.take()


def test_a_place_that_somebody_gives_us_while_we_are_connected_is_taken_at_once() -> None:
    other = NETWORK[:10] + "0000ff"
    who = member()
    who.machine.received(Waiting(0, other, "authorized", 0.0), 1)
    assert Prepare(other) in who.take()
    who.machine.present(other, OFFER, 1)

    assert [type(m) for m in who.sent()] == [Join]
    who.machine.received(Waiting(0, "ff" * 8, "pending", 0.0), 1)
    assert "ff" * 8 not in who.machine.memberships


def test_whoever_left_its_last_network_closes_the_connection_and_looks_in_rarely() -> None:
    who = member()
    who.machine.leave(NETWORK, 1)
    who.answer(Leave, Done(0), 1)

    assert [type(a) for a in who.take()] == [Left, Close]
    assert who.machine.deadline == 601.0

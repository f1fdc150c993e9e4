"""Admission, second by second: tokens, lost answers, refusals, and the long life after."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrol.actions import (
    Action,
    Admitted,
    Close,
    Controller,
    Deliver,
    Open,
    Prepare,
    Problem,
    TokenRefused,
    Welcomed,
)
from agent.enrol.approach import Failure
from agent.enrol.phase import Idle, Online
from agent.enrol.standing import Standing
from protocol.messages import (
    Admit,
    Code,
    Done,
    Hello,
    Join,
    Ping,
    Pong,
    Refused,
    Reply,
    Rows,
    Unchanged,
    Waiting,
)
from tests.agent.enrol.timeline import (
    FIRST,
    ME,
    OFFER,
    OTHER,
    SECOND,
    TOKEN,
    Node,
    joined,
    member,
    node,
    online,
    welcome,
)
from tests.agent.overlay.signing import NETWORK

# -- tokens


def test_from_a_token_to_a_place_in_the_network() -> None:
    who = node()
    who.machine.start(0)
    assert who.take() == []  # nobody to go to, nothing to show

    who.machine.add_token(TOKEN, 0)
    assert who.take() == [Open(FIRST, TOKEN)]
    who.machine.shaken(0)
    (admit,) = who.sent()
    assert isinstance(admit, Admit)
    assert admit.node == ME.node
    who.answer(Admit, Done(0), 0)
    assert who.take() == [Admitted(TOKEN), Close(), Open(FIRST, None)]
    who.machine.shaken(0)
    (hello,) = who.sent()
    assert isinstance(hello, Hello)
    who.answer(Hello, welcome(NETWORK), 0)
    assert Prepare(NETWORK) in who.take()
    who.machine.present(NETWORK, OFFER, 0)
    (join,) = who.sent()
    assert join == Join(hello.id + 2, NETWORK, b"w" * 32, OFFER.endpoints, (4,), 51820)
    who.answer(Join, joined(), 0)

    assert Deliver(joined()) in [
        Deliver(joined()) if isinstance(a, Deliver) else a for a in who.take()
    ]
    assert who.machine.memberships[NETWORK].standing is Standing.MEMBER


def test_after_a_lost_answer_the_own_key_comes_first() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0)
    who.machine.shaken(0)
    who.machine.lost(1)
    who.take()
    who.machine.wake(2)
    assert who.opened() == [None]
    who.machine.shaken(2)
    who.answer(Hello, welcome(NETWORK), 2)

    assert Admitted(TOKEN) in who.take()


def test_a_token_whose_admit_was_lost_on_the_way_is_shown_again() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0)
    who.machine.shaken(0)
    who.machine.lost(1)
    who.machine.wake(2)
    who.take()
    who.machine.refused(Failure.AUTH, 2)

    assert who.opened() == [TOKEN]


def test_a_join_string_from_before_our_start_may_have_been_used() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0, tried=True)

    assert who.opened() == [None]


def test_a_token_that_is_not_let_in_is_said_and_tried_again_ever_more_slowly() -> None:
    who = node(controllers=(FIRST,))
    who.machine.add_token(TOKEN, 0)
    now, starts = 0.0, []
    while now < 200:
        for token in who.opened():
            starts.append((now, token))
            who.machine.refused(Failure.AUTH, now)
        if who.machine.deadline is not None and isinstance(who.machine.state, Idle):
            now = who.machine.deadline
            who.machine.wake(now)

    assert [t for t, token in starts if token == TOKEN] == [0, 2, 6, 14, 30, 62, 122, 182]
    assert [t for t, token in starts if token is None] == [0, 2, 6, 14, 30, 62, 122, 182]
    assert who.machine.problem is not None
    assert "used up, expired or unknown" in who.machine.problem.message
    assert "ncadm token create" in who.machine.problem.hint


def test_a_typed_refusal_of_a_token_ends_it() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0)
    who.machine.shaken(0)
    who.answer(Admit, Refused(0, Code.TOKEN_EXPIRED, "cannot admit: expired", "a new one"), 0)
    (refused,) = [a for a in who.take() if isinstance(a, TokenRefused)]

    assert refused.token == TOKEN
    assert refused.problem.message == "cannot admit: expired"
    assert who.machine.deadline is None


def test_a_busy_controller_is_asked_again_when_it_says() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0)
    who.machine.shaken(0)
    who.answer(Admit, Refused(0, Code.BUSY, "cannot: busy", retry_after=3.0), 0)
    assert who.machine.deadline == 4.5
    who.take()
    who.machine.wake(4.5)

    assert [type(m) for m in who.sent()] == [Admit]


def test_those_who_were_told_at_once_that_it_is_busy_ask_again_one_after_the_other() -> None:
    """D7: not sooner than it said, and within twice as long."""
    moments = []
    for fraction in (0.0, 0.25, 1.0):
        who = node(fraction=fraction)
        who.machine.add_token(TOKEN, 0)
        who.machine.shaken(0)
        who.answer(Admit, Refused(0, Code.BUSY, "cannot: busy", retry_after=8.0), 0)
        moments.append(who.machine.deadline)

    assert moments == [8.0, 10.0, 16.0]


def test_a_second_token_of_an_admitted_node_that_is_refused_after_its_use_was_ours() -> None:
    who = member()
    who.machine.add_token(OTHER, 1)
    assert who.opened() == [OTHER]
    who.machine.shaken(1)
    who.machine.lost(2)
    who.machine.wake(3)
    assert who.opened() == [OTHER]
    who.machine.refused(Failure.AUTH, 3)
    actions = who.take()

    assert Admitted(OTHER) in actions
    assert Open(SECOND, None) in actions


# -- connections


def test_an_unreachable_controller_is_tried_in_turn_with_growing_pauses() -> None:
    who = node(admitted=True)
    who.machine.start(0)
    now = 0.0
    tries: list[tuple[float, str]] = []
    while len(tries) < 9:
        tries += [
            (now, action.controller.endpoint) for action in who.take() if isinstance(action, Open)
        ]
        who.machine.lost(now)
        assert who.machine.deadline is not None
        now = who.machine.deadline
        who.machine.wake(now)

    assert [round(t, 2) for t, _ in tries] == [0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 30.75, 45.75]
    assert {endpoint for _, endpoint in tries} == {FIRST.endpoint, SECOND.endpoint}
    assert who.machine.problem is not None


def test_those_who_lost_it_together_come_back_one_after_the_other() -> None:
    """D7: at any moment of the pause, of the first one as of the longest."""
    pauses = []
    for fraction in (0.25, 0.5, 1.0):
        who = node(admitted=True, fraction=fraction)
        who.machine.start(0)
        now, mine = 0.0, []
        for _ in range(8):
            who.machine.lost(now)
            assert who.machine.deadline is not None
            mine.append(who.machine.deadline - now)
            now = who.machine.deadline
            who.machine.wake(now)
        pauses.append((mine[0], mine[-1]))

    assert pauses == [(0.125, 7.5), (0.25, 15), (0.5, 30)]


def test_three_handshakes_without_a_detail_mean_a_wrong_key() -> None:
    who = node(admitted=True)
    who.machine.start(0)
    for turn in range(3):
        assert who.machine.problem is None, turn
        who.machine.refused(Failure.NO_DETAIL, turn)
        assert who.machine.deadline is not None
        who.machine.wake(who.machine.deadline)

    assert who.machine.problem is not None
    assert "wrong controller key?" in who.machine.problem.hint


def test_a_handshake_in_between_means_the_key_is_right() -> None:
    who = node(admitted=True)
    who.machine.start(0)
    for turn in range(6):
        who.machine.refused(Failure.NO_DETAIL, turn)
        assert who.machine.deadline is not None
        who.machine.wake(who.machine.deadline)
        if turn % 2:
            who.machine.shaken(turn)
            who.machine.lost(turn)
            assert who.machine.deadline is not None
            who.machine.wake(who.machine.deadline)

    assert who.machine.problem is None


def test_a_handshake_that_does_not_come_is_given_up() -> None:
    who = node(admitted=True)
    who.machine.start(0)
    assert who.machine.deadline == 5.0
    who.machine.wake(5)

    assert isinstance(who.machine.state, Idle)


def test_a_silent_controller_is_dead_after_twenty_seconds_and_pinged_before() -> None:
    """D6: on the node's side; the controller's is in tests/controller."""
    who = online()
    who.machine.wake(10)
    assert [type(m) for m in who.sent()] == [Ping]
    who.machine.wake(19.9)
    before = who.machine.problem
    silence = [who.machine.silence(now) for now in (0, 10.9, 11, 19.9)]
    who.machine.wake(20)
    after = who.machine.problem

    assert before is None
    assert silence == [0, 0, 11, 19]
    assert after is not None
    assert "silent" in after.message
    assert isinstance(who.machine.state, Idle)
    assert who.machine.silence(25) == 0


def test_any_word_of_the_controller_keeps_it_alive_and_its_pings_are_answered() -> None:
    who = online()
    who.machine.received(Ping(9), 19)
    assert who.sent() == [Pong(9, 0)]
    who.machine.wake(25)

    assert isinstance(who.machine.state, Online)


def test_a_banned_node_says_so_and_keeps_asking() -> None:
    who = node(admitted=True, controllers=(FIRST,))
    who.machine.start(0)
    who.machine.refused(Failure.AUTH, 0)

    assert who.machine.deadline == 2.0
    assert who.machine.problem is not None
    assert "banned or forgotten" in who.machine.problem.message


def test_a_welcome_on_a_connection_that_did_not_greet_means_nothing() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0)
    who.machine.shaken(0)
    who.take()
    who.machine.received(welcome(NETWORK), 0)

    assert not any(isinstance(action, Welcomed) for action in who.take())


EVENTS = st.sampled_from(
    ["shaken", "auth", "detail", "lost", "wake", "token", "leave", "want", "present"]
)
REPLIES = st.sampled_from(
    [
        Done(1),
        Ping(1),
        Pong(1, 5),
        welcome(NETWORK),
        joined(),
        Waiting(1, NETWORK, "pending", 0.0),
        Unchanged(1, NETWORK, 1),
        Rows(0, NETWORK, 0, 1, False, (), (), None),
        *(Refused(1, code, "cannot") for code in (Code.BUSY, Code.NOT_FOUND, Code.DENIED)),
    ]
)


@given(st.lists(st.tuples(st.one_of(EVENTS, REPLIES), st.integers(0, 4), st.floats(0, 40))))
def test_whatever_happens_it_knows_when_to_wake_and_never_spins(
    story: list[tuple[str | Reply, int, float]],
) -> None:
    import msgspec

    who = node(admitted=True)
    machine = who.machine
    machine.start(0)
    now = 0.0
    for event, number, pause in story:
        now += pause
        match event:
            case "shaken":
                machine.shaken(now)
            case "auth":
                machine.refused(Failure.AUTH, now)
            case "detail":
                machine.refused(Failure.NO_DETAIL, now)
            case "lost":
                machine.lost(now)
            case "wake":
                machine.wake(now)
            case "token":
                machine.add_token(TOKEN, now)
            case "leave":
                machine.leave(NETWORK, now)
            case "want":
                machine.want(NETWORK, now)
            case "present":
                machine.present(NETWORK, OFFER, now)
            case _ if not isinstance(event, str):
                machine.received(msgspec.structs.replace(event, id=number), now)
            case _:
                raise AssertionError(event)
        who.take()
        assert machine.deadline is not None
    for _ in range(3):
        assert machine.deadline is not None
        now = max(now, machine.deadline)
        machine.wake(now)
        assert machine.deadline is not None
        assert machine.deadline > now
        who.take()


@pytest.mark.parametrize("secret", [Open(FIRST, TOKEN), Admitted(TOKEN)])
def test_no_token_shows_when_an_action_is_printed(secret: Action) -> None:
    assert "tttt" not in repr(secret)


def test_what_could_not_be_kept_is_told_again_over_a_new_connection() -> None:
    who = online()
    who.machine.stumbled(5)
    closed, deadline = who.take(), who.machine.deadline
    who.machine.wake(15)

    assert (closed, deadline) == ([Close()], 15)
    assert who.opened() == [None]


def test_a_full_door_leaves_the_token_good_and_is_tried_again_later() -> None:
    who = node()
    who.machine.add_token(TOKEN, 0)
    who.machine.shaken(0)
    full = Refused(0, Code.FULL, "cannot: full", "authorize some", retry_after=300.0)
    who.answer(Admit, full, 0)
    actions = who.take()

    assert not [a for a in actions if isinstance(a, TokenRefused)]
    assert who.machine.problem == Problem("cannot: full", "authorize some")
    assert who.machine.deadline == 375.0
    who.machine.wake(375)
    assert who.opened()[-1] == TOKEN


def test_a_connection_that_the_controller_ends_is_closed_and_tried_again() -> None:
    who = member()
    who.machine.received(Refused(0, Code.BANNED, "cannot talk to this node: it is banned"), 1)
    actions = who.take()

    assert [type(a) for a in actions] == [Close]
    assert who.machine.problem is not None
    assert list(who.machine.memberships) == [NETWORK]  # only a signed statement takes it away
    assert who.machine.deadline == 3.0


def test_a_node_whose_copy_came_later_stays_away_and_says_why() -> None:
    who = member()
    who.machine.received(Refused(0, Code.CLONED, "cannot: another machine", "reset"), 1)

    assert [type(a) for a in who.take()] == [Close]
    assert who.machine.problem == Problem("cannot: another machine", "reset")
    assert who.machine.deadline == 601.0


def test_who_is_connected_by_ipv6_connects_by_ipv4_when_there_is_a_way_by_it() -> None:
    """Only so the controller says what outside address the site has."""
    six = Controller("tcp://[2001:db8::10]:1", FIRST.key)
    who = node(admitted=True, controllers=(FIRST, six))
    who.machine.reach(frozenset({6}), 0)
    who.machine.start(0)
    who.machine.shaken(0)
    who.answer(Hello, welcome(), 0)
    by6 = opened_to(who)
    who.machine.reach(frozenset({6}), 1)
    stays = who.take()
    who.machine.reach(frozenset({4, 6}), 2)
    moves = who.take()

    assert by6 == [six]
    assert stays == []
    assert [type(action) for action in moves] == [Close, Open]
    assert opened_to(who)[-1] == FIRST


def test_a_connection_whose_family_is_gone_is_made_by_the_other() -> None:
    six = Controller("tcp://[2001:db8::10]:1", FIRST.key)
    who = node(admitted=True, controllers=(FIRST, six))
    who.machine.reach(frozenset({4, 6}), 0)
    who.machine.start(0)
    who.machine.shaken(0)
    who.answer(Hello, welcome(), 0)
    who.machine.reach(frozenset({6}), 1)
    who.take()

    assert opened_to(who) == [FIRST, six]


def opened_to(who: Node) -> list[Controller]:
    who.take()
    return [action.controller for action in who.done if isinstance(action, Open)]

"""Of several controllers, which problem a person is told of: the one that says most."""

from agent.enrol.actions import Controller, Problem
from agent.enrol.approach import WRONG_KEY_AFTER, Approach
from protocol.keys import CurvePublic, CurveSecret

FOUR = Controller("tcp://203.0.113.10:9930", CurvePublic(bytes(32)))
SIX = Controller("tcp://[2001:db8::10]:9930", CurvePublic(bytes(32)))
TOKEN = CurveSecret(b"t" * 32)


def approach(*, admitted: bool = False) -> Approach:
    made = Approach((FOUR, SIX), admitted=admitted, fraction=lambda: 0.5)
    made.add(TOKEN, tried=False)
    return made


def refuse(made: Approach) -> None:
    """The controller whose turn it is lets in none of our keys."""
    before = made.controller
    while made.controller == before:
        made.denied(made.next_key())


def away(made: Approach) -> None:
    where = made.controller.endpoint
    made.lost(Problem(f"cannot reach the controller at {where}"))


def told(made: Approach) -> str:
    return made.problem.message if made.problem is not None else ""


def test_that_one_address_cannot_be_reached_does_not_hide_that_the_other_refuses_us() -> None:
    made = approach()
    refuse(made)
    refused = told(made)
    away(made)

    assert "cannot be admitted by tcp://203.0.113.10:9930" in refused
    assert told(made) == refused


def test_an_address_that_refused_us_and_then_went_away_is_away() -> None:
    made = approach()
    refuse(made)
    away(made)
    away(made)

    assert told(made) == "cannot reach the controller at tcp://203.0.113.10:9930"


def test_a_wrong_key_says_more_than_an_address_that_is_away() -> None:
    made = approach()
    for _ in range(WRONG_KEY_AFTER):
        made.failed_without_detail()
        made.use((FOUR,))
    wrong = told(made)
    made.use((SIX, FOUR))
    while made.controller != SIX:
        made.lost()
    away(made)

    assert "key that this node expects" in wrong
    assert told(made) == wrong


def test_a_new_token_and_being_let_in_end_every_problem() -> None:
    made = approach()
    refuse(made)
    made.add(CurveSecret(b"n" * 32), tried=False)
    after_join = told(made)
    refuse(made)
    between = told(made)
    made.welcomed()

    assert (after_join, told(made)) == ("", "")
    assert "cannot be admitted" in between


def test_a_controller_that_is_no_longer_ours_is_no_problem() -> None:
    made = approach()
    refuse(made)
    made.use((SIX,))

    assert told(made) == ""


BOTH, NO4 = frozenset({4, 6}), frozenset({6})


def test_where_ipv4_comes_after_ipv6_a_controller_is_seen_by_it() -> None:
    made = approach(admitted=True)
    made.reach(NO4)
    by6 = made.controller
    came = made.reach(BOTH)

    assert by6 == SIX
    assert came
    assert made.controller == FOUR
    assert not made.reach(BOTH)  # once


def test_who_is_reached_by_ipv4_is_not_left_when_ipv6_comes() -> None:
    made = approach(admitted=True)
    made.reach(frozenset({4}))

    assert not made.reach(BOTH)
    assert made.controller == FOUR


def test_there_is_no_turn_for_whom_there_is_no_way_to() -> None:
    made = approach(admitted=True)
    made.reach(NO4)
    away(made)
    alone = made.controller
    made.reach(frozenset())
    away(made)

    assert alone == SIX
    assert made.controller == FOUR  # nobody knows of any way: all of them are tried


def test_a_name_is_of_any_family_and_may_be_all_there_is() -> None:
    name = Controller("tcp://ctl.example:9930", CurvePublic(bytes(32)))
    made = Approach((name,), admitted=True, fraction=lambda: 0.5)

    assert name.family is None
    assert not made.reach(NO4)
    assert not made.reach(BOTH)
    assert made.controller == name


def test_where_no_controller_can_be_reached_all_are_tried() -> None:
    made = Approach((FOUR,), admitted=True, fraction=lambda: 0.5)

    assert not made.reach(NO4)
    away(made)
    assert made.controller == FOUR

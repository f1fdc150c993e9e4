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

"""The next key: named by the present one, then shown, then the only one; whatever is lost in between."""

from msgspec.structs import replace

from agent.enrol.actions import Close, Open, Send, Turned
from agent.enrol.approach import Failure
from protocol.keys import CurvePublic, CurveSecret
from protocol.messages import Admit, Code, Done, Hello, Refused, Rotate
from tests.agent.enrol.timeline import ME, TOKEN, Node, member, node, online, welcome
from tests.agent.overlay.signing import NETWORK

NEXT = CurvePublic(b"m" * 32)


def shown(who: Node) -> list[bool]:
    """Of the connections that were opened: whether it was with the next key."""
    return [action.next for action in who.take() if isinstance(action, Open)]


def test_the_present_key_names_the_next_which_is_shown_then() -> None:
    who = member()
    who.machine.rotate(NEXT, 1)
    (asked,) = [m for m in who.sent() if isinstance(m, Rotate)]
    assert asked.next_key == NEXT
    who.answer(Rotate, Done(0), 1)
    actions = who.take()
    assert [type(a) for a in actions] == [Close, Open]
    assert isinstance(actions[1], Open)
    assert (actions[1].next, actions[1].token) == (True, None)
    who.machine.shaken(1)
    who.answer(Hello, welcome(NETWORK), 1)

    after = who.take()
    assert Turned() in after
    assert not [a for a in after if isinstance(a, Send) and isinstance(a.message, Rotate)]
    who.machine.lost(2)
    who.machine.wake(3)
    assert shown(who) == [True]


def test_a_lost_answer_is_asked_for_again_over_the_next_connection() -> None:
    who = member()
    who.machine.rotate(NEXT, 1)
    who.take()
    who.machine.lost(1)
    who.machine.wake(2)
    assert shown(who) == [False]
    who.machine.shaken(2)
    who.answer(Hello, welcome(NETWORK), 2)

    assert [m for m in who.sent() if isinstance(m, Rotate)]


def test_when_the_present_key_is_refused_the_next_is_shown_and_the_other_way_round() -> None:
    for known in (False, True):
        who = node(admitted=True)
        who.machine.rotate(NEXT, 0, known=known)
        who.machine.start(0)
        assert shown(who) == [known]
        who.machine.refused(Failure.AUTH, 0)

        assert shown(who) == [not known]
        who.machine.refused(Failure.AUTH, 0)
        assert shown(who) == []  # both were refused: after a pause
        assert who.machine.problem is not None


def test_a_token_goes_first_also_while_a_key_gives_way() -> None:
    who = node()
    who.machine.rotate(NEXT, 0, known=True)
    who.machine.add_token(CurveSecret(TOKEN), 0)
    (opened,) = [a for a in who.take() if isinstance(a, Open)]
    assert (opened.token, opened.next) == (TOKEN, False)
    who.machine.shaken(0)
    who.answer(Admit, Done(0), 0)

    assert shown(who) == [True]
    who.machine.refused(Failure.AUTH, 0)  # a farm that has never heard of it
    assert shown(who) == [False]
    who.machine.shaken(0)
    who.answer(Hello, welcome(NETWORK), 0)
    assert [m for m in who.sent() if isinstance(m, Rotate)]


def test_once_settled_there_is_one_key() -> None:
    who = online(NETWORK)
    who.machine.rotate(NEXT, 1)
    who.machine.settle(replace(ME, node=NEXT))
    who.machine.lost(1)
    who.machine.wake(2)
    assert shown(who) == [False]
    who.machine.refused(Failure.AUTH, 2)

    assert shown(who) == []


def test_a_next_key_that_is_refused_is_said() -> None:
    who = member()
    who.machine.rotate(NEXT, 1)
    who.answer(Rotate, Refused(0, Code.CONFLICT, "cannot rotate: taken"), 1)

    assert who.machine.problem is not None
    assert who.machine.problem.message == "cannot rotate: taken"

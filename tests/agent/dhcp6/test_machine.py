"""The client's timelines, second by second."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from agent.dhcp6.machine import Machine, choose_offer, delegation_of
from agent.dhcp6.state import (
    Bound,
    Confirming,
    Drop,
    Rebinding,
    Released,
    Renewing,
    Requesting,
    Soliciting,
    Use,
    Waiting,
)
from agent.dhcp6.wire import Answer, MessageType, Offer, Status
from tests.agent.dhcp6.answers import (
    HELD,
    NEXT,
    OFFER,
    OTHER,
    PREFIX,
    SERVER,
    advertise,
    bound,
    new_machine,
    queries,
    reply,
    requesting,
    soliciting,
)

T = MessageType


def run_until(machine: Machine, end: float) -> list[tuple[float, MessageType]]:
    """Wake at each deadline up to `end`; what was sent, and when."""
    sent = []
    while machine.deadline <= end:
        now = machine.deadline
        machine.wake(now)
        sent += [(round(now, 3), query.type) for query in queries(machine)]
    return sent


# -- how a prefix is found


def test_the_first_question_waits_a_moment_of_chance() -> None:
    machine = new_machine()
    machine.start(10)

    assert (machine.actions(), machine.deadline) == ([], 10.5)


def test_a_prefix_is_solicited_requested_and_used() -> None:
    machine = soliciting()
    machine.receive(advertise(OFFER), 0.2)
    waited = queries(machine)
    machine.wake(machine.deadline)
    (request,) = queries(machine)
    machine.receive(reply(OFFER), 1.5)

    assert waited == []
    assert (request.type, request.server, request.prefix) == (T.REQUEST, SERVER, PREFIX)
    assert machine.actions() == [Use(replace(HELD, acquired=1.5))]
    assert machine.delegation == replace(HELD, acquired=1.5)


def test_until_the_first_repeat_the_best_server_is_looked_for() -> None:
    machine = soliciting()
    machine.receive(advertise(OFFER, preference=3), 0.1)
    machine.receive(advertise(OFFER, server=OTHER, preference=7), 0.2)
    machine.receive(advertise(OFFER, preference=5), 0.3)
    machine.wake(machine.deadline)

    assert [query.server for query in queries(machine)] == [OTHER]


def test_the_highest_preference_is_not_waited_with() -> None:
    machine = soliciting()
    machine.receive(advertise(OFFER, preference=255), 0.1)

    assert [query.type for query in queries(machine)] == [T.REQUEST]


def test_after_the_first_repeat_any_server_is_taken_at_once() -> None:
    machine = soliciting()
    machine.wake(machine.deadline)
    machine.actions()
    machine.receive(advertise(OFFER), machine.deadline - 1)

    assert [query.type for query in queries(machine)] == [T.REQUEST]


def test_without_a_server_the_repeats_grow_to_an_hour() -> None:
    machine = new_machine(jitter=lambda: 0.0)
    machine.start(0)
    sent = run_until(machine, 20_000)
    pauses = [b[0] - a[0] for a, b in pairwise(sent)]

    assert {kind for _, kind in sent} == {T.SOLICIT}
    # RFC 8415, 15: the first pause is not below its time; the others are doubled, a tenth less here
    assert [round(pause, 2) for pause in pauses[:4]] == [1.1, 2.09, 3.97, 7.54]
    assert round(pauses[-1]) == 3240
    assert machine.query.xid == 1


def test_a_server_may_say_how_patient_to_be() -> None:
    machine = soliciting()
    machine.receive(advertise(sol_max_rt=60), 0.1)
    sent = run_until(machine, 1000)

    assert sent[-1][0] - sent[-2][0] == pytest.approx(54)


def test_a_server_without_a_prefix_is_no_server() -> None:
    machine = soliciting()
    machine.receive(replace(advertise(), status=Status.NO_PREFIX), 0.1)
    machine.wake(machine.deadline)

    assert [query.type for query in queries(machine)] == [T.SOLICIT]


def test_a_server_that_does_not_confirm_is_given_up_after_ten_tries() -> None:
    machine = requesting()
    sent = run_until(machine, 300)
    asked = [kind for _, kind in sent]

    assert asked[:9] == [T.REQUEST] * 9  # and the one before
    assert asked[9] == T.SOLICIT
    assert machine.query.prefix == PREFIX


def test_another_server_s_reply_confirms_nothing() -> None:
    machine = requesting()
    machine.receive(reply(OFFER, server=OTHER), 0.1)

    assert isinstance(machine.state, Requesting)


def test_who_offers_and_refuses_in_turn_makes_no_flood() -> None:
    machine = soliciting()
    now, sent = 0.0, 0
    while now < 600:
        machine.receive(advertise(OFFER, preference=255), now)
        machine.receive(reply(status=Status.NO_PREFIX), now)
        sent += len(queries(machine))
        now = max(machine.deadline, now)
        machine.wake(now)

    assert isinstance(machine.state, Soliciting | Waiting)
    assert sent < 40


# -- how it is kept


def test_it_is_renewed_at_t1_rebound_at_t2_and_over_at_its_end() -> None:
    machine = bound()
    sent = run_until(machine, 1999)
    renewals = [at for at, kind in sent if kind is T.RENEW]
    rebinds = [at for at, kind in sent if kind is T.REBIND]
    machine.wake(2000)
    over = [action for action in machine.actions() if not hasattr(action, "query")]

    assert (renewals[0], rebinds[0]) == (500, 800)
    assert max(renewals) < 800
    assert over == [Drop(HELD, "it expired")]
    assert machine.query.type is T.SOLICIT
    assert machine.query.prefix == PREFIX


def test_a_renewal_asks_our_server_and_a_rebinding_any() -> None:
    machine = bound()
    machine.wake(500)
    renew = machine.query
    machine.wake(800)
    machine.wake(machine.deadline)

    assert (renew.type, renew.server, renew.prefix) == (T.RENEW, SERVER, PREFIX)
    assert (machine.query.type, machine.query.server) == (T.REBIND, None)


def test_a_renewed_prefix_begins_anew() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    machine.receive(reply(OFFER), 501)

    assert machine.actions() == [Use(replace(HELD, acquired=501))]
    assert isinstance(machine.state, Bound)
    assert machine.deadline == 1001


def test_a_renewal_is_our_server_s_alone() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    machine.receive(reply(Offer(prefix=NEXT, preferred_s=1000, valid_s=2000), server=OTHER), 501)

    assert isinstance(machine.state, Renewing)
    assert machine.actions() == []


def test_when_rebinding_another_server_may_go_on_with_it() -> None:
    machine = bound()
    machine.wake(800)
    machine.actions()
    machine.receive(reply(OFFER, server=OTHER), 801)

    assert machine.actions() == [Use(replace(HELD, server=OTHER, acquired=801))]


def test_a_site_that_is_renumbered_gives_another_prefix() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    old, new = replace(OFFER, preferred_s=0), replace(OFFER, prefix=NEXT)
    machine.receive(reply(old, new), 501)

    assert machine.actions() == [Use(replace(HELD, prefix=NEXT, acquired=501))]


def test_a_prefix_that_is_taken_back_goes_at_once() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    machine.receive(reply(replace(OFFER, preferred_s=0, valid_s=0)), 501)

    assert machine.actions() == [Drop(HELD, "the server takes it back")]
    assert isinstance(machine.state, Waiting)


def test_another_server_takes_nothing_back() -> None:
    machine = bound()
    machine.wake(800)
    machine.actions()
    machine.receive(reply(replace(OFFER, preferred_s=0, valid_s=0), server=OTHER), 801)

    assert isinstance(machine.state, Rebinding)
    assert machine.actions() == []


def test_a_server_that_forgot_us_is_asked_for_the_same_one() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    machine.receive(reply(status=Status.NO_BINDING), 501)
    (request,) = queries(machine)

    assert (request.type, request.server, request.prefix) == (T.REQUEST, SERVER, PREFIX)
    assert machine.delegation == HELD


def test_a_reply_without_our_prefix_and_without_a_reason_changes_nothing() -> None:
    machine = bound()
    machine.wake(500)
    machine.actions()
    machine.receive(reply(), 501)

    assert (machine.actions(), machine.delegation) == ([], HELD)


# -- restart, and the end


def test_after_a_restart_it_is_used_at_once_and_asked_about_beside() -> None:
    machine = new_machine()
    machine.start(100, first=HELD)
    use, send = machine.actions()

    assert use == Use(HELD)
    assert (machine.query.type, machine.query.prefix) == (T.REBIND, PREFIX)
    assert send != use
    machine.receive(reply(OFFER), 100.1)
    assert machine.actions() == [Use(replace(HELD, acquired=100.1))]


def test_after_a_restart_silence_takes_nothing_away() -> None:
    machine = new_machine()
    machine.start(100, first=HELD)
    confirming = isinstance(machine.state, Confirming)
    sent = run_until(machine, 499)

    assert confirming
    assert 2 <= len(sent) <= 5
    assert machine.state == Bound(HELD, 500)


def test_one_that_is_over_is_a_hint() -> None:
    machine = new_machine()
    machine.start(3000, first=HELD)
    machine.wake(machine.deadline)
    (solicit,) = queries(machine)

    assert (solicit.type, solicit.prefix) == (T.SOLICIT, PREFIX)


def test_it_is_given_back_four_times_to_a_deaf_server() -> None:
    machine = new_machine()
    machine.release(0, HELD)
    sent = [(0.0, query.type) for query in queries(machine)] + run_until(machine, 100)

    assert [round(at) for at, _ in sent] == [0, 1, 3, 7]
    assert {kind for _, kind in sent} == {T.RELEASE}
    assert (machine.query.server, machine.query.prefix) == (SERVER, PREFIX)
    assert machine.state == Released()


def test_it_is_given_back_once_to_a_server_that_answers() -> None:
    machine = new_machine()
    machine.release(0, HELD)
    machine.receive(reply(server=OTHER), 0.1)
    still = machine.state != Released()
    machine.receive(reply(), 0.2)

    assert still
    assert machine.state == Released()


# -- what is chosen


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ([], None),
        ([replace(OFFER, valid_s=0, preferred_s=0)], None),
        ([OFFER, replace(OFFER, prefix=NEXT.supernet(new_prefix=56))], PREFIX),  # the one in hand
        ([replace(OFFER, preferred_s=0), replace(OFFER, prefix=NEXT)], NEXT),
    ],
)
def test_of_several_prefixes_one_is_used(offers: list[Offer], expected: object) -> None:
    chosen = choose_offer(reply(*offers), HELD)

    assert (chosen.prefix if chosen else None) == expected


def test_without_one_in_hand_the_largest_is_used() -> None:
    large = NEXT.supernet(new_prefix=56)
    chosen = choose_offer(reply(OFFER, replace(OFFER, prefix=large)), None)

    assert chosen is not None
    assert chosen.prefix == large


@pytest.mark.parametrize(
    ("t1", "t2", "expected"),
    [
        (500, 800, (500, 800)),
        (0, 0, (500, 800)),  # as we like: half and four fifths of the preferred life
        (0xFFFFFFFF, 0xFFFFFFFF, (500, 800)),
        (1, 800, (500, 800)),
        (1500, 2500, (500, 800)),
    ],
)
def test_times_that_make_no_sense_are_ours(t1: int, t2: int, expected: tuple[int, int]) -> None:
    answer = Answer(type=T.REPLY, server=SERVER, offers=(OFFER,), renew_s=t1, rebind_s=t2)
    held = delegation_of(answer, OFFER, acquired=0)

    assert (held.renew_s, held.rebind_s) == expected

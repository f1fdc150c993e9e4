"""Which of several offers is taken, and when."""

from ipaddress import IPv4Address, IPv4Interface

import pytest
from msgspec.structs import replace

from agent.dhcp.machine import SECOND_LOOK, Requesting, Selecting
from tests.agent.dhcp.timeline import ACK, OFFER, OTHER, SERVER, new_machine, queries

TRAP = replace(
    OFFER, server=OTHER, address=IPv4Interface("192.168.1.66/24"), routers=(), doubtful=True
)


def requested(machine: object) -> list[IPv4Address | None]:
    return [query.server for query in queries(machine) if query.type == 3]  # type: ignore[arg-type]


def test_a_better_offer_that_comes_after_a_doubtful_one_is_taken_at_once() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(TRAP, 0.01)
    first = requested(machine)
    machine.receive(OFFER, 0.02)

    assert first == []
    assert requested(machine) == [SERVER]


def test_a_doubtful_offer_is_taken_when_nothing_better_comes() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(TRAP, 0.01)
    machine.receive(replace(TRAP, server=IPv4Address("192.168.1.3")), 0.02)
    while machine.deadline < 0.01 + SECOND_LOOK:
        machine.wake(machine.deadline)
    too_early = requested(machine)
    machine.wake(0.01 + SECOND_LOOK)

    assert too_early == []
    assert requested(machine) == [OTHER]


def test_a_better_offer_is_taken_also_while_the_doubtful_one_is_asked_for() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(TRAP, 0.01)
    machine.wake(0.01 + SECOND_LOOK)
    machine.actions()
    machine.receive(OFFER, 1.5)
    asked = requested(machine)
    machine.receive(replace(ACK, server=OTHER, doubtful=True), 1.6)
    still = machine.state
    machine.receive(ACK, 1.7)

    assert asked == [SERVER]
    assert isinstance(still, Requesting)
    assert machine.lease is not None
    assert machine.lease.server == SERVER


@pytest.mark.parametrize("late", [TRAP, replace(OFFER, server=OTHER)])
def test_the_first_good_offer_stays(late: object) -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(OFFER, 0.01)
    machine.actions()
    machine.receive(late, 0.02)  # type: ignore[arg-type]

    assert requested(machine) == []


def test_a_doubtful_offer_of_the_last_search_is_not_remembered() -> None:
    machine = new_machine()
    machine.start(0)
    machine.receive(TRAP, 0.01)
    machine.reconnect(0.02)

    assert isinstance(machine.state, Selecting)
    assert machine.state.doubtful is None

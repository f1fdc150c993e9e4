"""A machine that begins with a lease, or whose cable comes back."""

from ipaddress import IPv4Address

from msgspec.structs import replace

from agent.dhcp.lease import Lease
from agent.dhcp.machine import (
    Drop,
    Rebooting,
    Selecting,
    Send,
    Use,
)
from agent.dhcp.wire import MessageType
from tests.agent.dhcp.timeline import (
    ACK,
    ADDRESS,
    LEASE,
    NAK,
    OTHER,
    bound,
    new_machine,
    queries,
    rebooting,
)


def test_a_lease_from_before_is_used_at_once_and_asked_about_beside() -> None:
    machine = new_machine()
    machine.start(100, first=LEASE)
    use, send = machine.actions()

    assert use == Use(LEASE)
    assert isinstance(send, Send)
    assert send.query.type is MessageType.REQUEST
    # RFC 2131, 4.3.2: INIT-REBOOT.
    assert (send.query.requested, send.query.server) == (ADDRESS.ip, None)
    assert (send.query.ciaddr, send.to) == (IPv4Address(0), None)


def test_a_confirmed_lease_goes_on() -> None:
    machine = rebooting()
    machine.receive(replace(ACK, server=OTHER), 100.1)

    assert machine.actions() == [Use(replace(LEASE, acquired=100, server=OTHER))]


def test_a_silent_server_costs_one_second_then_the_same_address_is_asked_for_anew() -> None:
    machine = rebooting()
    machine.wake(machine.deadline)
    machine.wake(machine.deadline)
    again, discover = queries(machine)

    assert (again.type, again.requested) == (3, ADDRESS.ip)
    assert (discover.type, discover.requested) == (1, ADDRESS.ip)
    assert isinstance(machine.state, Selecting)
    assert machine.state.began - 100 <= 1.0
    assert machine.state.held == LEASE


def test_a_lease_that_nobody_answers_for_is_kept_to_its_end() -> None:
    machine = rebooting()
    dropped: list[tuple[float, Lease]] = []
    while not dropped:
        now = machine.deadline
        machine.wake(now)
        dropped = [(now, a.lease) for a in machine.actions() if isinstance(a, Drop)]

    assert dropped == [(1000, LEASE)]


def test_a_refused_lease_from_before_goes_and_a_new_one_is_asked_for() -> None:
    machine = rebooting()
    machine.receive(NAK, 100.1)
    drop, send = machine.actions()

    assert drop == Drop(LEASE, "the server refused it (wrong network)")
    assert isinstance(send, Send)
    assert (send.query.type, send.query.requested) == (MessageType.DISCOVER, None)


def test_a_lease_that_is_over_is_only_a_wish() -> None:
    machine = new_machine()
    machine.start(1000, first=LEASE)
    (send,) = machine.actions()

    assert isinstance(send, Send)
    assert (send.query.type, send.query.requested) == (MessageType.DISCOVER, ADDRESS.ip)


def test_a_cable_that_comes_back_asks_again_with_the_address_still_on() -> None:
    machine = bound()
    machine.reconnect(200)

    assert isinstance(machine.state, Rebooting)
    assert [query.requested for query in queries(machine)] == [ADDRESS.ip]


def test_a_cable_that_comes_back_after_the_lease_is_over_takes_the_address_off() -> None:
    machine = bound()
    machine.reconnect(1000)
    drop, send = machine.actions()

    assert drop == Drop(LEASE, "it expired")
    assert isinstance(send, Send)
    assert send.query.type is MessageType.DISCOVER


def test_a_cable_that_comes_keeps_the_transaction_as_an_offer_may_be_on_its_way() -> None:
    machine = new_machine()
    machine.start(0)
    machine.reconnect(2)
    first, second = queries(machine)

    assert first.xid == second.xid


def test_a_cable_that_comes_while_we_wait_long_is_not_kept_waiting() -> None:
    machine = new_machine()
    machine.start(0)
    for _ in range(8):
        machine.wake(machine.deadline)
    machine.actions()
    machine.reconnect(200)

    assert len(queries(machine)) == 1
    assert machine.deadline < 201

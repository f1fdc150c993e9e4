"""Values and a machine at its different moments, for timelines."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface
from itertools import count

from msgspec.structs import replace

from agent.dhcp.lease import Lease, client_id
from agent.dhcp.machine import (
    Machine,
    Send,
)
from agent.dhcp.wire import Grant, MessageType, Nak, Query

MAC = "52:54:00:12:34:56"
SERVER = IPv4Address("192.168.1.1")
ADDRESS = IPv4Interface("192.168.1.42/24")
OFFER = Grant(
    type=MessageType.OFFER,
    server=SERVER,
    address=ADDRESS,
    routers=(SERVER,),
    dns=(),
    domain=None,
    mtu=None,
    routes=(),
    lease_s=1000,
    renew_s=500,
    rebind_s=875,
)
ACK = replace(OFFER, type=MessageType.ACK)
NAK = Nak(server=SERVER, text="wrong network")
OTHER = IPv4Address("192.168.1.2")
LEASE = Lease(
    address=ADDRESS,
    routers=(SERVER,),
    server=SERVER,
    lease_s=1000,
    renew_s=500,
    rebind_s=875,
    acquired=0.0,
    client_id=client_id(MAC),
)
NO_JITTER: Callable[[], float] = lambda: 0.5  # noqa: E731  # the middle of every range


def new_machine(*, jitter: Callable[[], float] = NO_JITTER) -> Machine:
    return Machine(MAC, new_xid=count(1).__next__, jitter=jitter)


def queries(machine: Machine) -> list[Query]:
    return [action.query for action in machine.actions() if isinstance(action, Send)]


def bound(*, jitter: Callable[[], float] = lambda: 0.0) -> Machine:
    """Bound at time 0; no jitter in T1."""
    machine = new_machine(jitter=jitter)
    machine.start(0)
    machine.receive(OFFER, 0)
    machine.receive(ACK, 0)
    machine.actions()
    return machine


def rebooting(now: float = 100.0) -> Machine:
    machine = new_machine()
    machine.start(now, first=LEASE)
    machine.actions()
    return machine

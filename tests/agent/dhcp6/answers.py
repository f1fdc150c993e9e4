"""Messages of servers, as bytes and as values, and a machine at its different moments."""

import struct
from collections.abc import Callable
from ipaddress import IPv6Network
from itertools import count

from agent.dhcp6.delegation import Delegation, client_duid
from agent.dhcp6.machine import Machine
from agent.dhcp6.state import Send
from agent.dhcp6.wire import Answer, MessageType, Offer, Query

CLIENT = client_duid(b"k" * 32)
SERVER, OTHER = b"\0\x01the server", b"\0\x01another"
PREFIX, NEXT = IPv6Network("2001:db8:b:10::/60"), IPv6Network("2001:db8:b:20::/60")
QUERY = Query(type=MessageType.SOLICIT, xid=0x123456, client=CLIENT)
HELD = Delegation(
    prefix=PREFIX,
    server=SERVER,
    preferred_s=1000,
    valid_s=2000,
    renew_s=500,
    rebind_s=800,
    acquired=0.0,
)
OFFER = Offer(prefix=PREFIX, preferred_s=1000, valid_s=2000)
NO_JITTER: Callable[[], float] = lambda: 0.5  # noqa: E731  # the middle of every range


def option(number: int, value: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value


def ia_prefix(text: str, *, preferred: int = 1000, valid: int = 2000, inner: bytes = b"") -> bytes:
    address, _, length = text.partition("/")
    packed = IPv6Network(f"{address}/128").network_address.packed
    return option(26, struct.pack("!IIB16s", preferred, valid, int(length), packed) + inner)


def ia(*inner: bytes, iaid: int = 1, t1: int = 500, t2: int = 800) -> bytes:
    return option(25, struct.pack("!III", iaid, t1, t2) + b"".join(inner))


def status(code: int, text: str = "") -> bytes:
    return option(13, struct.pack("!H", code) + text.encode())


def message(
    *options: bytes,
    kind: int = MessageType.REPLY,
    xid: int = QUERY.xid,
    client: bytes = CLIENT,
    server: bytes = SERVER,
) -> bytes:
    head = bytes((kind,)) + xid.to_bytes(3, "big")
    return head + option(1, client) + option(2, server) + b"".join(options)


def advertise(
    *offers: Offer, server: bytes = SERVER, preference: int = 0, sol_max_rt: int | None = None
) -> Answer:
    return Answer(
        type=MessageType.ADVERTISE,
        server=server,
        offers=offers,
        renew_s=500,
        rebind_s=800,
        preference=preference,
        sol_max_rt=sol_max_rt,
    )


def reply(*offers: Offer, server: bytes = SERVER, status: int = 0) -> Answer:
    return Answer(
        type=MessageType.REPLY,
        server=server,
        offers=offers,
        renew_s=500,
        rebind_s=800,
        status=status,
    )


def new_machine(*, jitter: Callable[[], float] = NO_JITTER) -> Machine:
    return Machine(CLIENT, new_xid=count(1).__next__, jitter=jitter)


def queries(machine: Machine) -> list[Query]:
    return [action.query for action in machine.actions() if isinstance(action, Send)]


def soliciting() -> Machine:
    """Its first SOLICIT went out at 0."""
    machine = new_machine(jitter=lambda: 0.0)
    machine.start(0)
    machine.wake(0)
    machine.actions()
    return machine


def requesting() -> Machine:
    machine = soliciting()
    machine.receive(advertise(OFFER, preference=255), 0)
    machine.actions()
    return machine


def bound() -> Machine:
    """At time 0; no jitter in T1."""
    machine = requesting()
    machine.receive(reply(OFFER), 0)
    machine.actions()
    return machine

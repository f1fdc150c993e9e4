"""The runner on a link that is a list: what is sent, what is counted, what is said."""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface
from itertools import count

from agent.dhcp.machine import Drop, Machine, Use
from agent.dhcp.options import BadMessageError
from agent.dhcp.runner import Client, NoLease, why_none
from agent.dhcp.wire import MessageType, Query
from runtime.clock import boottime
from tests.agent.dhcp.replies import MAC, reply


class FakePort:
    """A server at the other end of the link: answers what `answer` gives, at once."""

    def __init__(self, answer: Callable[[Query], list[bytes]]) -> None:
        self._answer = answer
        self.sent: list[tuple[MessageType, IPv4Address | None]] = []
        self.listening = False
        self.received: Callable[[bytes], None] = lambda _: None
        self.refused: Callable[[BadMessageError], None] = lambda _: None

    async def send(self, query: Query, to: IPv4Address | None) -> None:
        self.listening = True
        self.sent.append((query.type, to))
        for data in self._answer(query):
            asyncio.get_running_loop().call_soon(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        try:
            self.received(data)
        except BadMessageError as error:
            self.refused(error)

    def rest(self) -> None:
        self.listening = False


def honest(query: Query) -> list[bytes]:
    kind = {MessageType.DISCOVER: b"\x02", MessageType.REQUEST: b"\x05"}.get(query.type)
    return [] if kind is None else [reply({53: kind}, xid=query.xid)]


def new_client(port: FakePort, did: list[Use | Drop]) -> Client:
    async def perform(action: Use | Drop) -> None:
        did.append(action)

    machine = Machine(MAC, new_xid=count(1).__next__, jitter=lambda: 0.5)
    return Client(machine, port, perform)


async def run_until(client: Client, true: Callable[[], object]) -> None:
    task = asyncio.create_task(client.run())
    await until(true)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # a test looks from outside
            await asyncio.sleep(0.01)


def test_a_lease_is_had_and_the_link_left_in_peace() -> None:
    port, did = FakePort(honest), list[Use | Drop]()
    client = new_client(port, did)

    async def script() -> None:
        await run_until(client, lambda: did and not port.listening)

    asyncio.run(script())
    (use,) = did

    assert isinstance(use, Use)
    assert use.lease.address == IPv4Interface("192.168.1.42/24")
    assert 0 <= boottime() - use.lease.acquired < 5
    assert port.sent == [(MessageType.DISCOVER, None), (MessageType.REQUEST, None)]


def test_bad_messages_and_strays_are_counted_apart_and_change_nothing() -> None:
    def hostile(query: Query) -> list[bytes]:
        bad = [b"", reply({1: None}, xid=query.xid), reply({3: b"x"}, xid=query.xid)]
        return [*bad, reply(xid=query.xid + 1), *honest(query)]

    port, did = FakePort(hostile), list[Use | Drop]()
    client = new_client(port, did)
    asyncio.run(run_until(client, lambda: did))

    assert len(did) == 1
    assert (client.refused, client.strays) == (6, 2)
    assert client.last_refused == "option 3 has 1 bytes"


def test_a_link_that_cannot_send_is_tried_again() -> None:
    port, did = FakePort(honest), list[Use | Drop]()
    real, failures = port.send, iter((True, True, False, False))

    async def send(query: Query, to: IPv4Address | None) -> None:
        if next(failures):
            raise OSError(100, "Network is down")
        await real(query, to)

    port.send = send  # type: ignore[method-assign]
    asyncio.run(run_until(new_client(port, did), lambda: did))

    assert len(did) == 1


def test_a_conflict_is_declined_and_the_address_dropped() -> None:
    port, did = FakePort(honest), list[Use | Drop]()
    client = new_client(port, did)

    async def script() -> None:
        task = asyncio.create_task(client.run())
        await until(lambda: did)
        client.conflict("02:00:00:00:00:99")
        await until(lambda: len(did) > 1 and port.sent[-1][0] is MessageType.DECLINE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(script())

    assert [type(action) for action in did] == [Use, Drop]
    assert port.sent[-1] == (MessageType.DECLINE, None)


def test_why_there_is_no_lease_is_said_in_one_line() -> None:
    def only(kind: bytes | None) -> Callable[[Query], list[bytes]]:
        def answer(query: Query) -> list[bytes]:
            wanted = query.type is MessageType.DISCOVER or kind is not None
            number = b"\x02" if query.type is MessageType.DISCOVER else kind
            return [reply({53: number}, xid=query.xid)] if wanted else []

        return answer

    cases: list[tuple[str, Callable[[Query], list[bytes]]]] = [
        ("no offer", lambda _: []),
        ("no valid offer: a lease of 0 s", lambda query: [reply({51: bytes(4)}, xid=query.xid)]),
        ("192.168.1.1 offers 192.168.1.42 and does not confirm it", only(None)),
        ("the server refuses what it offers", only(b"\x06")),
    ]
    for reason, case in cases:
        port = FakePort(case)
        client = new_client(port, [])
        asyncio.run(run_until(client, lambda: port.sent and _why(client) == reason))  # noqa: B023

        assert _why(client) == reason


def _why(client: Client) -> str:
    return NoLease(why_none(client)).reason

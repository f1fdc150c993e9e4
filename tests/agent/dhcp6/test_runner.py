"""The machine driven by a port and a clock; no real link."""

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import IPv6Network
from typing import Any

from agent.dhcp.options import BadMessageError
from agent.dhcp6.runner import Client, new_machine
from agent.dhcp6.state import Bound, Drop, Use
from agent.dhcp6.wire import MessageType, Query
from tests.agent.dhcp6.answers import CLIENT, HELD, PREFIX, ia, ia_prefix, message

LAN = IPv6Network("2001:db8:b:1::/64")


class Server:
    """A port whose other end answers at once, with `said` in every message."""

    def __init__(self, *said: bytes, deaf: int = 0) -> None:
        self.received: Callable[[bytes], None] = lambda _: None
        self.refused: Callable[[BadMessageError], None] = lambda _: None
        self.heard: list[MessageType] = []
        self.open = False
        self._said, self._deaf = said, deaf

    async def send(self, query: Query) -> None:
        self.heard.append(query.type)
        self.open = True
        if len(self.heard) <= self._deaf:
            raise OSError(99, "no address yet")
        kind = MessageType.REPLY
        if query.type is MessageType.SOLICIT:
            kind = MessageType.ADVERTISE
        try:
            self.received(message(*self._said, kind=kind, xid=query.xid))
        except BadMessageError as error:
            self.refused(error)

    def rest(self) -> None:
        self.open = False


def drive(
    port: Server, go: Callable[[Client], Coroutine[Any, Any, None]], until: Callable[[Client], bool]
) -> tuple[Client, list[Use | Drop]]:
    done: list[Use | Drop] = []

    async def perform(action: Use | Drop) -> None:
        done.append(action)

    async def run() -> Client:
        client = Client(new_machine(CLIENT), port, perform, avoid=lambda: (LAN,))
        running = asyncio.create_task(go(client))
        async with asyncio.timeout(60):
            while not until(client) and not running.done():  # noqa: ASYNC110  # no event of ours
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return client

    return asyncio.run(run()), done


def test_a_prefix_comes_and_the_port_rests() -> None:
    port = Server(ia(ia_prefix(str(PREFIX))), deaf=1)
    client, done = drive(port, lambda c: c.run(), lambda c: isinstance(c.machine.state, Bound))

    assert port.heard == [MessageType.SOLICIT, MessageType.SOLICIT, MessageType.REQUEST]
    assert [action.delegation.prefix for action in done] == [PREFIX]
    assert (client.refused, port.open) == (0, False)


def test_what_a_hostile_server_offers_is_counted_with_its_reason() -> None:
    port = Server(ia(ia_prefix(str(LAN))))
    client, done = drive(port, lambda c: c.run(), lambda c: c.refused > 0)

    assert done == []
    assert str(LAN) in client.last_refused


def test_it_is_given_back() -> None:
    port = Server()
    _, done = drive(port, lambda c: c.release(HELD), lambda _: False)

    assert port.heard == [MessageType.RELEASE]
    assert (done, port.open) == ([], False)

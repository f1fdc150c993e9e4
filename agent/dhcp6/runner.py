"""The DHCPv6 machine on a real link: socket and timers.

client = Client(new_machine(duid), LinkPort(…), perform, avoid=lan)
await client.run(first=delegation)
"""

import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv6Network
from typing import Protocol

from agent.dhcp.options import BadMessageError, StrayMessageError
from agent.dhcp.pace import Pace
from agent.dhcp6.delegation import Delegation
from agent.dhcp6.machine import Machine
from agent.dhcp6.state import Bound, Drop, Released, Send, Use, Waiting
from agent.dhcp6.wire import Query, decode_answer
from runtime.clock import boottime
from runtime.failure import CannotError

log = logging.getLogger(__name__)


class Port(Protocol):
    """One link's traffic; `agent.dhcp6.port.LinkPort` is the real one."""

    received: Callable[[bytes], None]
    refused: Callable[[BadMessageError], None]

    async def send(self, query: Query) -> None: ...
    def rest(self) -> None: ...


def new_machine(client: bytes) -> Machine:
    return Machine(
        client, new_xid=lambda: secrets.randbits(24), jitter=random.SystemRandom().random
    )


class Client:
    """Runs `machine` on `port`; `perform` does what concerns the prefix."""

    def __init__(
        self,
        machine: Machine,
        port: Port,
        perform: Callable[[Use | Drop], Awaitable[None]],
        *,
        avoid: Callable[[], Collection[IPv6Network]] = tuple,
        clock: Callable[[], float] = boottime,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """`avoid`: what no server may delegate, asked anew for each answer. `tell` is called whenever
        the machine has done something.
        """
        self.machine = machine
        self.refused = 0  # for us, and bad
        self.last_refused = ""
        self._port, self._perform, self._avoid = port, perform, avoid
        self._clock, self._tell = clock, tell
        self._pace = Pace(clock)
        port.received = self._receive
        port.refused = self._count

    async def run(
        self, *, first: Delegation | None = None, hint: IPv6Network | None = None
    ) -> None:
        """For ever; cancelling leaves what `perform` did as it is."""
        self.machine.start(self._clock(), first=first, hint=hint)
        await self._go()

    async def release(self, held: Delegation) -> None:
        """Give it back, and return when the server heard it, or was asked often enough."""
        self.machine.release(self._clock(), held)
        await self._go()

    async def _go(self) -> None:
        try:
            while True:
                await self._act()
                if isinstance(self.machine.state, Released):
                    return
                if isinstance(self.machine.state, Bound | Waiting):
                    self._port.rest()
                await self._pace.until(self.machine.deadline)
                self.machine.wake(self._clock())
        finally:
            self._port.rest()

    async def _act(self) -> None:
        actions = self.machine.actions()
        for action in actions:
            match action:
                case Send(query):
                    await self._send(query)
                case Use() | Drop():
                    await self._perform(action)
        if actions:
            self._tell()

    async def _send(self, query: Query) -> None:
        log.debug("sent", extra={"kind": query.type.name, "xid": query.xid})
        try:
            await self._port.send(query)
        except OSError as error:  # no link, no address yet: as good as a lost packet
            log.debug("not sent", extra={"reason": error.strerror})
            self._port.rest()  # the link may be another one the next time
        except CannotError as error:
            log.debug("not sent", extra={"reason": error.message})

    def _receive(self, payload: bytes) -> None:
        answer = decode_answer(payload, query=self.machine.query, avoid=self._avoid())
        log.debug("received", extra={"reply": answer})
        for reason in answer.left_out:
            self._note(reason)
        self.machine.receive(answer, self._clock())
        self._pace.stir()

    def _count(self, error: BadMessageError) -> None:
        if not isinstance(error, StrayMessageError):
            self._note(str(error))

    def _note(self, reason: str) -> None:
        self.refused += 1
        self.last_refused = reason
        log.debug("message refused", extra={"reason": reason})

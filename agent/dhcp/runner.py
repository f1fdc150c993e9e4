"""The DHCPv4 machine on a real link: sockets, timers, and the two ways to use it.

lease = await probe_lease(spaces, "znp-3", "eth0", mac, deadline_s=15)     # Lease | NoLease

client = Client(Machine(…), LinkPort(…), perform)     # what agent.dhcp.keeper does
await client.run(first=lease)
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from msgspec import Struct

from agent.dhcp.lease import Lease
from agent.dhcp.machine import Bound, Drop, Machine, Requesting, Selecting, Send, Use, Waiting
from agent.dhcp.options import BadMessageError, StrayMessageError
from agent.dhcp.pace import Pace
from agent.dhcp.port import LinkPort
from agent.dhcp.wire import Query, decode_reply
from netns.spaces import Spaces
from runtime.clock import boottime
from runtime.failure import CannotError

log = logging.getLogger(__name__)


class Port(Protocol):
    """One link's DHCP traffic; `agent.dhcp.port.LinkPort` is the real one."""

    received: Callable[[bytes], None]
    refused: Callable[[BadMessageError], None]

    async def send(self, query: Query, to: IPv4Address | None) -> None: ...
    def rest(self) -> None: ...


def new_machine(
    mac: str, *, static_routes: bool = False, avoid: tuple[IPv4Network, ...] = ()
) -> Machine:
    return Machine(
        mac,
        new_xid=lambda: secrets.randbits(32),
        jitter=random.SystemRandom().random,
        static_routes=static_routes,
        avoid=avoid,
    )


class Client:
    """Runs `machine` on `port`; `perform` does what concerns the address."""

    def __init__(
        self,
        machine: Machine,
        port: Port,
        perform: Callable[[Use | Drop], Awaitable[None]],
        *,
        clock: Callable[[], float] = boottime,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """`tell` is called whenever the machine has done something."""
        self.machine = machine
        self.strays = 0  # not for us
        self.refused = 0  # for us, and bad
        self.last_refused = ""
        self._port, self._perform, self._clock, self._tell = port, perform, clock, tell
        self._pace = Pace(clock)
        port.received = self._receive
        port.refused = self._count

    async def run(self, *, first: Lease | None = None) -> None:
        """For ever; cancelling leaves what `perform` did as it is."""
        self.machine.start(self._clock(), first=first)
        try:
            while True:
                await self._act()
                if isinstance(self.machine.state, Bound | Waiting):
                    self._port.rest()
                await self._pace.until(self.machine.deadline)
                self.machine.wake(self._clock())
        finally:
            self._port.rest()

    def reconnect(self) -> None:
        """The link has a carrier again."""
        self.machine.reconnect(self._clock())
        self._pace.stir()

    def conflict(self, holder: str) -> None:
        """`holder`, a MAC, uses our address."""
        self.machine.conflict(self._clock(), holder=holder)
        self._pace.stir()

    async def _act(self) -> None:
        actions = self.machine.actions()
        for action in actions:
            match action:
                case Send(query, to):
                    await self._send(query, to)
                case Use() | Drop():
                    await self._perform(action)
        if actions:
            self._tell()

    async def _send(self, query: Query, to: IPv4Address | None) -> None:
        log.debug("sent", extra={"kind": query.type.name, "to": to or "all", "xid": query.xid})
        try:
            await self._port.send(query, to)
        except OSError as error:  # no carrier, link down, no route: as good as a lost packet
            log.debug("not sent", extra={"reason": error.strerror})

    def _receive(self, payload: bytes) -> None:
        reply = decode_reply(payload, query=self.machine.query)
        log.debug("received", extra={"reply": reply})
        self.machine.receive(reply, self._clock())
        self._pace.stir()

    def _count(self, error: BadMessageError) -> None:
        if isinstance(error, StrayMessageError):
            self.strays += 1
        else:
            self.refused += 1
            self.last_refused = str(error)
            log.debug("message refused", extra={"reason": error})


class NoLease(Struct, frozen=True):
    """Why there is none, in words that stand behind `eth0: `."""

    reason: str


async def probe_lease(
    spaces: Spaces,
    space: str,
    link: str,
    mac: str,
    *,
    deadline_s: float,
    static_routes: bool = False,
) -> Lease | NoLease:
    """Ask for a lease on a link that is up; configures nothing. At most `deadline_s` seconds."""
    found: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()

    async def perform(action: Use | Drop) -> None:
        if isinstance(action, Use) and not found.done():
            found.set_result(action.lease)

    client = Client(
        new_machine(mac, static_routes=static_routes), LinkPort(spaces, space, link), perform
    )
    running = asyncio.create_task(client.run())
    try:
        await asyncio.wait(
            (found, running), timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED
        )
        if running.done():
            running.result()
        return found.result() if found.done() else NoLease(why_none(client))
    except CannotError as error:
        return NoLease(error.message)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def why_none(client: Client) -> str:
    """What a person may know when no lease came."""
    if client.refused:
        return f"no valid offer: {client.last_refused}"
    match client.machine.state:
        case Selecting():
            return "no offer"
        case Requesting(offer=offer):
            return f"{offer.server} offers {offer.address.ip} and does not confirm it"
        case _:
            return "the server refuses what it offers"

"""One NIC in its probe namespace: what it is told there goes to the boot machine.

    probe = Probe(spaces, link, report, start=…, dhcp_window=10)
    await probe.prepare(); await probe.enter(home); await probe.listen(); await probe.rise()
    … probe.solicit() / probe.quit() as the machine wants …
    await probe.release()                    # the NIC stays where it is

Alone in its namespace a NIC gets routers and addresses of its own, whatever the others have, and
two LANs with the same prefix do not meet. A bond, which cannot be moved, is probed at home.
IPv6 is the kernel's: it asks for routers the moment there is a carrier, and skips duplicate
detection, as these addresses carry no traffic. IPv4 is asked for by our own client, which
configures nothing here. Of a NIC with static addresses the gateways are asked instead.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, Protocol

from agent.boot.reach import reach
from agent.boot.recover import PROBE_ROLE, bring_home, probe_space
from agent.dhcp.lease import Lease
from agent.dhcp.runner import NoLease, probe_lease
from agent.static.config import Fixed
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.values import Address, IPAddress, Link
from runtime.failure import CannotError

log = logging.getLogger(__name__)

# For what arrives in a probe namespace, before it arrives. A lost solicitation is repeated soon:
# a switch port may be blocked for its first seconds, and nobody else asks here. `disable_ipv6` is the
# last: what is written once IPv6 is on comes too late for the first address, which is then doubted.
PROBE_SYSCTLS = {
    "accept_ra": "2",
    "dad_transmits": "0",
    "router_solicitation_delay": "0",
    "router_solicitation_interval": "1",
    "router_solicitation_max_interval": "8",
    "use_tempaddr": "0",
    "disable_ipv6": "0",
}


Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Report(Protocol):
    """Who is told; `agent.boot.runner` passes it on to the machine."""

    def carrier(self, nic: str, up: bool) -> None: ...
    def leased(self, nic: str, address: IPv4Interface, gateway: IPv4Address | None) -> None: ...
    def refused(self, nic: str, reason: str) -> None: ...
    def routed(
        self, nic: str, addresses: tuple[IPv6Interface, ...], gateway: IPv6Address | None
    ) -> None: ...
    def vanished(self, nic: str) -> None: ...
    def failed(self, nic: str, reason: str) -> None: ...


class Probe:
    def __init__(
        self,
        spaces: Spaces,
        link: Link,
        report: Report,
        *,
        start: Start,
        dhcp_window: float,
        fixed: Fixed | None = None,
    ) -> None:
        """`start` runs a task of ours and looks after its end. `fixed`: the NIC's static addresses."""
        self.name, self.mac = link.name, link.mac
        self.space = probe_space(link.index) if link.movable else HOST
        self.lease: Lease | None = None
        self._spaces, self._report, self._dhcp_window = spaces, report, dhcp_window
        self._start, self._fixed = start, fixed
        self._asked = asyncio.Lock()  # one at a time wears the static addresses
        self._gateway6: IPv6Address | None = None  # a static one that has answered
        self._index = link.index
        self._inside: Netlink | None = None
        self._monitor: Monitor | None = None
        self._watching: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Make the namespace. Raises ForeignError when its name is taken; nothing has moved yet."""
        if self.space != HOST:
            await self._spaces.ensure(self.space, role=PROBE_ROLE)
        whose = self.name if self.space == HOST else "default"
        await set_sysctls(
            self._spaces,
            self.space,
            {f"net/ipv6/conf/{whose}/{key}": value for key, value in PROBE_SYSCTLS.items()},
            skip_missing=True,
        )

    async def enter(self, home: Netlink) -> None:
        """Move the NIC in, down."""
        await home.set_link(self._index, up=False)
        if self.space != HOST:
            await home.move(self._index, self.space)

    async def listen(self) -> None:
        """Hear from now on what happens in there."""
        self._inside = await Netlink.open(self._spaces, self.space)
        groups = Group.LINK | Group.ADDRESS | Group.ROUTE
        self._monitor = await Monitor.open(self._spaces, self.space, groups)
        link = await self._inside.link(self.name)
        if link is None:
            raise CannotError(f"cannot probe {self.name}: it did not arrive in {self.space}")
        self._index = link.index  # another one if it was taken in there
        self._watching = self._start(self._watch(self._inside, self._monitor))

    async def rise(self) -> None:
        if self._inside is not None:
            await self._inside.set_link(self._index, up=True)

    def solicit(self) -> None:
        """Ask for a lease, anew if we are asking."""
        self._stop_asking()
        self._asking = self._start(self._ask())

    def quit(self) -> None:
        """The carrier is gone, and with it what was learnt by it."""
        self.lease = self._gateway6 = None
        self._stop_asking()

    async def release(self) -> None:
        """Let go of the namespace: an open socket keeps it alive. The NIC stays where it is."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._monitor is not None:
            self._monitor.close()
        if self._inside is not None:
            await self._inside.close()
        self._monitor = self._inside = None

    async def come_home(self, home: Netlink) -> list[str]:
        """Let go, and what the NIC is called at home; none when it is gone."""
        await self.release()
        if self.space != HOST:
            return await bring_home(self._spaces, home, self.space)
        return [self.name] if await home.link(self.name) is not None else []

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def _ask(self) -> None:
        if self._fixed is not None and self._inside is not None:
            async with self._asked:
                await self._ask_gateways(self._inside, self._fixed)
            return
        try:
            answer = await probe_lease(
                self._spaces, self.space, self.name, self.mac, deadline_s=self._dhcp_window
            )
        except CannotError as error:
            answer = NoLease(error.message)
        if isinstance(answer, NoLease):
            self._report.refused(self.name, answer.reason)
        else:
            self.lease = answer
            self._report.leased(self.name, answer.address, answer.router)

    async def _ask_gateways(self, inside: Netlink, fixed: Fixed) -> None:
        def found(gateway: IPAddress) -> None:
            if isinstance(gateway, IPv6Address):
                self._gateway6 = gateway
                self._report.routed(self.name, static6(fixed), gateway)
            elif isinstance(address := fixed.address(4), IPv4Interface):
                self._report.leased(self.name, address, gateway)

        try:
            silent = await reach(inside, self._index, fixed, seconds=self._dhcp_window, found=found)
        except CannotError as error:
            self._report.refused(self.name, error.message)
            return
        if fixed.gateway(4) is None or fixed.gateway(4) in silent:
            self._report.refused(self.name, why_silent(silent))

    async def _watch(self, inside: Netlink, monitor: Monitor) -> None:
        """Whatever changes in there, look at all of it again: there is one NIC, and little of it."""
        try:
            while await self._look(inside):
                await monitor.next()
        except CannotError as error:
            self._report.failed(self.name, error.message)

    async def _look(self, inside: Netlink) -> bool:
        """Tell what is there now; False when the NIC has gone (unplugged, a driver unloaded)."""
        link = await inside.link_at(self._index)
        if link is None:
            self._report.vanished(self.name)
            return False
        self._report.carrier(self.name, link.carrier)
        if link.carrier:
            addresses = [a.interface for a in await inside.addresses(self._index) if is_global6(a)]
            own = static6(self._fixed) if self._fixed else ()
            gateways = [
                route.via
                for route in await inside.routes(6)
                if route.destination is None and route.link == self._index
            ]
            self._report.routed(
                self.name,
                tuple(dict.fromkeys((*own, *(a for a in addresses if a.version == 6)))),
                self._gateway6 or next((v for v in gateways if isinstance(v, IPv6Address)), None),
            )
        return True


def static6(fixed: Fixed) -> tuple[IPv6Interface, ...]:
    return tuple(a for a in fixed.addresses if isinstance(a, IPv6Interface))


def why_silent(gateways: Iterable[IPAddress]) -> str:
    """In the words of the status: what a NIC with static addresses lacks."""
    return f"static: {' and '.join(map(str, gateways)) or 'no IPv4 gateway'} silent"


def is_global6(address: Address) -> bool:
    """Usable and of more than the link; what kind of global is for the choice to say."""
    interface = address.interface
    return interface.version == 6 and address.usable and not interface.ip.is_link_local

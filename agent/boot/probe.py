"""One NIC in its probe namespace: what it is told there goes to the boot machine.

    probe = Probe(spaces, link, report, start=…, dhcp_window=10)
    await probe.prepare(); await probe.enter(home); await probe.listen(); await probe.rise()
    … probe.solicit() / probe.quit() as the machine wants …
    await probe.release()                    # the NIC stays where it is

Alone in its namespace a NIC gets routers and addresses of its own, whatever the others have, and
two LANs with the same prefix do not meet. IPv6 is the kernel's: it asks for routers the moment
there is a carrier, and skips duplicate detection, as these addresses carry no traffic. IPv4 is
asked for by our own client, which configures nothing here.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from ipaddress import IPv6Address, IPv6Interface
from typing import Any, Protocol

from agent.boot.recover import PROBE_ROLE, probe_space
from agent.dhcp.lease import Lease
from agent.dhcp.runner import NoLease, probe_lease
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from netns.values import Address, Link
from runtime.failure import CannotError

log = logging.getLogger(__name__)

# For what arrives in a probe namespace, before it arrives. A lost solicitation is repeated soon:
# a switch port may be blocked for its first seconds, and nobody else asks here.
PROBE_SYSCTLS = {
    "disable_ipv6": "0",
    "accept_ra": "2",
    "dad_transmits": "0",
    "router_solicitation_delay": "0",
    "router_solicitation_interval": "1",
    "router_solicitation_max_interval": "8",
    "use_tempaddr": "0",
}


Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Report(Protocol):
    """Who is told; `agent.boot.runner` passes it on to the machine."""

    def carrier(self, nic: str, up: bool) -> None: ...
    def leased(self, nic: str, lease: Lease) -> None: ...
    def refused(self, nic: str, reason: str) -> None: ...
    def routed(
        self, nic: str, addresses: tuple[IPv6Interface, ...], gateway: IPv6Address | None
    ) -> None: ...
    def vanished(self, nic: str) -> None: ...
    def failed(self, nic: str, reason: str) -> None: ...


class Probe:
    def __init__(
        self, spaces: Spaces, link: Link, report: Report, *, start: Start, dhcp_window: float
    ) -> None:
        """`start` runs a task of ours and looks after its end."""
        self.name, self.mac = link.name, link.mac
        self.space = probe_space(link.index)
        self.lease: Lease | None = None
        self._spaces, self._report, self._dhcp_window = spaces, report, dhcp_window
        self._start = start
        self._index = link.index
        self._inside: Netlink | None = None
        self._monitor: Monitor | None = None
        self._watching: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Make the namespace. Raises ForeignError when its name is taken; nothing has moved yet."""
        await self._spaces.ensure(self.space, role=PROBE_ROLE)
        await set_sysctls(
            self._spaces,
            self.space,
            {f"net/ipv6/conf/default/{key}": value for key, value in PROBE_SYSCTLS.items()},
            skip_missing=True,
        )

    async def enter(self, home: Netlink) -> None:
        """Move the NIC in, down."""
        await home.set_link(self._index, up=False)
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
        self.lease = None
        self._stop_asking()

    async def release(self) -> None:
        """Let go of the namespace: an open socket keeps it alive. The NIC stays where it is."""
        self._stop_asking()
        if self._monitor is not None:
            self._monitor.close()
        if self._inside is not None:
            await self._inside.close()
        self._monitor = self._inside = None

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def _ask(self) -> None:
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
            self._report.leased(self.name, answer)

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
            addresses = [a for a in await inside.addresses(self._index) if is_global6(a)]
            gateways = [
                route.via
                for route in await inside.routes(6)
                if route.destination is None and route.link == self._index
            ]
            self._report.routed(
                self.name,
                tuple(a.interface for a in addresses if isinstance(a.interface, IPv6Interface)),
                next((via for via in gateways if isinstance(via, IPv6Address)), None),
            )
        return True


def is_global6(address: Address) -> bool:
    """Usable and of more than the link; what kind of global is for the choice to say."""
    interface = address.interface
    return interface.version == 6 and address.usable and not interface.ip.is_link_local

"""A NIC that does not carry the node: in its probe namespace, looked at again and again.

    standby = Standby(spaces, "znp-3", found, dhcp_window=10)
    await standby.keep()          # until the NIC is gone; `found` is told of each look
    standby.lease                 # of the last look, for the move

It is up and has a cable or not. With one it is probed each 40 s, and at once when the cable
comes: by DHCP, or by asking its static gateways. Between the looks it has no address; for the time of one the kernel may take what
routers tell it, alone in its namespace.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from msgspec.structs import replace

from agent.boot.machine import ROUTER_WINDOW
from agent.boot.probe import PROBE_SYSCTLS, is_global6, static6, why_silent
from agent.boot.reach import reach
from agent.boot.recover import MOVED_KINDS
from agent.boot.uplink import Candidate
from agent.dhcp.lease import Lease
from agent.dhcp.runner import NoLease, probe_lease
from agent.static.config import Fixed, Static
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from netns.values import Link

log = logging.getLogger(__name__)

LOOK_EACH = 40.0  # seconds; a finding holds for a minute
POLL = 0.1
_OFF = {"disable_ipv6": "1"}


class Standby:
    def __init__(
        self,
        spaces: Spaces,
        space: str,
        found: Callable[["Standby", Candidate], None],
        *,
        dhcp_window: float,
        static: Static,
    ) -> None:
        self.space = space
        self.name = self.mac = ""
        self.lease: Lease | None = None
        self._spaces, self._found, self._dhcp_window = spaces, found, dhcp_window
        self._static = static
        self._index = 0
        self._told = False

    async def keep(self) -> None:
        """Returns when there is no NIC in the namespace. Raises CannotError."""
        inside = await Netlink.open(self._spaces, self.space)
        try:
            monitor = await Monitor.open(self._spaces, self.space, Group.LINK)
            try:
                while (link := await self._nic(inside)) is not None:
                    await self._tend(inside, monitor, link)
            finally:
                monitor.close()
        finally:
            await inside.close()

    async def _nic(self, inside: Netlink) -> Link | None:
        links = [link for link in await inside.links() if not link.loopback]
        found = next((link for link in links if link.kind in MOVED_KINDS), None)
        if found is not None:
            self.name, self.mac, self._index = found.name, found.mac, found.index
        return found

    async def _tend(self, inside: Netlink, monitor: Monitor, link: Link) -> None:
        """One look, and the time until the next."""
        if not link.up:
            await inside.set_link(link.index, up=True)
        if not link.carrier:
            self.lease = None
            self._found(self, Candidate(name=link.name, carrier=False))
            await monitor.next()
            return
        looking = asyncio.create_task(self._look(inside))
        losing = asyncio.create_task(self._await_loss(inside, monitor))
        try:
            await asyncio.wait({looking, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not losing.done():
                self._found(self, looking.result())
                await asyncio.wait({losing}, timeout=LOOK_EACH)
        finally:
            for task in (looking, losing):
                task.cancel()
            await asyncio.gather(looking, losing, return_exceptions=True)

    async def _await_loss(self, inside: Netlink, monitor: Monitor) -> None:
        """Until the cable or the NIC is gone."""
        link = await inside.link_at(self._index)
        while link is not None and link.carrier:
            await monitor.next()
            link = await inside.link_at(self._index)

    async def _look(self, inside: Netlink) -> Candidate:
        """Both families side by side; IPv6 is off again afterwards. The first time IPv6 is told of
        while IPv4 is still asked for: a server may take its time, or have no lease for us.
        """
        nic = self._static.get(self.name)
        asking = self._ask() if nic is None else self._ask_gateways(inside, nic.uplink)
        asked = asyncio.create_task(asking)
        try:
            await self._set_ipv6(_OFF)  # what the kernel began by itself, when the cable came
            await self._set_ipv6(PROBE_SYSCTLS)
            addresses, gateway = await self._routers(inside, asked)
            early = Candidate(name=self.name, addresses6=addresses, gateway6=gateway)
            if early.usable and not (self._told or asked.done()):
                self._found(self, early)
            self._told = True
            found = await asked
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await asyncio.shield(self._set_ipv6(_OFF))
        both = tuple(dict.fromkeys((*found.addresses6, *addresses)))
        return replace(found, addresses6=both, gateway6=found.gateway6 or gateway)

    async def _ask(self) -> Candidate:
        answer = await probe_lease(
            self._spaces, self.space, self.name, self.mac, deadline_s=self._dhcp_window
        )
        if isinstance(answer, NoLease):
            self.lease = None
            return Candidate(name=self.name, quiet4=answer.reason)
        self.lease = answer
        return Candidate(name=self.name, address4=answer.address, gateway4=answer.router)

    async def _ask_gateways(self, inside: Netlink, fixed: Fixed) -> Candidate:
        self.lease = None
        seconds = self._dhcp_window
        silent = await reach(inside, self._index, fixed, seconds=seconds, found=lambda _: None)
        seen = Candidate(
            name=self.name,
            static=fixed.addresses,
            addresses6=static6(fixed),
            quiet4=why_silent(silent),
        )
        address, gateway = fixed.address(4), fixed.gateway(4)
        if isinstance(address, IPv4Interface) and gateway not in (None, *silent):
            seen = replace(seen, address4=address, gateway4=IPv4Address(gateway))
        if (six := fixed.gateway(6)) is not None and six not in silent:
            seen = replace(seen, gateway6=IPv6Address(six))
        return seen

    async def _set_ipv6(self, values: Mapping[str, str]) -> None:
        settings = {f"net/ipv6/conf/{self.name}/{key}": value for key, value in values.items()}
        await set_sysctls(self._spaces, self.space, settings, skip_missing=True)

    async def _routers(
        self, inside: Netlink, asked: asyncio.Task[Candidate]
    ) -> tuple[tuple[IPv6Interface, ...], IPv6Address | None]:
        """What router advertisements made, as soon as it is whole; given up when IPv4 is `asked`
        for no more, but not too soon.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + ROUTER_WINDOW
        while True:
            found = [a.interface for a in await inside.addresses(self._index) if is_global6(a)]
            addresses = tuple(i for i in found if isinstance(i, IPv6Interface))
            routes = [r for r in await inside.routes(6) if r.destination is None]
            gateway = next((r.via for r in routes if isinstance(r.via, IPv6Address)), None)
            silent = asked.done() and loop.time() >= end
            if (addresses and gateway is not None) or silent:
                return addresses, gateway
            await asyncio.sleep(POLL)

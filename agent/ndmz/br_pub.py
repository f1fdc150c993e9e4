"""`br-pub`: the bridge of the NIC that carries ndmz alone, beside `zos`.

    br_pub = BrPub(spaces, config, uplink)
    await br_pub.keep()          # for ever; br_pub.status says what carries ndmz, and why

`egress` decides; here its NIC is taken out of its probe namespace, and given back. What stands in the
kernel is all that is remembered: `Ndmz` has its uplinks on br-pub while there is a NIC in it, and a
networkd that was killed in between, or has another config now, goes on from there.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import NoReturn

from agent.boot.failover import UplinkKeeper
from agent.boot.gateway import why_silent
from agent.boot.recover import BR_PUB, BRIDGE, bring_home, find_uplinks
from agent.boot.runner import alone
from agent.boot.standby import Standby
from agent.boot.uplink import Candidate
from agent.config import AgentConfig
from agent.dhcp.release import call_off
from agent.ndmz.egress import Egress, Seen, Way, own_port
from agent.ndmz.guard import UPLINK4, UPLINK6
from agent.ndmz.plan import HOST4, HOST6, HOST_ENDS, SPACE
from agent.ndmz.status import Carrier
from netns.glance import Glances
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.values import Address, Link, Route, View
from runtime.alone import BusyError
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)

INSIDE_OF = {HOST4: UPLINK4, HOST6: UPLINK6}
LOOK_EACH = 5.0  # seconds
LOOK_AGAIN = 1.0  # while its NIC is of no use, or after something failed for the first time


class BrPub:
    def __init__(
        self,
        spaces: Spaces,
        config: AgentConfig,
        uplink: UplinkKeeper,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change`: `status` is another one now."""
        self.status, self._on_change = Carrier(), on_change
        self._spaces, self._config, self._uplink = spaces, config, uplink
        self._glances = Glances(spaces)
        self._egress = Egress(
            config.ndmz.uplink, dead_after=config.uplink.dead, back_after=config.uplink.back
        )

    async def keep(self) -> NoReturn:
        home = await Netlink.open(self._spaces)
        try:
            while True:
                pause = await self._tend(home)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._uplink.looked.wait()
                self._uplink.looked.clear()
        finally:
            await home.close()

    def look_again(self) -> None:
        """What ndmz has may be something else now."""
        self._uplink.looked.set()

    async def _tend(self, home: Netlink) -> float:
        try:
            host = await self._glances.see(HOST)
            links, port = host.links, own_port(host.links)
            if not self.status.reason:  # a gateway may take its time to answer
                self.status = Carrier(port.name if port is not None else "", "not looked at yet")
                self._on_change()
            seen = await self._look(host, port)
            way = self._egress.decide(seen, asyncio.get_running_loop().time())
            more = await self._go(home, links, port, way)
        except BusyError:  # somebody else moves NICs
            return LOOK_AGAIN
        except CannotError as error:
            before = self.status
            self._say(Carrier(before.nic, with_hint(error.message, error.hint)))
            return LOOK_EACH if self.status == before else LOOK_AGAIN
        self._say(Carrier(way.nic or "", way.reason))
        return LOOK_AGAIN if more or seen.silent else LOOK_EACH

    def _say(self, status: Carrier) -> None:
        if status != self.status:
            log.info(
                "ndmz is carried", extra={"nic": status.nic or BRIDGE, "reason": status.reason}
            )
            self.status = status
            self._on_change()

    # -- what is seen

    async def _look(self, host: View, port: Link | None) -> Seen:
        links = host.links
        others = tuple(self._uplink.candidates.values())
        ready = any(other.usable for other in others)
        own, silent = None, ""
        if port is not None:
            there = [end for end in HOST_ENDS if end in links and links[end].master == port.master]
            own, silent = await self._look_at_own(port, there)
        return Seen(
            zos=self._look_at_zos(host),
            own=own,
            silent=silent,
            others=others,
            stranded=self._uplink.is_dead and not ready,
            home=self._uplink.home,
        )

    def _look_at_zos(self, host: View) -> Candidate | None:
        bridge, uplinks = find_uplinks(host.links.values(), self._config.eligible)
        if bridge is None or not uplinks:
            return None
        return as_candidate(uplinks[0], {bridge.index}, host.addresses, host.routes)

    async def _look_at_own(self, port: Link, there: Collection[str]) -> tuple[Candidate, str]:
        """By what ndmz has on br-pub, and why that is of no use. `there`: its ends on the host."""
        if not there or not self._spaces.exists(SPACE):
            return Candidate(name=port.name, carrier=port.carrier), "ndmz is not there yet"
        ndmz = await self._glances.see(SPACE)
        names = {INSIDE_OF[end] for end in there} & ndmz.links.keys()
        ends = {ndmz.links[name].index for name in names}
        own = as_candidate(port, ends, ndmz.addresses, ndmz.routes)
        if not port.carrier:
            return own, "no carrier"
        inside = await Netlink.open(self._spaces, SPACE)
        try:
            asked = (why_silent(inside, end, ndmz.routes) for end in ends)
            silences = await asyncio.gather(*asked)
        finally:
            await inside.close()
        return own, "" if "" in silences else "; ".join(sorted(set(silences)))

    # -- what is done

    async def _go(
        self, home: Netlink, links: Mapping[str, Link], port: Link | None, way: Way
    ) -> bool:
        """One step towards it; whether there is another. From NIC to NIC it goes by way of zos: ndmz's
        uplinks are made anew, and nothing of the old LAN is left. Raises CannotError.
        """
        if port is not None and port.name == way.nic:
            return False
        standby = next((s for s in self._uplink.standbys if s.name == way.nic), None)
        if port is None and standby is None and BR_PUB not in links:
            return False
        with alone("change ndmz's uplink"):
            if port is not None:
                log.warning("NIC leaves br-pub", extra={"nic": port.name, "reason": way.reason})
                await home.set_link(port.index, master=0, up=False)
            elif not await self._remove_empty(home, links):  # ndmz is still there
                return True
            elif standby is not None:
                await self._take(home, standby)
        return port is not None or standby is not None

    async def _take(self, home: Netlink, standby: Standby) -> None:
        """Its lease goes back: npub4 asks for one of its own, and a site may have one only."""
        log.warning("NIC goes into br-pub", extra={"nic": standby.name})
        bridge = await ensure_bridge(self._spaces, home, standby.mac)
        if standby.lease is not None:
            await call_off(self._spaces, standby.space, standby.name, standby.mac, standby.lease)
        for name in await bring_home(self._spaces, home, standby.space):
            await ensure_port(self._spaces, home, bridge, name)

    async def _remove_empty(self, home: Netlink, links: Mapping[str, Link]) -> bool:
        """Whether there is no br-pub of ours any more."""
        bridge = links.get(BR_PUB)
        if bridge is None or bridge.role != BR_PUB:
            return True
        if any(link.master == bridge.index for link in links.values()):
            return False
        await home.delete_link(bridge.index)
        return True


def as_candidate(
    nic: Link, links: set[int], addresses: Collection[Address], routes: Collection[Route]
) -> Candidate:
    """`nic` by the addresses and default routes that links above it have."""
    held = [a.interface for a in addresses if a.link in links and a.usable]
    ways = [r.via for r in routes if r.destination is None and r.link in links]
    return Candidate(
        name=nic.name,
        carrier=nic.carrier,
        address4=next((i for i in held if isinstance(i, IPv4Interface)), None),
        gateway4=next((via for via in ways if isinstance(via, IPv4Address)), None),
        addresses6=tuple(i for i in held if isinstance(i, IPv6Interface) and not i.is_link_local),
        gateway6=next((via for via in ways if isinstance(via, IPv6Address)), None),
    )


async def ensure_bridge(spaces: Spaces, home: Netlink, mac: str) -> Link:
    """Up, with this MAC. The host has no address on it. Raises CannotError, also for a foreign one."""
    bridge = await home.link(BR_PUB)
    if bridge is None or bridge.role != BR_PUB:
        bridge = await home.add_bridge(BR_PUB, role=BR_PUB, mac=mac)
    await _keep_quiet(spaces, BR_PUB)
    await home.set_link(bridge.index, up=True)
    return bridge


async def ensure_port(spaces: Spaces, home: Netlink, bridge: Link, name: str) -> None:
    port = await home.link(name)
    if port is None:
        raise CannotError(f"cannot make {name} the port of {BR_PUB}: it is gone")
    await _keep_quiet(spaces, name)
    await home.set_link(port.index, master=bridge.index, up=True)


async def _keep_quiet(spaces: Spaces, link: str) -> None:
    """The host answers nobody there, for addresses that it has elsewhere neither."""
    four = f"net/ipv4/conf/{link}"
    quiet = {
        f"net/ipv6/conf/{link}/disable_ipv6": "1",
        f"{four}/arp_ignore": "8",
        f"{four}/rp_filter": "1",
        f"{four}/forwarding": "0",
    }
    await set_sysctls(spaces, HOST, quiet, skip_missing=True)

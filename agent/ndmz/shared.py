"""IPv4 by way of the host: whether, by which cable, and the host's side of it.

    shared = Shared(spaces, config)
    facts = await shared.look(hands, view)        # what ndmz's uplinks are, and whether to share
    await shared.prepare(nft, hands.host, …)      # `pair` or `problem`; the host's rules stand
    …the cable…
    await shared.forward()

Whatever fails here costs IPv4 alone: it is a problem, not an error. With a NIC of its own ndmz does
not share, unless the config says so: the host's LAN is another one, and not for workloads.
"""

import asyncio
from ipaddress import IPv4Address, IPv4Network

from agent.boot.recover import BR_PUB
from agent.config import AgentConfig
from agent.dhcp.lease import Lease
from agent.dhcp.store import load_lease
from agent.ndmz import settings
from agent.ndmz.apply import Hands
from agent.ndmz.counts import FLOWS_MAX, flows_each
from agent.ndmz.guard import SHARED4
from agent.ndmz.host_guard import HostGuard
from agent.ndmz.host_side import HostSide
from agent.ndmz.pair import FAR, PLACES, Pair, choose_pair
from agent.ndmz.plan import HOST, ZOS, uplink_bridge
from agent.ndmz.policy import Facts, HostIPv4, read_facts, read_host
from agent.ndmz.sharing import Sharing
from netns.netlink import Netlink
from netns.nft import Nft
from netns.spaces import Spaces
from netns.sysctl import read_sysctl
from netns.values import IPNetwork, View
from runtime.failure import CannotError, with_hint

NOT_BY_ZOS = (
    "cannot share the host's IPv4: its default route does not go by zos; look with: ip route"
)


class Shared:
    def __init__(self, spaces: Spaces, config: AgentConfig) -> None:
        self.choice = Sharing(config.ndmz.ipv4)
        self.pair: Pair | None = None  # the cable that there should be
        self.problem = ""
        self.may_ask = True  # for a lease of its own
        self.bridge = ""  # of ndmz's uplinks; not looked yet
        self._by_name = config.ndmz.dns == "gateway"
        self._spaces = spaces
        self._side = HostSide(spaces)
        self._host = HostIPv4()
        self._lends = False
        self._lease: Lease | None = None  # the host's
        self._table: int | None = None  # how many flows it can track

    async def look(self, hands: Hands, ndmz: View) -> Facts:
        host_links = {link.name: link for link in await hands.host.links()}
        zos, links = host_links.get(ZOS), [*ndmz.links.values()]
        held = await hands.host.addresses(zos.index) if zos else []
        may_share = self.choice.setting != "own"
        self._host = read_host(zos, held, await hands.host.routes(4) if may_share else ())
        facts = read_facts(
            links,
            ndmz.addresses,
            ndmz.routes,
            host_addresses=held,
            host=self._host,
        )
        now = asyncio.get_running_loop().time()
        self.bridge = uplink_bridge(host_links)
        apart = self.bridge == BR_PUB
        there = any(link.name == SHARED4 and not link.half_made for link in links) and not apart
        host4 = self._host.usable and not apart
        self.choice.decide(own4=facts.own4, host4=host4, there=there, now=now)
        host = apart or bool(self._host.addresses)
        self.may_ask = self.choice.may_ask(holds=bool(facts.usable4), host=host, now=now)
        self._lends = bool(facts.lent)
        self._lease = self.read_lease()
        if self.choice.on:
            said = await read_sysctl(self._spaces, HOST, settings.FLOWS_TABLE)
            self._table = int(said) if said else None
        return facts

    def read_lease(self) -> Lease | None:
        """The host's, where ndmz has its address."""
        return load_lease(self._host.mac) if self._lends else None

    @property
    def servers(self) -> tuple[IPv4Address, ...]:
        """The name servers that the site offers the host."""
        return self._lease.dns if self._lease else ()

    def flows_each(self, workloads: int) -> int:
        return flows_each(self._table, workloads) if self.choice.on else FLOWS_MAX

    async def prepare(self, nft: Nft, home: Netlink, allowed: frozenset[IPNetwork]) -> None:
        """The host's rules, before there is a cable; or all of it away."""
        self.problem = NOT_BY_ZOS if self.choice.on and self._host.elsewhere else ""
        try:
            self.pair = await _choose(home) if self.choice.on else None
            if self.pair is None:
                await self._side.remove(nft, home)
            else:
                await self._side.load(nft, await self._guard(self.pair, allowed))
        except CannotError as error:
            self.pair, self.problem = None, with_hint(error.message, error.hint)

    async def forward(self) -> None:
        """The cable is there. Raises CannotError."""
        if self.pair is not None:
            await self._side.forward()

    async def _guard(self, pair: Pair, allowed: frozenset[IPNetwork]) -> HostGuard:
        return HostGuard(
            pair,
            mac=self._host.mac,
            gateways=self._host.gateways,
            allowed=frozenset(net for net in allowed if isinstance(net, IPv4Network)),
            dns_gateway=self._by_name,
            fenced=await read_sysctl(self._spaces, HOST, settings.FORWARD_ALL) != "1",
        )


async def _choose(home: Netlink) -> Pair:
    """Raises CannotError."""
    far = await home.link(FAR)
    index = far.index if far is not None else None
    addresses = await home.addresses()
    taken = [a.interface.network for a in addresses if a.link != index]
    taken += [r.destination for r in await home.routes(4) if r.destination and r.link != index]
    pair = choose_pair(taken, [a.interface for a in addresses if a.link == index])
    if pair is None:
        places = ", ".join(map(str, PLACES))
        raise CannotError(
            f"cannot share the host's IPv4: it has addresses or routes in all of {places}"
        )
    return pair

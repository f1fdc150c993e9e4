"""Builds ndmz and keeps it true: look, plan, do, and again after each event and each 5 seconds.

    ndmz = Ndmz(spaces, identity, config)
    await ndmz.build()                       # what can be built now; the rest is `keep`'s
    group.create_task(ndmz.keep())
    place = await ndmz.attach("n-0a1b2c")    # a workload's namespace, and it has the Internet

What is in the way or missing stands in `status().reasons` and is tried again; neither family waits
for the other, nor a boot for either. Packets are forwarded only while the guard is loaded. A
networkd that is restarted adopts what is there, and no packet is lost over it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_network

from agent.config import AgentConfig
from agent.dhcp.keeper import keep_lease
from agent.dhcp.lease import Lease
from agent.dhcp.store import load_lease
from agent.identity import Identity
from agent.ndmz import settings, workloads
from agent.ndmz.apply import Hands, apply
from agent.ndmz.firewall import Verdict
from agent.ndmz.guard import UPLINK4, UPLINK6, Guard, render
from agent.ndmz.host import mind_host_firewall
from agent.ndmz.opened import TABLES, Opened, list_guard
from agent.ndmz.plan import INSIDE4, SPACE, ZOS, Blocked, SetUp, Wanted, plan_links
from agent.ndmz.policy import Facts, choose_dns, read_facts
from agent.ndmz.rdnss import Offers, Servers
from agent.ndmz.solicit import solicit_router
from agent.ndmz.status import PATH, NdmzStatus, Workload
from agent.ndmz.watch import Events, flush_flows
from agent.ndmz.workload import Attachment
from netns.monitor import Monitor
from netns.nft import Nft, NftError
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from netns.values import IPAddress
from runtime import files
from runtime.failure import CannotError, Exit, with_hint

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 5.0
BURST_S = 0.005  # one change is several events


class ReplacedError(Exception):
    """The namespace ndmz is another one now; what we hold open belongs to the old one."""


class Ndmz:
    def __init__(
        self,
        spaces: Spaces,
        identity: Identity,
        config: AgentConfig,
        *,
        on_change: Callable[[NdmzStatus], None] | None = None,
    ) -> None:
        self._spaces, self._config, self._on_change = spaces, config, on_change
        self._workloads = workloads.Workloads(identity)
        self._wanted = Wanted(
            ula=next(identity.ula.subnets(new_prefix=64)),
            mac4=identity.mac(UPLINK4),
            mac6=identity.mac(UPLINK6),
            mac_inside=identity.mac("tonrs"),
            ipv6=config.ndmz.ipv6 != "off",
        )
        self._allowed = frozenset(ip_network(text) for text in config.ndmz.exceptions)
        self._open: Opened | None = None
        self._lock = asyncio.Lock()  # one hand on the kernel
        self._wake = asyncio.Event()
        self._site: frozenset[IPAddress] = frozenset()
        self._lease: Lease | None = None
        self._offers = Offers()  # of DNS servers, in RAs
        self._facts = Facts()
        self._loaded: tuple[str, str] | None = None  # what we loaded, and how nft lists it
        self._verdict = Verdict(switch_off=False, said="not looked at")
        self._problems: dict[str, str] = {}  # by what it is about
        self._status = NdmzStatus()

    # -- for networkd

    async def build(self) -> None:
        """Build what can be built now. Raises nothing that time or a person may mend."""
        await self._tend()

    async def keep(self) -> None:
        """For ever. Cancelling leaves everything as it is."""
        try:
            while True:
                try:
                    await self._tend()
                    await self._watch()
                except* ReplacedError:
                    log.warning("ndmz is gone, building it anew")
                await self._close()
        finally:
            await self._close()

    def status(self) -> NdmzStatus:
        return self._status

    def observe_site(self, addresses: Iterable[IPAddress]) -> None:
        """The addresses from which the controller sees this site: closed for workloads."""
        site = frozenset(addresses)
        if site != self._site:
            self._site = site
            self._wake.set()

    async def attach(self, name: str) -> Attachment:
        """Put namespace `name` behind ndmz, or see that it is. Its addresses are stable.

        Raises CannotError: no such namespace, a foreign link in the way, no ndmz.
        """
        if not self._spaces.exists(name):
            raise CannotError(
                f"cannot attach {name}: there is no such namespace", code=Exit.NOT_FOUND
            )
        async with self._lock:
            hands = (await self._opened()).hands
            known = self._workloads.get(name) is not None
            place = self._workloads.add(name)
            try:
                await self._guard()
                await workloads.plug(hands, place)
            except BaseException:
                if not known:
                    self._workloads.remove(name)
                raise
            self._write_resolver(name)
        self._publish()
        return place

    async def detach(self, name: str) -> None:
        """Take it away again; `name` keeps its addresses for the next time."""
        async with self._lock:
            await workloads.unplug((await self._opened()).hands, name)
            self._workloads.remove(name)
            workloads.remove_resolver(name)
            await self._guard()
        self._publish()

    # -- the loop

    async def _watch(self) -> None:
        """Tend after each event, until ndmz is another one. Not open yet: just wait a while."""
        there = self._open
        if there is None:
            await asyncio.sleep(LOOK_AGAIN_S)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold_lease())
            group.create_task(self._watch_rules(there.events))
            group.create_task(self._watch_adverts(there.events))
            for monitor in there.monitors:
                group.create_task(self._watch_links(monitor))
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_S):
                        await self._wake.wait()
                await asyncio.sleep(BURST_S)
                self._wake.clear()
                await self._tend()

    async def _watch_links(self, monitor: Monitor) -> None:
        while True:
            await monitor.next()
            self._wake.set()

    async def _watch_rules(self, events: Events) -> None:
        while True:
            await events.rules_changed()
            self._wake.set()

    async def _watch_adverts(self, events: Events) -> None:
        while True:
            for advert in await events.servers():
                self._take_advert(advert)

    def _take_advert(self, advert: Servers) -> None:
        if self._offers.take(advert, asyncio.get_running_loop().time()):
            self._wake.set()

    async def _hold_lease(self) -> None:
        """Best effort for ever: npub4 may come late, go, or be on a LAN without a server."""
        mac = self._wanted.mac4
        while True:
            try:
                await keep_lease(
                    self._spaces,
                    SPACE,
                    UPLINK4,
                    mac,
                    first=self._lease or load_lease(mac),
                    on_change=self._take_lease,
                    avoid=(INSIDE4,),
                )
            except CannotError as error:
                log.debug("no lease kept", extra={"reason": error.message})
            await asyncio.sleep(0.5)

    async def _take_lease(self, lease: Lease | None) -> None:
        self._lease = lease
        self._wake.set()

    # -- look, plan, do

    async def _tend(self) -> None:
        try:
            async with self._lock:
                self._problems = {}
                await self._reconcile()
        except CannotError as error:
            self._problems["ndmz"] = with_hint(error.message, error.hint)
        self._publish()

    async def _reconcile(self) -> None:
        was_open = self._open is not None
        if await self._spaces.ensure(SPACE, role=SPACE) and was_open:
            raise ReplacedError
        there = await self._opened()
        await self._look(there.hands)
        await self._guard()
        await set_sysctls(self._spaces, SPACE, settings.SPACE, skip_missing=True)
        await self._build_links(there.hands)
        await set_sysctls(self._spaces, SPACE, settings.OPEN, skip_missing=True)
        verdict = await mind_host_firewall(
            self._spaces, there.host_nft, self._config.host.bridge_nf
        )
        if verdict.warning and verdict != self._verdict:
            log.warning("foreign firewall", extra={"reason": verdict.warning})
        self._verdict = verdict
        await self._mend_workloads(there.hands)

    async def _build_links(self, hands: Hands) -> None:
        """Steps first, settings of what is there already after; both only where they differ."""
        ndmz = {link.name: link for link in await hands.ndmz.links()}
        host = {link.name: link for link in await hands.host.links()}
        addresses = await hands.ndmz.addresses()
        for step in plan_links(self._wanted, host=host, ndmz=ndmz, addresses=addresses):
            if isinstance(step, Blocked):
                self._problems[step.name] = step.reason
                continue
            log.debug("step", extra={"step": step})
            await apply(hands, step)
            if step == SetUp(SPACE, UPLINK6, self._wanted.mac6):
                with suppress(OSError):  # the kernel asks as well, later
                    await solicit_router(self._spaces, SPACE, UPLINK6, self._wanted.mac6)
        for name, values in settings.LINKS.items():
            if name in ndmz and name not in self._problems:
                await set_sysctls(self._spaces, SPACE, values, skip_missing=True)

    async def _look(self, hands: Hands) -> None:
        zos = await hands.host.link(ZOS)
        self._facts = read_facts(
            await hands.ndmz.links(),
            await hands.ndmz.addresses(),
            await hands.ndmz.routes(),
            host_addresses=await hands.host.addresses(zos.index) if zos else (),
        )

    async def _guard(self) -> None:
        """Load the guard when it should be another one, or is not as we loaded it.

        Without it nothing is forwarded: that comes first, and stays when loading fails.
        """
        nft = (await self._opened()).nft
        text = render(self._make_guard())
        found = await list_guard(nft)
        if self._loaded == (text, found):
            return
        if self._loaded is not None and self._loaded[1] != found:
            log.warning("somebody changed the guard, loading it again")
        if not found:
            await set_sysctls(self._spaces, SPACE, settings.CLOSED, skip_missing=True)
        try:
            await nft.run(text)
        except NftError as error:
            await self._load_anew(nft, text, error)
        if not found:
            await flush_flows(self._spaces, SPACE)
        self._loaded = (text, await list_guard(nft))

    async def _load_anew(self, nft: Nft, text: str, refused: NftError) -> None:
        """Another version's sets or chains are in the way: without forwarding, begin from nothing."""
        log.warning("cannot change the guard, making it anew", extra={"reason": refused.message})
        self._loaded = None
        await set_sysctls(self._spaces, SPACE, settings.CLOSED, skip_missing=True)
        await nft.run("".join(f"add table {table}\ndelete table {table}\n" for table in TABLES))
        await nft.run(text)

    def _make_guard(self) -> Guard:
        return Guard(
            inside4=INSIDE4,
            inside6=self._wanted.ula,
            gateways=self._facts.gateways,
            own=self._facts.own,
            site=self._site,
            allowed=self._allowed,
            dns_gateway=self._config.ndmz.dns == "gateway",
            ports=frozenset(place.guard_port for place in self._workloads),
        )

    async def _mend_workloads(self, hands: Hands) -> None:
        for place in self._workloads:
            if not self._spaces.exists(place.name):
                self._workloads.remove(place.name)  # gone, and its cable with it
                workloads.remove_resolver(place.name)
                continue
            try:
                await workloads.plug(hands, place)
            except CannotError as error:
                self._problems[place.name] = with_hint(error.message, error.hint)
            self._write_resolver(place.name)

    def _write_resolver(self, name: str) -> None:
        try:
            if not workloads.write_resolver(name, self._servers()):
                self._problems[f"dns {name}"] = f"resolv.conf of {name} is not ours, left as it is"
        except OSError as error:
            self._problems[f"dns {name}"] = f"cannot write {error.filename}: {error.strerror}"

    def _servers(self) -> tuple[IPAddress, ...]:
        now = asyncio.get_running_loop().time()
        offered: list[IPAddress] = [*self._lease.dns] if self._lease else []
        offered += self._offers.current(now)
        config = self._config.ndmz
        return choose_dns(config.servers, offered, self._facts, gateway=config.dns == "gateway")

    # -- what is open

    async def _opened(self) -> Opened:
        if self._open is None:
            await self._spaces.ensure(SPACE, role=SPACE)
            self._open = await Opened.open(self._spaces)
        return self._open

    async def _close(self) -> None:
        async with self._lock:  # not under the hands of an `attach`
            there, self._open, self._loaded = self._open, None, None
            if there is not None:
                await there.closing.aclose()

    # -- what is said

    def _publish(self) -> None:
        status = self._make_status()
        if status == self._status:
            return
        for reason in set(status.reasons) - set(self._status.reasons):
            log.warning("ndmz is not as it should be", extra={"reason": reason})
        self._status = status
        with suppress(OSError):  # it is only a report
            files.store(PATH, status, mode=0o644, durable=False)
        if self._on_change is not None:
            self._on_change(status)

    def _make_status(self) -> NdmzStatus:
        facts, works = self._facts, self._loaded is not None and "ndmz" not in self._problems
        ready4, ready6 = works and facts.ready4, works and facts.ready6
        required = self._config.ndmz.ipv6 == "required"
        ready = ready6 if required else ready4 or ready6
        lacks = self._lacks(ready4=ready4, ready6=ready6)
        return NdmzStatus(
            ready=ready,
            ready4=ready4,
            ready6=ready6,
            addresses=[str(address) for address in (*facts.usable4, *facts.usable6)],
            gateways=sorted(map(str, facts.gateways)),
            own=sorted(map(str, facts.own)),
            site=sorted(map(str, self._site)),
            exceptions=sorted(map(str, self._allowed)),
            dns=[str(server) for server in self._servers()],
            workloads=[Workload(w.name, str(w.ip4.ip), str(w.ip6.ip)) for w in self._workloads],
            bridge_nf=self._verdict.said,
            lacks=lacks if ready else [],
            reasons=self._reasons([] if ready else lacks),
        )

    def _reasons(self, lacks: list[str]) -> list[str]:
        warning = [self._verdict.warning] if self._verdict.warning else []
        return [*self._problems.values(), *lacks, *warning]

    def _lacks(self, *, ready4: bool, ready6: bool) -> list[str]:
        """The families that are not there, and why."""
        if "ndmz" in self._problems:  # all else follows from it
            return []
        lacks = []
        if not ready4:
            lacks.append("no IPv4: no lease" if not self._facts.usable4 else "no IPv4 gateway")
        if not ready6 and self._config.ndmz.ipv6 != "off":
            why = "no router advertisement with a prefix"
            lacks.append(f"no IPv6: {why}" if not self._facts.usable6 else "no IPv6 gateway")
        return lacks

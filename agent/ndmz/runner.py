"""Builds ndmz and keeps it true: look, plan, do, and again when a glimpse, after each event and each 5
seconds, shows that the kernel has something else.

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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Network, ip_network

from msgspec.structs import replace

from agent.boot.recover import BR_PUB
from agent.config import AgentConfig
from agent.identity import Identity
from agent.ndmz import settings, workloads
from agent.ndmz.apply import Hands, apply
from agent.ndmz.cable import is_plugged
from agent.ndmz.delegated import Delegated
from agent.ndmz.dns import Dns
from agent.ndmz.firewall import Verdict
from agent.ndmz.glimpse import Glimpse, catch_glimpse
from agent.ndmz.guard import UPLINK6, Guard
from agent.ndmz.host import mind_host_firewall
from agent.ndmz.loader import Loader
from agent.ndmz.npub4 import Npub4
from agent.ndmz.opened import Opened
from agent.ndmz.parts import hand_on
from agent.ndmz.plan import (
    INSIDE4,
    SPACE,
    USUAL_MTU,
    Blocked,
    SetUp,
    plan_links,
    uplink_mtu,
)
from agent.ndmz.plugging import mend, unplug
from agent.ndmz.policy import Facts, render_resolv_conf
from agent.ndmz.renew import renew_links
from agent.ndmz.report import Findings, make_status
from agent.ndmz.shared import Shared
from agent.ndmz.solicit import solicit_router
from agent.ndmz.static import StaticEnds
from agent.ndmz.status import PATH, NdmzStatus
from agent.ndmz.traps import undo_traps
from agent.ndmz.wanted import wanted_of
from agent.ndmz.watch import always
from agent.ndmz.workload import Attachment, port_name
from netns.glance import Glances
from netns.spaces import ForeignError, Spaces
from netns.sysctl import set_sysctls
from netns.values import IPAddress, View
from runtime import files
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 5.0  # whether the kernel has anything else, settings too: it tells nobody of those
LOOK_WELL_S = 60.0  # at all of it, though it has not
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
        self._wanted = wanted_of(identity, config)
        self._shared = Shared(spaces, config)
        self._allowed = frozenset(ip_network(text) for text in config.ndmz.exceptions)
        self._open: Opened | None = None
        self._lock = asyncio.Lock()  # one hand on the kernel
        self._wake = asyncio.Event()
        self._seen: Glimpse | None = None  # with it, all was as it should be; None: look well
        self._settings_at = self._look_well_at = 0.0  # when they are looked at next
        self._site: frozenset[IPAddress] = frozenset()
        self._ends = StaticEnds(spaces, config.static)
        self._npub4 = Npub4(spaces, self._wanted.mac4, self._stir, self._ends)
        delegation = config.ndmz.delegation if self._wanted.ipv6 else "never"
        self.delegated = Delegated(spaces, identity, delegation, self._stir)
        self._dns = Dns(config.ndmz, self._stir)
        self._facts = Facts()
        self._glances = Glances(spaces)
        self._loader, self._mtu = Loader(spaces), USUAL_MTU
        self._watched: set[str] = set()
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
            self._stir()

    async def renew(self) -> None:
        """Another LAN is behind zos: its lease and its routers, and nothing of the old one's."""
        async with self._lock:
            await renew_links(self._spaces)
            self._dns.forget()
        self._npub4.renew()
        self.delegated.renew()
        self._stir()

    def hand(self, subnets: Mapping[str, IPv6Network]) -> None:
        """To each workload that is named its part of the delegated prefix, to all others none."""
        if self._workloads.hand(subnets):
            self._stir()

    async def attach(self, name: str) -> Attachment:
        """Put namespace `name` behind ndmz, or see that it is. Its addresses are stable.

        Raises CannotError: no such namespace, a foreign link in the way, no ndmz.
        """
        place = (await self.attach_all([name]))[name]
        if isinstance(place, CannotError):
            raise place
        return place

    async def attach_all(
        self, names: Collection[str], *, watched: bool = False
    ) -> dict[str, Attachment | CannotError]:
        """The same for many, with one load of the guard. `watched`: the caller hears of what changes
        in there, and attaches again then. Raises CannotError: no ndmz.
        """
        async with self._lock:
            there = await self._opened()
            known = {place.name for place in self._workloads}
            places: dict[str, Attachment | CannotError] = {
                n: workloads.no_space(n) for n in names if not self._spaces.exists(n)
            }
            places |= self._workloads.add([n for n in names if n not in places])
            try:
                await self._guard()
                found = [p for p in places.values() if isinstance(p, Attachment)]
                places |= await self._plug(there.hands, found, trusted=())
            except BaseException:
                self._workloads.remove(set(names) - known)
                raise
            failed = {n for n, p in places.items() if isinstance(p, CannotError)}
            self._workloads.remove(failed - known)
            self._watched = self._watched - set(names) | (set(names) - failed if watched else set())
        self._publish()
        return places

    async def detach(self, *names: str, forget: bool = False) -> None:
        """Take them away again; they keep their addresses for the next time unless `forget`."""
        async with self._lock:
            await unplug((await self._opened()).hands.ndmz, *map(port_name, names))
            self._workloads.remove(names, forget=forget)
            self._watched.difference_update(names)
            await self._guard()
        self._publish()

    # -- the loop

    def _stir(self) -> None:
        """Something else than the kernel has changed."""
        self._seen = None
        self._wake.set()

    async def _watch(self) -> None:
        """Tend after each event, until ndmz is another one. Not open yet: just wait a while."""
        there = self._open
        if there is None:
            await asyncio.sleep(LOOK_AGAIN_S)
            return
        async with asyncio.TaskGroup() as group:
            if self._wanted.own4:
                group.create_task(self._npub4.hold())
            if self._config.static:
                group.create_task(self._ends.hold6(self._stir))
            if self._wanted.ipv6:
                group.create_task(self.delegated.hold())
            group.create_task(always(there.events.rules_changed, self._wake.set))
            group.create_task(always(there.events.host_rules_changed, self._wake.set))
            group.create_task(self._dns.watch(there.events))
            for monitor in there.monitors:
                group.create_task(always(monitor.next, self._wake.set))
            loop = asyncio.get_running_loop()
            rested = 0.0  # of the last look: half of a slow machine is for others
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._next_look(self._settings_at)):
                        await self._wake.wait()
                await asyncio.sleep(max(BURST_S, rested - loop.time()))
                self._wake.clear()
                began = loop.time()
                await self._tend()
                rested = 2 * loop.time() - began

    def _next_look(self, latest: float) -> float:
        return min(latest, self._shared.choice.deadline or latest)

    # -- look, plan, do

    async def _tend(self) -> None:
        try:
            async with self._lock:
                self._problems = {}
                await self._reconcile()
        except CannotError as error:
            self._problems["ndmz"] = with_hint(error.message, error.hint)
        if self._problems:  # somebody may have mended them
            self._seen = None
        self._publish()

    async def _reconcile(self) -> None:
        was_open, now = self._open is not None, asyncio.get_running_loop().time()
        before = self._seen if now < self._settings_at else None
        if before is None:
            self._settings_at = now + LOOK_AGAIN_S
        if await self._spaces.ensure(SPACE, role=SPACE) and was_open:
            raise ReplacedError
        there, lease = await self._opened(), self._shared.read_lease()
        seen = await catch_glimpse(self._glances, lease, self.delegated.prefix, before=before)
        if seen != self._seen or now >= self._next_look(self._look_well_at):
            # what changes from here on, by our own hand too, is seen the next time
            self._seen, self._look_well_at = seen, now + LOOK_WELL_S
            await self._build_all(there, seen.ndmz)
        await self._mend_workloads(there.hands)

    async def _build_all(self, there: Opened, view: View) -> None:
        bridge = self._shared.bridge
        self._facts = await self._shared.look(there.hands, view)
        self.delegated.look(view.links.get(UPLINK6), self._facts.own, self._shared.bridge)
        self._npub4.ask(self._shared.may_ask)
        await self._guard()
        await set_sysctls(self._spaces, SPACE, settings.SPACE, skip_missing=True)
        await self._shared.prepare(there.host_nft, there.hands.host, self._allowed)
        if self._shared.problem:
            self._problems["ipv4"] = self._shared.problem
        await self._build_links(there.hands)
        self._npub4.become(self._wanted.mac4_on(self._shared.bridge))
        if bridge != self._shared.bridge:
            self._dns.forget()
        await set_sysctls(self._spaces, SPACE, settings.OPEN, skip_missing=True)
        await self._shared.forward()
        verdict = await mind_host_firewall(
            self._spaces,
            there.host_nft,
            self._config.host.bridge_nf,
            bridge=self._shared.bridge,
            shared=self._shared.choice.on,
        )
        if verdict.warning and verdict != self._verdict:
            log.warning("foreign firewall", extra={"reason": verdict.warning})
        self._verdict = verdict

    async def _build_links(self, hands: Hands) -> None:
        """Steps first, settings of what is there already after; both only where they differ."""
        view = await self._glances.see(SPACE)
        host = {link.name: link for link in await hands.host.links()}
        host_addresses = await hands.host.addresses()
        self._mtu = uplink_mtu(host)
        steps = plan_links(
            replace(self._wanted, pair=self._shared.pair),
            host=host,
            ndmz=view.links,
            addresses=view.addresses,
            host_addresses=host_addresses,
            routes=view.routes,
        )
        for step in steps:
            if isinstance(step, Blocked):
                self._problems[step.name] = step.reason
                continue
            log.debug("step", extra={"step": step})
            await apply(hands, step)
            if step == SetUp(SPACE, UPLINK6, self._wanted.mac6):
                with suppress(OSError):  # the kernel asks as well, later
                    await solicit_router(self._spaces, SPACE, UPLINK6, self._wanted.mac6)
        await hand_on(hands.ndmz, view, self.delegated.prefix, self._workloads)
        await undo_traps(hands, view, host, host_addresses, self._wanted.ula)
        for name, values in settings.LINKS.items():
            if name in view.links and name not in self._problems:
                await set_sysctls(self._spaces, SPACE, values, skip_missing=True)

    async def _guard(self) -> None:
        await self._loader.load((await self._opened()).nft, self._make_guard())

    def _make_guard(self) -> Guard:
        return Guard(
            inside4=INSIDE4,
            inside6=self._wanted.ula,
            gateways=self._facts.gateways | self._facts.relays,
            own=self._facts.own,
            site=self._site,
            allowed=self._allowed,
            dns_gateway=self._config.ndmz.dns == "gateway",
            ports=frozenset(place.guard_port for place in self._workloads),
            flows_max=self._shared.flows_each(len(tuple(self._workloads))),
            listens=self._shared.bridge == BR_PUB,
            asks=self.delegated.wanted,
            delegated=self.delegated.prefix,
        )

    async def _mend_workloads(self, hands: Hands) -> None:
        gone = [place.name for place in self._workloads if not self._spaces.exists(place.name)]
        for name, error in (
            await self._plug(hands, [*self._workloads], trusted=self._watched)
        ).items():
            if isinstance(error, ForeignError):  # somebody has put it in the place of ours
                gone.append(name)
            elif name not in gone:
                self._problems[name] = with_hint(error.message, error.hint)
        if gone:
            self._workloads.remove(gone)  # and its cable with it
            self._stir()

    async def _plug(
        self, hands: Hands, places: Sequence[Attachment], *, trusted: Collection[str]
    ) -> dict[str, CannotError]:
        """Mend the cables that are not whole; those that cannot be, and why. Into namespaces that are
        `trusted` it is not looked while the port is as it should be.
        """
        if not places:
            return {}
        near = await self._glances.see(SPACE)
        cables = [workloads.cable_of(place, self._mtu) for place in places]
        doubted = [c for c in cables if c.workload not in trusted or not is_plugged(c, near.links)]
        far = await self._glances.look([cable.workload for cable in doubted], kind="veth")
        failed = await mend(self._spaces, hands.ndmz, doubted, near=near, far=far)
        resolver = render_resolv_conf(self._servers())
        for place in places:
            lacks = "" if place.name in failed else workloads.keep_resolver(place.name, resolver)
            if lacks:
                self._problems[f"dns {place.name}"] = lacks
        return failed

    def _servers(self) -> tuple[IPAddress, ...]:
        return self._dns.servers(self._npub4.servers or self._shared.servers, self._facts)

    # -- what is open

    async def _opened(self) -> Opened:
        if self._open is None:
            await self._spaces.ensure(SPACE, role=SPACE)
            self._open = await Opened.open(self._spaces)
        return self._open

    async def _close(self) -> None:
        async with self._lock:  # not under the hands of an `attach`
            there, self._open = self._open, None
            self._loader.forget()
            self._seen = None
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
        return make_status(
            Findings(
                facts=self._facts,
                mtu=self._mtu,
                guarded=self._loader.loaded,
                ipv6=self._config.ndmz.ipv6,
                sharing=self._shared.choice,
                pair=self._shared.pair,
                verdict=self._verdict,
                problems=self._problems,
                site=self._site,
                allowed=self._allowed,
                servers=self._servers(),
                workloads=self._workloads,
                delegated=self.delegated.prefix,
                delegation=self.delegated.said,
            )
        )

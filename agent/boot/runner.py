"""`internet`: one boot from whatever is there to `zos` with an uplink; drives the boot machine.

    status = await boot(config, supervisor="zinit", agent=Path("/…/zosnet-agent"))

Returns when `zos` stands and the lease keeper is registered; a missing network is waited for, for
ever. Raises CannotError when something is in the way that no waiting cures. Stopped or failed
before `zos` stands, it puts every NIC back; killed, the next run does.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

from agent.boot import commit, recover, supervise
from agent.boot.facts import nics_status, uplink_status
from agent.boot.journal import Journal, Tell
from agent.boot.layers import ensure_layers
from agent.boot.machine import Commit, Machine, Preferences, Quit, Rest, Resting, Solicit
from agent.boot.probe import Probe
from agent.boot.status import BootStatus, Step, Uplink, boot_instant
from agent.boot.status import load as load_status
from agent.boot.uplink import Choice, Ranked
from agent.config import AgentConfig, Supervisor
from agent.dhcp.lease import Lease
from agent.dhcp.store import load_lease, store_lease
from agent.static.config import Fixed
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import Link
from runtime import alone as runtime_alone
from runtime.clock import boottime
from runtime.failure import CannotError
from runtime.paths import RUN

log = logging.getLogger(__name__)

LOCK = RUN / "internet.lock"


async def boot(
    config: AgentConfig,
    *,
    supervisor: Supervisor,
    agent: Path,
    tell: Tell = lambda _now, _said: None,
) -> BootStatus:
    """Bring `zos` up; see above. `tell`: a line for people, once a phase."""
    with alone("start internet"):
        spaces = Spaces()
        try:
            home = await Netlink.open(spaces)
            try:
                run = _Boot(config, spaces, home, supervisor=supervisor, agent=agent, tell=tell)
                return await run.run()
            finally:
                await home.close()
        finally:
            spaces.close()


class _Boot:
    """One run. It also is the probes' Report."""

    def __init__(
        self,
        config: AgentConfig,
        spaces: Spaces,
        home: Netlink,
        *,
        supervisor: Supervisor,
        agent: Path,
        tell: Tell,
    ) -> None:
        self._config, self._spaces, self._home = config, spaces, home
        self._supervisor, self._agent = supervisor, agent
        self._before = load_status()
        self._journal = Journal(boot_instant(boottime()), self._before, tell=tell)
        preferences = Preferences(
            pin=config.eligible.pin,
            grace=config.probe.grace,
            carrier_window=config.probe.carrier,
            dhcp_window=config.probe.dhcp,
            static={name: nic.uplink.addresses for name, nic in config.static.items()},
        )
        self._machine = Machine((), preferences, jitter=random.SystemRandom().random)
        self._probes: dict[str, Probe] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._barred: set[str] = set()  # until the next round
        self._admitting = asyncio.Lock()
        self._stir = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self) -> BootStatus:
        try:
            await self._run()
        except CannotError as error:
            self._journal.note(error=error.message, hint=error.hint or "")
            raise
        return self._journal.status

    async def _run(self) -> None:
        self._journal.begin(Step.RECOVER)
        await self._raise_loopback()
        found = await recover.observe(self._spaces, self._home, self._config.eligible)
        match recover.plan(found, self._before):
            case recover.Adopt(port):
                await self._go_on(port)
            case recover.StartOver():
                self._journal.note(nics=(), uplink=None, stands=False)
                await recover.start_over(self._spaces, self._home, found)
                await self._probe_and_commit()

    async def _go_on(self, port: Link) -> None:
        """`zos` has its port: an earlier run came that far."""
        known = self._journal.status.uplink
        if known is None or known.nic != port.name:
            reason = "it is the port of zos already"
            self._journal.note(nics=(), uplink=Uplink(nic=port.name, mac=port.mac, reason=reason))
        await self._commit(port.name, port.mac, load_lease(port.mac), probed=False)

    async def _probe_and_commit(self) -> None:
        try:
            choice = await self._probe()
            best = choice.uplink
            if best is None:
                raise AssertionError("the machine commits to a usable NIC only")
            await self._take_home(best)
        except BaseException:
            await self._back_out()
            raise

    async def _probe(self) -> Choice:
        monitor = await Monitor.open(self._spaces, groups=Group.LINK)
        try:
            _ = self._start(self._watch_home(monitor))
            await self._admit_nics()
            self._journal.begin(Step.PROBE)
            self._machine.start(_now())
            return await self._decide()
        finally:
            await self._end_tasks()
            monitor.close()

    async def _decide(self) -> Choice:
        """Do what the machine wants, tell it what comes, until it commits."""
        seen_round = 0
        while True:
            if self._machine.round != seen_round:
                seen_round = self._machine.round
                self._barred.clear()
                await self._admit_nics()
            for action in self._machine.actions():
                match action:
                    case Commit(choice):
                        self._say(choice)
                        return choice
                    case Solicit(nic) if nic in self._probes:
                        self._probes[nic].solicit()
                    case Quit(nic) if nic in self._probes:
                        self._probes[nic].quit()
                    case Rest() | Solicit() | Quit():  # told by the journal; or it has vanished
                        pass
            self._say(self._machine.choice())
            await self._pause()
            self._machine.wake(_now())

    async def _pause(self) -> None:
        """Until something happens or the machine's deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._machine.deadline):
                await self._stir.wait()
        self._stir.clear()
        if self._failure is not None:
            raise self._failure

    def _say(self, choice: Choice) -> None:
        macs = {name: probe.mac for name, probe in self._probes.items()}
        nics = nics_status(choice, self._machine.candidates, macs)
        state = self._machine.state
        until = None
        if isinstance(state, Resting):
            until = round(self._journal.elapsed(boottime() + state.until - _now()), 1)
        self._journal.note(nics=nics, round=self._machine.round, resting_until=until)

    # -- NICs come and go

    async def _admit_nics(self) -> None:
        """Every candidate at home goes into its probe namespace, down, and then all rise at once."""
        async with self._admitting:
            await ensure_layers(self._spaces, self._home, self._config)
            links = await recover.candidates(self._home, self._config.eligible)
            known = self._probes.keys() | self._barred
            fresh = [link for link in links if link.name not in known]
            if fresh:
                await self._admit(fresh)

    async def _admit(self, fresh: list[Link]) -> None:
        self._begin_once(Step.SPACES)
        probes = [self._new_probe(link) for link in fresh]
        for probe in probes:
            await probe.prepare()
        self._begin_once(Step.MOVE)
        entered = [probe for probe in probes if await self._enter(probe)]
        self._begin_once(Step.RAISE)
        await asyncio.gather(*(self._rise(probe) for probe in entered))

    def _begin_once(self, step: Step) -> None:
        """A NIC that is plugged in later does not set the journal back."""
        if str(step) not in self._journal.status.seconds:
            self._journal.begin(step)

    def _new_probe(self, link: Link) -> Probe:
        probe = Probe(
            self._spaces,
            link,
            self,
            start=self._start,
            dhcp_window=self._config.probe.dhcp,
            fixed=self._fixed(link.name),
        )
        self._machine.vanished(probe.name, _now())  # what it was before it went away
        self._machine.appeared(probe.name, _now())
        return probe

    async def _enter(self, probe: Probe) -> bool:
        try:
            await probe.enter(self._home)
        except CannotError as error:
            self.failed(probe.name, error.message)
            self._barred.add(probe.name)
            await probe.come_home(self._home)
            return False
        self._probes[probe.name] = probe
        return True

    async def _rise(self, probe: Probe) -> None:
        try:
            await probe.listen()
            await probe.rise()
        except CannotError as error:
            self.failed(probe.name, error.message)

    async def _watch_home(self, monitor: Monitor) -> None:
        while True:
            await monitor.next()
            await self._admit_nics()

    # -- what the probes report

    def carrier(self, nic: str, up: bool) -> None:
        self._machine.carrier(nic, up, _now())
        self._stir.set()

    def leased(self, nic: str, address: IPv4Interface, gateway: IPv4Address | None) -> None:
        log.info("address found", extra={"nic": nic, "address": address})
        self._machine.leased(nic, address, gateway, _now())
        self._stir.set()

    def refused(self, nic: str, reason: str) -> None:
        self._machine.refused(nic, reason, _now())
        self._stir.set()

    def routed(
        self, nic: str, addresses: tuple[IPv6Interface, ...], gateway: IPv6Address | None
    ) -> None:
        self._machine.routed(nic, addresses, gateway, _now())
        self._stir.set()

    def vanished(self, nic: str) -> None:
        log.warning("NIC is gone", extra={"nic": nic})
        self._machine.vanished(nic, _now())
        probe = self._probes.pop(nic, None)
        if probe is not None:
            _ = self._start(self._bury(probe))
        self._stir.set()

    def failed(self, nic: str, reason: str) -> None:
        log.warning("NIC cannot be probed", extra={"nic": nic, "why": reason})
        self._machine.barred(nic, reason, _now())
        self._stir.set()

    async def _bury(self, probe: Probe) -> None:
        await probe.come_home(self._home)

    # -- from the choice to the end

    async def _take_home(self, best: Ranked) -> None:
        probe = self._probes[best.name]
        self._journal.note(uplink=uplink_status(best, probe.mac))
        self._journal.begin(Step.STORE)
        lease = probe.lease
        if lease is not None:
            await self._store(probe.mac, lease)
        self._journal.begin(Step.HOME)
        for other in self._probes.values():
            await other.release()
        names = await probe.come_home(self._home)
        if not names:
            raise CannotError(f"cannot take {best.name}: it is gone")
        await self._commit(names[0], probe.mac, lease, probed=True)

    async def _store(self, mac: str, lease: Lease) -> None:
        """A full disk costs the keeper a DISCOVER, not the node its uplink."""
        try:
            await asyncio.to_thread(store_lease, mac, lease)
        except OSError as error:
            log.warning("lease not written", extra={"mac": mac, "reason": error})

    async def _commit(self, name: str, mac: str, lease: Lease | None, *, probed: bool) -> None:
        """Every step of it may be done already."""
        self._journal.begin(Step.BRIDGE)
        bridge = await commit.ensure_bridge(self._spaces, self._home, mac)
        self._journal.begin(Step.PORT)
        await commit.ensure_port(self._spaces, self._home, bridge, name)
        self._journal.begin(Step.ADDRESS)
        await commit.ensure_address(
            self._home, bridge, lease, boottime(), probed=probed, fixed=self._fixed(name)
        )
        self._journal.begin(Step.STANDBY)
        await commit.ensure_standby(self._spaces, self._home, self._config.eligible)
        self._journal.begin(Step.UNIT)
        await supervise.ensure_keeper(self._spaces, self._supervisor, self._agent)
        self._journal.begin(Step.DONE)
        self._journal.note(stands=True)
        if self._config.check:
            argv = [str(self._agent), "internet", "--check"]
            await supervise.ensure_child(self._spaces, "check", argv)

    def _fixed(self, name: str) -> Fixed | None:
        nic = self._config.static.get(name)
        return None if nic is None else nic.uplink

    async def _back_out(self) -> None:
        """Stopped or failed: NICs go home, unless `zos` stands already."""
        for probe in self._probes.values():
            await probe.release()
        found = await recover.observe(self._spaces, self._home, self._config.eligible)
        if isinstance(recover.plan(found, None), recover.StartOver):
            await recover.start_over(self._spaces, self._home, found)

    # -- tasks

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """A task that dies of something unforeseen ends the boot; the supervisor repeats it."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._stir.set()

    async def _end_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _raise_loopback(self) -> None:
        """Nobody may have done it this early."""
        loopback = next((link for link in await self._home.links() if link.loopback), None)
        if loopback is not None and not loopback.up:
            await self._home.set_link(loopback.index, up=True)


def _now() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Two boots at once would take each other's NICs. Raises BusyError: cannot `what`."""
    hint = "zosnet-agent status shows how far it is"
    with runtime_alone.alone(LOCK, what, who="internet", hint=hint):
        yield

"""The uplink for as long as the node runs: looks after it, and moves the node to another NIC.

    uplink = UplinkKeeper(spaces, config, on_move=…)
    await uplink.keep()           # for ever; waits for `internet` to be done
    uplink.standbys, .candidates, .is_dead, .home     # `looked` is set after each look

`life` decides, `standby` knows the other NICs, `gateway` whether the present one works, `swap`
does it. What the NICs look like now is written where `internet` wrote it (RUN/internet.json), so
`plan` and `why uplink` tell of today.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from agent.boot import commit, recover, status, supervise
from agent.boot.facts import nics_status, uplink_status
from agent.boot.gateway import why_silent
from agent.boot.layers import ensure_layers
from agent.boot.life import Life, Move
from agent.boot.recover import BRIDGE, PREFIX, PROBE_ROLE
from agent.boot.runner import alone
from agent.boot.standby import Standby
from agent.boot.status import BootStatus
from agent.boot.swap import swap_port
from agent.boot.uplink import Candidate, Choice, choose
from agent.config import AgentConfig
from agent.dhcp.lease import Lease
from agent.dhcp.store import load_lease, store_lease
from netns.glance import Glances
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.values import Link, View
from runtime.failure import CannotError

log = logging.getLogger(__name__)

ASK_EACH = 5.0  # seconds between two questions to a gateway that answers
WAIT_EACH = 1.0  # for `internet`, and between looks at a dead uplink
LOOK_EACH = 5.0  # for NICs that were plugged in


class UplinkKeeper:
    def __init__(
        self, spaces: Spaces, config: AgentConfig, *, on_move: Callable[[], Awaitable[None]]
    ) -> None:
        self._spaces, self._config, self._on_move = spaces, config, on_move
        self.candidates: dict[str, Candidate] = {}  # by NIC: the others, as they were last seen
        self.looked = asyncio.Event()
        self._standbys: dict[str, Standby] = {}  # by namespace
        self._life: Life | None = None
        self._stir = asyncio.Event()
        self._glances = Glances(spaces)

    @property
    def standbys(self) -> tuple[Standby, ...]:
        return tuple(self._standbys.values())

    @property
    def home(self) -> str:
        """The NIC that the node goes back to; empty: it carries the node."""
        life = self._life
        return life.home if life is not None and life.home != life.uplink else ""

    @property
    def is_dead(self) -> bool:
        """For so long that the node would move to another NIC."""
        return self._life is not None and self._life.is_over(_now())

    async def keep(self) -> None:
        """For ever. Cancelling leaves everything as it is."""
        home = await Netlink.open(self._spaces)
        try:
            boot = await self._await_boot()
            known = boot.uplink.nic if boot.uplink is not None else ""
            life = Life(
                known, dead_after=self._config.uplink.dead, back_after=self._config.uplink.back
            )
            life.home = boot.home or known
            self._life = life
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_uplink(home, life))
                group.create_task(self._keep_standbys(group, home, life))
                await self._decide(home, life)
        finally:
            await home.close()

    async def _await_boot(self) -> BootStatus:
        while True:
            boot = status.load()
            if boot is not None and boot.stands and boot.uplink is not None:
                return boot
            await asyncio.sleep(WAIT_EACH)

    # -- what is seen

    async def _watch_uplink(self, home: Netlink, life: Life) -> None:
        monitor = await Monitor.open(self._spaces, groups=Group.LINK)
        try:
            while True:
                asked = life.uplink
                host = await self._glances.see(HOST)
                port = self._port(host)
                why = await self._why_dead(home, host, port)
                if asked == life.uplink:  # else it is the word of the one before
                    life.alive(not why, _now(), why)
                    self._stir.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WAIT_EACH if why else ASK_EACH):
                        await self._until_port_changes(port, monitor)
        finally:
            monitor.close()

    async def _why_dead(self, home: Netlink, host: View, port: Link | None) -> str:
        if BRIDGE not in host.links:
            return "there is no zos"
        if port is None:
            return "zos has no NIC"
        if not port.carrier:
            return "no carrier"
        return await why_silent(home, host.links[BRIDGE].index, host.routes)

    def _port(self, host: View) -> Link | None:
        _, uplinks = recover.find_uplinks(host.links.values(), self._config.eligible)
        return uplinks[0] if uplinks else None

    async def _until_port_changes(self, before: Link | None, monitor: Monitor) -> None:
        while True:
            await monitor.next()
            now = self._port(await self._glances.see(HOST))
            if (now and (now.name, now.carrier)) != (before and (before.name, before.carrier)):
                return

    async def _keep_standbys(self, group: asyncio.TaskGroup, home: Netlink, life: Life) -> None:
        """One for each probe namespace with a NIC in it. A NIC that was plugged in, or that a killed
        move left at home, goes into one.
        """
        while True:
            with contextlib.suppress(CannotError), alone("look at the NICs"):
                await ensure_layers(self._spaces, home, self._config)  # of a NIC that came back
                await commit.ensure_standby(self._spaces, home, self._config.eligible)
            for space, role in self._spaces.ours(PREFIX).items():
                if role == PROBE_ROLE and space not in self._standbys:
                    standby = Standby(
                        self._spaces,
                        space,
                        lambda seen, candidate: self._found(life, seen, candidate),
                        dhcp_window=self._config.probe.dhcp,
                        static=self._config.static,
                    )
                    self._standbys[space] = standby
                    group.create_task(self._keep_standby(standby, life))
            await asyncio.sleep(LOOK_EACH)

    async def _keep_standby(self, standby: Standby, life: Life) -> None:
        try:
            await standby.keep()
        except CannotError as error:
            log.debug("standby ends", extra={"nic": standby.name, "reason": error.message})
        finally:
            self._standbys.pop(standby.space, None)
            self.candidates.pop(standby.name, None)
            life.unready(standby.name)

    def _found(self, life: Life, standby: Standby, candidate: Candidate) -> None:
        self.candidates[standby.name] = candidate
        if candidate.usable:
            life.ready(standby.name, _now())
        else:
            life.unready(standby.name)
        self._stir.set()
        self.looked.set()

    # -- what is done

    async def _decide(self, home: Netlink, life: Life) -> None:
        while True:
            choice = choose(self.candidates.values(), pin=self._config.eligible.pin)
            ranked = tuple(r.name for r in choice.ranking if r.address_class is not None)
            self._tell(life)
            move = life.decide(_now(), ranked)
            if move is not None:
                await self._move(home, life, move)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(life.deadline):
                    await self._stir.wait()
            self._stir.clear()

    async def _move(self, home: Netlink, life: Life, move: Move) -> None:
        standby = next((s for s in self._standbys.values() if s.name == move.nic), None)
        if standby is None:
            life.failed(move.nic, _now())
            return
        log.warning("uplink moves", extra={"nic": move.nic, "reason": move.reason})
        space, mac, lease = standby.space, standby.mac, standby.lease
        candidate = self.candidates[move.nic]
        try:
            with alone("change the uplink"):
                await self._store(mac, lease)
                self._note_move(life, move, candidate, mac)
                await swap_port(
                    self._spaces,
                    home,
                    self._config.eligible,
                    space=space,
                    mac=mac,
                    lease=lease,
                    static=self._config.static,
                )
        except CannotError as error:
            log.error("uplink not moved", extra={"nic": move.nic, "reason": error.message})  # noqa: TRY400  # the reason says all
            life.failed(move.nic, _now())
            return
        life.moved(move.nic, _now())
        await self._keep_lease()
        await self._on_move()

    async def _store(self, mac: str, lease: Lease | None) -> None:
        """For the keeper, which else asks for another; a full disk costs no uplink."""
        if lease is not None and load_lease(mac) != lease:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(store_lease, mac, lease)

    async def _keep_lease(self) -> None:
        """The keeper ends when `zos` has another MAC; zinit and systemd start it again."""
        if self._config.supervisor == "none":
            await supervise.ensure_keeper(self._spaces, "none", supervise.agent_program())

    # -- what is told

    def _note_move(self, life: Life, move: Move, candidate: Candidate, mac: str) -> None:
        choice = choose([candidate], pin=self._config.eligible.pin)
        boot = status.load()
        if boot is None or choice.uplink is None:
            return
        home = "" if move.nic == life.home else life.home
        taken = replace(choice.uplink, reason=move.reason)
        now = msgspec.structs.replace(boot, uplink=uplink_status(taken, mac), home=home, trouble="")
        status.store(now)

    def _tell(self, life: Life) -> None:
        """Trouble of the uplink, and what the others look like."""
        boot = status.load()
        if boot is None:
            return
        known = {nic.name: nic for nic in boot.nics}
        macs = {s.name: s.mac for s in self._standbys.values()}
        choice: Choice = choose(self.candidates.values(), pin=self._config.eligible.pin)
        for nic in nics_status(choice, self.candidates.values(), macs):
            known[nic.name] = nic
        now = msgspec.structs.replace(boot, nics=tuple(known.values()), trouble=life.trouble)
        if now != boot:
            with contextlib.suppress(CannotError):  # it is only a report
                status.store(now)


def _now() -> float:
    return asyncio.get_running_loop().time()

"""networkd: ndmz, network resources, enrolment and overlay of a node in one process, for ever.

    await keep_node(config)

Each part is idempotent and adopts what it finds, so a restart is the repair: an unexpected error
ends the process and the supervisor starts it again; the kernel goes on meanwhile. What all of it
says of itself is written to RUN/networkd.json for the commands.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from agent.boot.failover import UplinkKeeper
from agent.boot.status import boot_instant
from agent.config import AgentConfig
from agent.control_server import Handler, serve_control
from agent.enrol.join_file import take_join_file
from agent.enrol.runner import Enrolment
from agent.enrol.store import Keys, Store
from agent.enrol.turning import OwnKeys
from agent.identity import Identity, load_identity
from agent.ndmz.br_pub import BrPub
from agent.ndmz.policy import add_site
from agent.ndmz.runner import Ndmz
from agent.ndmz.sites import load_sites, store_sites
from agent.ndmz.status import NdmzStatus
from agent.nr.keeper import Resources
from agent.nr.verbs import nr_handlers
from agent.overlay.runner import Overlay
from agent.status import PATH, DaemonStatus, holding, load_status
from netns.spaces import Spaces
from netns.wireguard.backend import WireGuardBackend
from netns.wireguard.choice import choose_backend
from runtime import files
from runtime.alone import alone
from runtime.clock import SAVE_EACH, FlooredClock, boottime
from runtime.failure import CannotError, Exit, with_hint
from runtime.paths import RUN, STATE

log = logging.getLogger(__name__)

LOCK = RUN / "networkd.lock"
LEAST = 0.1  # seconds between two reports: changes come in swarms
COUNTED = 1.0  # in a network, where bytes and ages grow and nobody tells of it
AT_LAST = 5.0  # in none: what nobody told of
SHARE = 40  # the pause, in times of a look: a slow machine has better to do
CLOCK_OFF_MS = 120_000  # from there on it is said


async def keep_node(config: AgentConfig) -> None:
    """Returns never; cancelling leaves the kernel as it is. Raises CannotError for what only a
    person can mend.
    """
    with alone(
        LOCK, "start networkd", who="networkd", hint="zosnet-agent status says what it does"
    ):
        identity = load_identity()
        spaces = Spaces()
        try:
            with one_reason():
                backend = await choose_backend(spaces)
                await _Node(config, identity, spaces, backend).keep()
        finally:
            spaces.close()


@contextmanager
def one_reason() -> Iterator[None]:
    """Out of a group of CannotErrors the first, which people can read; `except*` would hand on
    another group. With a fault of ours among them, the group as it is.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        reasons, faults = group.split(CannotError)
        if reasons is None or faults is not None:
            raise
        raise _first(reasons) from None


class _Node:
    def __init__(
        self,
        config: AgentConfig,
        identity: Identity,
        spaces: Spaces,
        backend: WireGuardBackend,
    ) -> None:
        self._identity = identity
        self._clock = FlooredClock(STATE / "clock")
        self._steps_clock = config.clock == "step"
        self._sites = load_sites()
        self._said = b""
        self._problems: dict[str, str] = {}  # by what it is about
        self._stirred = asyncio.Event()  # something is to be told
        stir = self._stirred.set
        before = load_status()
        self._seconds = dict(before.seconds) if before is not None else {}
        self._came_first = before is not None and before.came_first
        started = boot_instant(boottime())
        self._elapsed: Callable[[], float] = lambda: round(boottime() - started, 3)
        keys, own, store = Keys(), OwnKeys(identity), Store()
        if config.join:
            take_join_file(store, Path(config.join), farm=config.farm)
        self._ndmz = Ndmz(spaces, identity, config, on_change=self._see_ndmz)
        self._ndmz.observe_site(self._sites)
        self._resources = Resources(spaces, identity, behind=self._ndmz, on_change=stir)
        self._uplink = UplinkKeeper(spaces, config, on_move=self._follow)
        self._br_pub = BrPub(spaces, config, self._uplink, on_change=stir)
        self._overlay = Overlay(
            spaces,
            backend,
            node=own.nodes[0],
            also=own.nodes[1:],
            keys=keys,
            elapsed=self._elapsed,
            now_ms=lambda: self._clock.now_ms() if self._clock.trusted else None,
            behind=self._ndmz,
            on_change=stir,
        )
        self._enrolment = Enrolment(
            spaces,
            own,
            keys,
            sink=self._overlay,
            elapsed=self._elapsed,
            on_time=self._learn_time,
            on_observed=self._observe,
            on_change=stir,
            endpoints=config.controllers,
            store=store,
        )

    async def keep(self) -> None:
        async with serve_control(self._handlers()), asyncio.TaskGroup() as group:
            group.create_task(self._uplink.keep())
            group.create_task(self._br_pub.keep())
            group.create_task(self._ndmz.keep())
            group.create_task(self._resources.keep())
            group.create_task(self._overlay.keep())
            group.create_task(self._enrolment.keep())
            group.create_task(self._keep_clock())
            group.create_task(self._tell())

    # -- the commands

    def _handlers(self) -> Mapping[str, Handler]:
        async def join(arguments: dict[str, Any]) -> str:
            farm = self._enrolment.join(str(arguments.get("text", "")))
            self._say()
            return farm

        async def leave(arguments: dict[str, Any]) -> None:
            self._enrolment.leave(self._network_id(str(arguments.get("network", ""))))
            self._say()  # `wait` and `status` know of it when the command returns

        async def mint(arguments: dict[str, Any]) -> str:
            return await self._enrolment.mint(
                self._network_id(str(arguments.get("network", ""))),
                uses=int(arguments.get("uses", 1)),
                seconds=int(arguments.get("seconds", 600)),
            )

        async def rotate(_: dict[str, Any]) -> None:
            self._enrolment.rotate()
            self._say()

        async def keys(_: dict[str, Any]) -> dict[str, Any]:
            status = self._enrolment.status()
            return {"key": status.key, "next_key": status.next_key, "awaits": status.awaits}

        verbs = {"join": join, "leave": leave, "mint": mint, "rotate": rotate, "keys": keys}
        return {**verbs, **nr_handlers(self._resources, self._say)}

    def _network_id(self, text: str) -> str:
        """A network by its id, or by its name when only one has it."""
        networks = self._overlay.status().networks
        named = [network.network for network in networks if text == network.name]
        if len(named) > 1:
            raise CannotError(
                f"cannot tell which network {text} is: {len(named)} have that name",
                hint=f"name its id: {', '.join(named)}",
                code=Exit.CONFLICT,
            )
        return named[0] if named else text

    async def _follow(self) -> None:
        """The node has another uplink: ndmz's addresses, without a NIC of its own, are of the one
        before.
        """
        self._sites = ()
        if not self._br_pub.status.nic:
            await self._ndmz.renew()

    def _see_ndmz(self, _: NdmzStatus) -> None:
        self._br_pub.look_again()
        self._enrolment.look_again()
        self._resources.look_again()
        self._say()  # a supervisor's `wait ndmz` looks for it

    # -- what the controller tells of us

    def _learn_time(self, time_ms: int) -> None:
        first = not self._clock.trusted
        self._clock.learn(time_ms)
        if first:  # it may be years from what is written there
            self._write("clock", self._clock.save)
        if self._steps_clock and self._clock.step_system_clock():
            log.warning("system clock set forward to the controller's time")

    def _observe(self, address: str) -> None:
        before, self._sites = self._sites, add_site(self._sites, address)
        self._ndmz.observe_site(self._sites)
        if self._sites != before:
            self._write("sites", lambda: store_sites(self._sites))

    async def _keep_clock(self) -> None:
        if self._steps_clock and self._clock.step_system_clock():
            log.warning("system clock set forward to its floor")
        try:
            while True:
                self._write("clock", self._clock.save)
                await asyncio.sleep(SAVE_EACH)
        finally:
            self._write("clock", self._clock.save)

    # -- what the commands are told

    async def _tell(self) -> None:
        def say() -> float:
            self._say()
            return COUNTED if self._overlay.networks else AT_LAST

        await tell_changes(self._stirred, say)

    def _say(self) -> None:
        status = self._status()
        now = msgspec.json.encode(status)
        if now != self._said:
            self._write("report", lambda: files.store(PATH, status, mode=0o644, durable=False))
            self._said = b"" if "report" in self._problems else now

    def _write(self, what: str, write: Callable[[], None]) -> None:
        """A disk that is full costs a report or a minute of the clock, never the network."""
        try:
            write()
        except files.WriteError as error:
            if what not in self._problems:
                log.warning("not written", extra={"reason": error.message})
                self._stirred.set()
            self._problems[what] = with_hint(error.message, error.hint)
        else:
            if self._problems.pop(what, None):
                self._stirred.set()

    def _status(self) -> DaemonStatus:
        enrol, overlay = self._enrolment.status(), self._overlay.status()
        networks = overlay.networks
        ready = self._ndmz.status().ready
        self._mark("ndmz", self._elapsed() if ready else None)
        for farm in enrol.farms:
            self._mark("admitted", farm.admitted_seconds)
        for network in networks:
            if "overlay" not in self._seconds:
                self._came_first = network.came_first
            self._mark("overlay", network.overlay_seconds)
            if not self._came_first:
                self._mark("first_ping", network.first_ping_seconds)
        return DaemonStatus(
            node=self._identity.node_id,
            pid=os.getpid(),
            seconds=self._seconds,
            reached=holding(self._seconds, ndmz=ready, enrol=enrol, networks=networks),
            came_first=self._came_first,
            enrol=enrol,
            networks=networks,
            resources=self._resources.status(),
            carrier=self._br_pub.status,
            clock_behind_ms=self._clock.behind_ms,
            reasons=[
                *self._problems.values(),
                *clock_reasons(self._clock.ahead_ms),
                *self._resources.problems,
                *overlay.problems,
            ],
        )

    def _mark(self, phase: str, seconds: float | None) -> None:
        """The first time counts, also over a restart of networkd."""
        if seconds is not None:
            self._seconds.setdefault(phase, seconds)


async def tell_changes(stirred: asyncio.Event, say: Callable[[], float]) -> NoReturn:
    """`say` at once when it was stirred, and at the latest after the seconds that it returns."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        stirred.clear()
        latest = say()
        await asyncio.sleep(max(LEAST, SHARE * (loop.time() - began)))
        with suppress(TimeoutError):
            async with asyncio.timeout(latest):
                await stirred.wait()


def clock_reasons(ahead_ms: int) -> list[str]:
    """What is to be said of a system clock that is so far ahead of the controller's time, or behind."""
    if abs(ahead_ms) < CLOCK_OFF_MS:
        return []
    off = timedelta(minutes=abs(ahead_ms) // 60_000)
    side = "ahead of" if ahead_ms > 0 else "behind"
    said = f"the system clock is {str(off).removesuffix(':00')} h {side} the controller's time"
    return [with_hint(said, "set it: date -s, or an NTP client")]


def _first(group: BaseExceptionGroup[CannotError]) -> CannotError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("a group holds an exception")

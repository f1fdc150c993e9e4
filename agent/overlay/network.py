"""One network kept true on this node: namespace, device, peers, and the proof that it works.

    network = Network(surface, belief, from_cache=…)
    await network.keep()              # for ever; cancelling leaves all of it in the kernel
    await network.destroy()           # takes it away

It is tended when something was told (`told`), when the device dies, when a pair is due to be
kicked, and each few seconds, which also repairs what somebody else has changed.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from agent.enrol.endpoints import Surroundings
from agent.enrol.store import Keys
from agent.nr.plan import Names, Resource, plan_resource
from agent.nr.runner import ResourceRunner
from agent.overlay.belief import Belief
from agent.overlay.cache import Cache
from agent.overlay.peering import DeviceGoneError, Peering, PortTakenError
from agent.overlay.peers import Here, Plan, plan_peers
from agent.overlay.reach import Reach
from agent.overlay.verify import Verified
from netns.spaces import Spaces
from netns.values import IPAddress
from netns.wireguard.backend import WireGuardBackend
from netns.wireguard.device import DeviceError, Endpoint
from protocol.signed import StatementError
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)

LOOK_EACH = 4.0  # seconds; drift is repaired within 5
UNSETTLED = 0.5  # while a pair has not started
RETRY_FIRST, RETRY_LAST = 0.5, 10.0
LEARN_EACH = 30.0
ATTACH_RETRY = 2.0
PATIENCE = 2.0  # with rows that a signer signed who has just left the keyset: new ones are coming


class Behind(Protocol):
    """What carries a namespace's way to the Internet: ndmz."""

    async def attach(self, name: str) -> object: ...

    async def detach(self, name: str) -> None: ...


class Surface(Struct, frozen=True):
    """What a network needs of the node around it. `now_ms`: a trusted clock, or None."""

    spaces: Spaces
    backend: WireGuardBackend
    node: bytes
    keys: Keys
    cache: Cache
    elapsed: Callable[[], float]  # seconds since boot
    now_ms: Callable[[], int | None] = lambda: None
    behind: Behind | None = None
    on_change: Callable[[], None] = lambda: None  # `status` may say something else now


class Network:
    def __init__(
        self,
        surface: Surface,
        belief: Belief,
        surroundings: Surroundings,
        *,
        from_cache: bool,
    ) -> None:
        self.belief = belief
        self.from_cache = from_cache
        self.surroundings = surroundings
        self.names = Names.of(belief.network)
        self.peering = Peering(surface.backend, self.names.device)
        self.peering.learnt = surface.cache.learnt(belief.network)
        self.reach: Reach | None = None
        self.verified: Verified | None = None
        self.plan: Plan | None = None
        self.resource: Resource | None = None
        self.withdrawn = ""  # why nobody would believe us
        self.ending_ms: int | None = None  # until our membership ends, when that is soon
        self.problem: CannotError | None = None
        self.attached = False
        self.overlay_at: float | None = None
        self.before: frozenset[IPAddress] = frozenset()  # of those in the network before us
        self._doubted = False  # there was somebody, and nobody was believed
        self.first_ping_at: float | None = None
        self.answers_since: dict[IPAddress, float] = {}
        self._surface = surface
        self._runner = ResourceRunner(surface.spaces, surface.backend, belief.network)
        self._changed = asyncio.Event()
        self._there = asyncio.Event()  # the namespace is
        self._apart = asyncio.Event()  # to be put behind ndmz
        self._apart.set()
        self._made = asyncio.Event()  # the device was looked at, and lives
        self._elsewhere = asyncio.Event()  # the namespace is another one now
        self._loop = asyncio.get_running_loop()
        self._ensured_at = float("-inf")
        self._hurry = False  # to ask all peers anew
        self._patient_until = float("-inf")
        self._stored, self._stored_at = dict(self.peering.learnt), float("-inf")
        self._forgotten = False

    @property
    def came_first(self) -> bool:
        """Nobody was in the network when it came up: there is no first ping to wait for."""
        return self.overlay_at is not None and not self.before and not self._doubted

    def told(self) -> None:
        """`belief` or `surroundings` say something else now."""
        self._ensured_at = float("-inf")
        self._changed.set()

    def restart(self) -> None:
        """The node is elsewhere: peers learn of it by what we say, at once."""
        self.peering.restart()
        self._hurry = True
        self.told()

    def trusted(self) -> None:
        """`belief` has a newer keyset: what it does not cover any more is signed anew right now."""
        self._patient_until = self._loop.time() + PATIENCE
        self.told()

    async def keep(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tend_for_ever())
                tasks.create_task(self._mind_the_device())
                tasks.create_task(self._ask_peers())
                if self._surface.behind is not None:
                    tasks.create_task(self._attach(self._surface.behind))
        finally:
            self._learn()
            await self._runner.close()

    def forget(self) -> None:
        """It was left: nothing of it goes to the disk any more."""
        self._forgotten = True

    async def destroy(self) -> None:
        """After `keep` was cancelled. Raises CannotError."""
        if self._surface.behind is not None and self.attached:
            await self._surface.behind.detach(self.names.space)
        await self._runner.destroy()
        log.info("network taken away", extra={"network": self.belief.network})

    # -- keeping it true

    async def _tend_for_ever(self) -> None:
        pause = RETRY_FIRST
        while True:
            self._changed.clear()
            try:
                wait = await self._tend()
                pause, self.problem = RETRY_FIRST, None
            except (CannotError, DeviceError) as error:
                self._complain(error)
                wait, pause = pause, min(pause * 2, RETRY_LAST)
            self._surface.on_change()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _tend(self) -> float:
        """Everything as it should be; returns after how many seconds to come again."""
        now = self._loop.time()
        patient = now < self._patient_until and not self.belief.whole
        if self.plan is None or (now - self._ensured_at >= LOOK_EACH and not patient):
            await self._ensure()
            self.plan = self._plan_peers()
        key = self._surface.keys.of(self.belief.network)
        try:
            next_at = await self.peering.tend(self.plan, key, self._loop.time())
        except DeviceGoneError:
            self._ensured_at = float("-inf")
            return 0.0
        except PortTakenError:
            port = self._surface.keys.next_port(self.belief.network)
            log.warning("port taken, next one", extra={"was": key.port, "now": port})
            return 0.0
        if self._hurry:  # now that the device can send
            self._aim(hurry=True)
            self._hurry = False
        self._mark_overlay()
        self._learn()
        if next_at is None:
            return UNSETTLED if patient else LOOK_EACH
        return min(max(next_at - self._loop.time(), 0.0), UNSETTLED)

    async def _ensure(self) -> None:
        belief = self.belief
        want = plan_resource(
            belief.network,
            belief.membership,
            belief.settings,
            uplink_mtu=self.surroundings.mtu,
        )
        made = await self._runner.ensure(want, underlay=self.surroundings.space)
        self.resource, self._ensured_at = want, self._loop.time()
        if made.space:
            self._elsewhere.set()
            self.attached = False  # the cable went with the namespace before
            self._apart.set()
        if made.device:
            log.info("WireGuard device made", extra={"device": self.names.device})
            # peers of a device that died still send into the old session: do not wait for them
            self.peering.renew(from_cache=self.from_cache or self.overlay_at is not None)
            self._hurry = True
        self._there.set()
        self._made.set()

    def _plan_peers(self) -> Plan:
        """The peers that follow from what we believe; none when nobody believes us."""
        now_ms = self._surface.now_ms()
        self.ending_ms = self.belief.ending(now_ms)
        try:
            verified = self.belief.members(now_ms)
            self.withdrawn = ""
        except StatementError as error:
            if str(error) != self.withdrawn:
                log.warning(
                    "overlay withdrawn",
                    extra={"network": self.belief.network, "reason": error},
                )
            self.withdrawn, self.verified = str(error), None
            self._aim()
            return Plan({}, {})
        known = self.verified.refusals if self.verified is not None else ()
        for refusal in (r for r in verified.refusals if r not in known):
            log.warning("member refused", extra={"member": refusal.name, "reason": refusal.reason})
        key = self._surface.keys.of(self.belief.network)
        around = self.surroundings
        here = Here(
            tuple(Endpoint(address, key.port) for address in around.public),
            around.families,
            around.on_link,
        )
        self.verified = verified
        if self.overlay_at is None or self._doubted:
            self.before = frozenset(a for m in verified.members.values() for a in m.addresses)
            self._doubted = not self.before and bool(verified.refusals)
        self._aim()
        return plan_peers(verified, here, self.peering.learnt)

    def _mark_overlay(self) -> None:
        if self.overlay_at is None and not self.withdrawn and self.belief.has_netmap:
            self.overlay_at = self._surface.elapsed()
            log.info(
                "overlay up",
                extra={
                    "network": self.belief.network,
                    "peers": len(self.plan.peers) if self.plan else 0,
                    "from_cache": self.from_cache,
                },
            )

    def _learn(self) -> None:
        """Endpoints to the disk: of a new peer at once, changes at most each 30 s."""
        members = self.verified.members.values() if self.verified else ()
        current = {bytes(m.wireguard) for m in members}
        learnt = {k: e for k, e in self.peering.learnt.items() if k in current}
        now = self._loop.time()
        new = learnt.keys() - self._stored.keys()
        if learnt == self._stored or not learnt or self._forgotten:
            return
        if new or now - self._stored_at >= LEARN_EACH:
            try:
                self._surface.cache.keep_learnt(self.belief.network, learnt)
            except CannotError as error:  # hints: without them a reboot takes some seconds more
                log.warning("endpoints not kept", extra={"reason": error.message})
            self._stored, self._stored_at = learnt, now

    def _complain(self, error: CannotError | DeviceError) -> None:
        problem = (
            error
            if isinstance(error, CannotError)
            else CannotError(f"cannot configure {self.names.device}: {error}")
        )
        if self.problem is None or self.problem.message != problem.message:
            log.error(with_hint(problem.message, problem.hint))
        self.problem = problem

    # -- its other tasks

    async def _mind_the_device(self) -> None:
        """A device that dies is made anew at once."""
        while True:
            await self._made.wait()
            self._made.clear()
            try:
                await self._surface.backend.ended(self.names.device)
            except CannotError as error:  # `tend` will say so
                log.debug("device not looked at", extra={"reason": error.message})
            self._made.clear()
            log.warning("WireGuard device died", extra={"device": self.names.device})
            self.told()

    async def _ask_peers(self) -> None:
        """Echoes from inside the namespace, in a new one with new sockets."""
        await self._there.wait()
        while True:
            self._elsewhere.clear()
            self.reach = await Reach.open(
                self._surface.spaces, self.names.space, on_answer=self._answered
            )
            self._aim()
            try:
                async with asyncio.TaskGroup() as tasks:
                    asking = tasks.create_task(self.reach.keep())
                    await self._elsewhere.wait()
                    asking.cancel()
            finally:
                self.reach.close()
                self.reach = None

    def _aim(self, *, hurry: bool = False) -> None:
        if self.reach is not None:
            members = self.verified.members.values() if self.verified else ()
            self.reach.aim([a for m in members for a in m.addresses], hurry=hurry)

    def _answered(self, address: IPAddress) -> None:
        self.answers_since[address] = now = self._surface.elapsed()
        if self.first_ping_at is None and address in self.before:
            self.first_ping_at = now
        log.info("peer answers", extra={"network": self.belief.network, "peer": address})
        self._surface.on_change()
        self._changed.set()  # see, and keep, where it answered from

    async def _attach(self, behind: Behind) -> None:
        """To ndmz, which may not be there yet; it repairs the cable itself from then on."""
        said = ""
        await self._there.wait()
        while True:
            await self._apart.wait()
            self._apart.clear()
            try:
                await behind.attach(self.names.space)
                self.attached, said = True, ""
                self._surface.on_change()
            except CannotError as error:
                if error.message != said:
                    log.info("not behind ndmz yet", extra={"reason": error.message})
                said = error.message
                await asyncio.sleep(ATTACH_RETRY)
                self._apart.set()

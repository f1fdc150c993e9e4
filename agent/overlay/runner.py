"""`Overlay`: all networks of this node, from the cache at boot and from controllers after.

    overlay = Overlay(spaces, backend, node=…, keys=…, elapsed=…, behind=ndmz)
    group.create_task(overlay.keep())
    Enrolment(…, sink=overlay)           # calls holding, trust, joined, rows, left, moved

What a controller tells is verified, then on the disk, then acknowledged, then in the kernel; with no
controller at all the cache does.
"""

import asyncio
import logging
from collections.abc import Callable

from agent.enrol.actions import Holding
from agent.enrol.endpoints import Surroundings
from agent.enrol.sink import Ask, Trust
from agent.enrol.store import Keys
from agent.nr.plan import Names
from agent.nr.runner import ROLE
from agent.overlay.belief import Belief
from agent.overlay.cache import Cache
from agent.overlay.network import Behind, Network, Surface
from agent.overlay.report import describe
from agent.overlay.status import OverlayStatus
from netns.spaces import Spaces
from netns.wireguard.backend import WireGuardBackend
from protocol.ids import is_network_id
from protocol.messages import Joined, Rows
from protocol.signed import StatementError
from runtime.failure import CannotError

log = logging.getLogger(__name__)


class Overlay:
    """A `Sink` for `Enrolment`."""

    def __init__(
        self,
        spaces: Spaces,
        backend: WireGuardBackend,
        *,
        node: bytes,
        also: tuple[bytes, ...] = (),
        keys: Keys,
        elapsed: Callable[[], float],
        now_ms: Callable[[], int | None] = lambda: None,
        behind: Behind | None = None,
        on_change: Callable[[], None] = lambda: None,
        cache: Cache | None = None,
    ) -> None:
        """`node`: its public key; `also`: the one that is to be. `elapsed`: seconds since boot. `now_ms`: a clock that may be
        trusted to end a membership's life, or None. `behind`: what attaches a namespace to ndmz.
        `on_change`: `status` may say something else now.
        """
        self._surface = Surface(
            spaces=spaces,
            backend=backend,
            node=node,
            keys=keys,
            cache=cache or Cache(),
            elapsed=elapsed,
            now_ms=now_ms,
            behind=behind,
            on_change=on_change,
        )
        self._nodes = (node, *also)
        self._surroundings: Surroundings | None = None
        self._networks: dict[str, Network] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._leaving: set[str] = set()
        self._left_early: list[Network] = []  # before `keep` had a hand free
        self._refused: dict[str, str] = {}
        self._load()

    async def keep(self) -> None:
        """All networks, for ever; cancelling leaves them in the kernel. They begin when `moved`
        has said where we are.
        """
        await self._sweep()
        async with asyncio.TaskGroup() as self._group:
            while self._left_early:
                self._group.create_task(self._destroy(self._left_early.pop(), None))
            self._start_all()
            await asyncio.Future()

    @property
    def networks(self) -> tuple[str, ...]:
        """The ids of those that are kept."""
        return tuple(self._networks)

    def status(self) -> OverlayStatus:
        keys, refused = self._surface.keys, self._refused
        return OverlayStatus(
            networks=[
                describe(network, keys.of(name).port, refused.get(name, ""))
                for name, network in sorted(self._networks.items())
            ],
            problems=[said for name, said in refused.items() if name not in self._networks],
        )

    # -- what enrolment tells

    def holding(self, network: str) -> Holding:
        known = self._networks.get(network)
        return known.belief.holding if known is not None else Holding()

    def trust(self, trust: Trust) -> None:
        for network in self._networks.values():
            if network.belief.kept.root == bytes(trust.root):
                self._take(network, lambda belief: belief.take_trust(trust))
                network.trusted()

    def joined(self, trust: Trust, joined: Joined) -> Holding:
        known = self._networks.get(joined.network)
        if known is None:
            return self._begin(trust, joined)
        known.from_cache = False
        self._take(known, lambda belief: belief.take_joined(trust, joined))
        return known.belief.holding

    def rows(self, rows: Rows) -> tuple[Holding, Ask | None]:
        known = self._networks.get(rows.network)
        if known is None:
            return Holding(), None
        known.from_cache = False
        outcome = known.belief.take_rows(rows)
        if outcome.unreadable:
            log.warning("rows dropped", extra={"count": outcome.unreadable})
        self._surface.cache.keep(known.belief.kept, known.belief.reached)
        known.told()
        return known.belief.holding, outcome.ask

    def left(self, network: str) -> None:
        self._surface.cache.forget(network)
        self._refused.pop(network, None)
        known = self._networks.pop(network, None)
        if known is None:
            return
        known.forget()
        task = self._tasks.pop(network, None)
        if task is not None:
            task.cancel()
        self._leaving.add(network)
        if self._group is None:
            self._left_early.append(known)
        else:
            self._group.create_task(self._destroy(known, task))

    def moved(self, surroundings: Surroundings) -> None:
        if surroundings == self._surroundings:
            return
        self._surroundings = surroundings
        for network in self._networks.values():
            network.surroundings = surroundings
            network.told()
        self._start_all()

    def restart(self) -> None:
        """The node is elsewhere: what it sends comes from another address."""
        for network in self._networks.values():
            network.restart()

    def know_as(self, nodes: tuple[bytes, ...]) -> None:
        self._nodes = nodes
        for network in self._networks.values():
            network.belief.know_as(nodes)

    # -- networks

    def _load(self) -> None:
        for kept in self._surface.cache.networks():
            try:
                key = self._surface.keys.of(kept.network)
                highest = self._surface.cache.highest(kept.network)
                belief = Belief(
                    self._nodes[0],
                    bytes(key.public),
                    kept,
                    highest=highest,
                    also=self._nodes[1:],
                )
            except (StatementError, CannotError) as error:
                self._refused[kept.network] = str(error)
                log.error(  # noqa: TRY400  # the reason says all
                    "cached network refused", extra={"network": kept.network, "reason": error}
                )
                continue
            self._add(belief, from_cache=True)
        for name, damage in self._surface.cache.damaged.items():
            self._refused[name] = f"{damage.message} (it comes anew from the controller)"

    def _begin(self, trust: Trust, joined: Joined) -> Holding:
        key, cache = self._surface.keys.of(joined.network), self._surface.cache
        highest = cache.highest(joined.network)
        try:
            belief = Belief.begin(
                self._nodes[0],
                bytes(key.public),
                trust,
                joined,
                highest=highest,
                also=self._nodes[1:],
            )
        except StatementError as error:
            self._refuse(joined.network, error)
            return Holding()
        cache.keep(belief.kept, belief.reached)
        self._refused.pop(joined.network, None)
        self._add(belief, from_cache=False)
        return belief.holding

    def _add(self, belief: Belief, *, from_cache: bool) -> None:
        around = self._surroundings or Surroundings()
        network = Network(self._surface, belief, around, from_cache=from_cache)
        self._networks[belief.network] = network
        self._start_all()

    def _start_all(self) -> None:
        if self._group is None or self._surroundings is None:
            return
        for name, network in self._networks.items():
            if name not in self._tasks:
                self._tasks[name] = self._group.create_task(self._keep(network))

    async def _keep(self, network: Network) -> None:
        while network.belief.network in self._leaving:  # noqa: ASYNC110  # left and joined again
            await asyncio.sleep(0.05)
        await network.keep()

    async def _destroy(self, network: Network, task: "asyncio.Task[None] | None") -> None:
        name = network.belief.network
        try:
            while task is not None and not task.done():  # what it waits for may swallow the first
                task.cancel()
                await asyncio.wait([task], timeout=1)
            await network.destroy()
        except CannotError as error:
            log.error(error.message)  # noqa: TRY400  # a sentence for people
        finally:
            self._leaving.discard(name)

    async def _sweep(self) -> None:
        """Take away what is left of networks that were left while we were killed. One whose file is
        damaged is still joined: what it has in the kernel goes on.
        """
        spaces, backend = self._surface.spaces, self._surface.backend
        joined = [name for name in self._surface.cache.names() if is_network_id(name)]
        wanted = {Names.of(name).space for name in [*joined, *self._networks]}
        for space, role in spaces.ours().items():
            if role != ROLE or space in wanted:
                continue
            try:
                await backend.destroy("w" + space.removeprefix("n"))
                await spaces.delete(space)
                log.info("remains taken away", extra={"space": space})
            except CannotError as error:
                log.error(error.message)  # noqa: TRY400  # a sentence for people

    def _take(self, network: Network, take: Callable[[Belief], None]) -> None:
        """What is refused changes nothing, and is reported."""
        name = network.belief.network
        try:
            take(network.belief)
            self._refused.pop(name, None)
        except StatementError as error:
            self._refuse(name, error)
        self._surface.cache.keep(network.belief.kept, network.belief.reached)
        network.told()

    def _refuse(self, network: str, error: StatementError) -> None:
        if self._refused.get(network) != str(error):
            log.warning(
                "controller's statement refused", extra={"network": network, "reason": error}
            )
        self._refused[network] = str(error)

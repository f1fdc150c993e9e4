"""`Enrolment`: all farms of this node, and the commands join and leave.

enrolment = Enrolment(spaces, identity, keys, sink=overlay, elapsed=…)
await enrolment.keep()            # for ever
enrolment.join(text) | enrolment.leave(network) | enrolment.status()
"""

import asyncio
import logging
import platform
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import zmq
from msgspec.structs import replace

from agent.enrol.actions import Controller, Me, Presence
from agent.enrol.endpoints import Surroundings, observe
from agent.enrol.farm import Farm
from agent.enrol.sink import Sink
from agent.enrol.status import EnrolStatus
from agent.enrol.store import FarmFile, Keys, Store, controllers_of
from agent.enrol.surface import Surface
from agent.enrol.turning import OwnKeys
from agent.ndmz.egress import own_port
from agent.ndmz.guard import UPLINK4, UPLINK6
from agent.ndmz.plan import SPACE
from agent.ndmz.watch import always
from netns.glance import Glances
from netns.monitor import Group, Monitor
from netns.spaces import HOST, Spaces
from netns.values import IPAddress, View
from protocol.ids import controller_id, is_network_id
from protocol.joinstring import JoinString, parse_join_string
from runtime.cli import VERSION
from runtime.failure import CannotError, Exit, with_hint

log = logging.getLogger(__name__)

LOOK_EACH = 30.0  # seconds; events say most of it
SETTLE = 0.02  # several addresses come at once


class Enrolment:
    def __init__(
        self,
        spaces: Spaces,
        own: OwnKeys,
        keys: Keys,
        *,
        sink: Sink,
        elapsed: Callable[[], float],
        on_time: Callable[[int], None] = lambda _: None,
        on_observed: Callable[[str], None] = lambda _: None,
        on_change: Callable[[], None] = lambda: None,
        link: str = "zos",
        endpoints: tuple[str, ...] = (),
        store: Store | None = None,
    ) -> None:
        """`link`: the uplink, on the host. `endpoints`: controllers' addresses by config, instead
        of those in join strings and keysets. `on_time` takes a controller's clock (ms),
        `on_observed` the address that it sees us come from. `on_change`: `status` may say something
        else now.
        """
        self._spaces, self._own, self._keys = spaces, own, keys
        self._sink, self._elapsed = sink, elapsed
        self._on_time, self._on_observed, self._on_change = on_time, on_observed, on_change
        self._link, self._endpoints = link, endpoints
        self._store = store or Store()
        self._farms: dict[str, Farm] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._surface: Surface | None = None
        self._surroundings = Surroundings()
        self._ways: frozenset[int] = frozenset()  # the families by which controllers may be reached
        self._known_by: frozenset[IPAddress] = frozenset()  # where we spoke from last
        self._stir = asyncio.Event()
        self._glances = Glances(spaces)

    async def keep(self) -> None:
        """Admit, join and stay connected, for ever."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        context.socket(zmq.PAIR).close()  # binds the I/O thread to where we are now
        try:
            self._surface = self._make_surface(context)
            await self._look()
            async with asyncio.TaskGroup() as self._tasks:
                for file in self._store.farms():
                    self._add(file)
                for join in self._store.joins():
                    self._show(join, tried=True)
                self._settle()  # killed after the last farm had turned
                self._tasks.create_task(self._watch())
        finally:
            self._tasks = self._surface = None
            for farm in self._farms.values():
                farm.close()
            self._farms.clear()
            context.destroy(0)

    # -- commands

    def join(self, text: str) -> str:
        """Join by a join string, or an open network of a farm we are in by its id. Returns the
        controller id; the rest is told by `status`. Raises JoinStringError, CannotError.
        """
        word = text.strip()
        if is_network_id(word):
            farm = self._farms.get(word[:10])
            if farm is None:
                raise CannotError(
                    f"cannot join network {word}: this node belongs to no farm {word[:10]}",
                    hint="a first network is joined by a join string: ncadm token create NETWORK",
                    code=Exit.NOT_FOUND,
                )
            farm.want(word)
            return word[:10]
        join = parse_join_string(word)
        self._store.keep_join(join, word)
        if self._tasks is not None:  # else it is found at the start
            self._show(join, tried=False)
        return controller_id(join.root)

    async def mint(self, network: str, *, uses: int, seconds: int) -> str:
        """A join string for another node. Raises CannotError."""
        farm = self._farms.get(network[:10])
        if farm is None or not farm.knows(network):
            raise CannotError(
                f"cannot make a token of network {network}: this node is not in it",
                hint="zosnet-agent status lists the networks",
                code=Exit.NOT_FOUND,
            )
        return await farm.minting.mint(network, uses=uses, seconds=seconds)

    def rotate(self) -> None:
        """Another key for this node, everywhere; `status` says when it is. Raises CannotError."""
        if self._surface is None:
            raise CannotError("cannot rotate the key: networkd is only starting")
        self._own.begin()
        self._sink.know_as(self._own.nodes)
        for farm in self._farms.values():
            farm.turn()
        self._settle()

    def _settle(self) -> None:
        """The next key takes the present one's place when no farm needs that any more."""
        own, surface = self._own, self._surface
        if own.next is None or surface is None or any(f.holds_up for f in self._farms.values()):
            return
        own.settle()
        self._sink.know_as(own.nodes)
        me = replace(surface.me, node=own.present.public)
        self._surface = replace(surface, me=me)
        for farm in self._farms.values():
            farm.settle(me)
        log.info("node key rotated", extra={"node": own.present.node_id})

    def leave(self, network: str) -> None:
        """A network, or a whole farm by its id when this node is in none of its networks.

        Raises CannotError when this node is not in it.
        """
        if network in self._farms:
            self._forget(network)
            return
        farm = self._farms.get(network[:10])
        if farm is None or not farm.knows(network):
            raise CannotError(
                f"cannot leave network {network}: this node is not in it",
                hint="zosnet-agent status lists the networks",
                code=Exit.NOT_FOUND,
            )
        farm.leave(network)

    def _forget(self, name: str) -> None:
        farm = self._farms[name]
        if farm.joined:
            raise CannotError(
                f"cannot leave farm {name}: this node is in its networks",
                hint=f"first: zosnet-agent leave {farm.joined[0]}",
                code=Exit.CONFLICT,
            )
        farm.retire()
        del self._farms[name]
        self._store.forget_farm(name)
        self._settle()

    def status(self) -> EnrolStatus:
        own = self._own
        awaits = [name for name, farm in sorted(self._farms.items()) if farm.holds_up]
        return EnrolStatus(
            key=own.present.public.hex(),
            next_key=own.next.public.hex() if own.next is not None else "",
            awaits=awaits if own.next is not None else [],
            farms=[self._farms[name].status() for name in sorted(self._farms)],
            problems=[with_hint(p.message, p.hint) for p in self._store.problems.values()],
            endpoints=[str(address) for address in self._surroundings.public],
            families=sorted(self._surroundings.families),
        )

    # -- farms

    def _show(self, join: JoinString, *, tried: bool) -> None:
        farm = self._farms.get(controller_id(join.root))
        if farm is None:
            file = FarmFile(root=bytes(join.root), controllers=controllers_of(join))
            self._store.keep_farm(file)
            farm = self._add(file)
        controllers = [Controller(endpoint, key) for endpoint, key in join.controllers]
        if join.has_token:
            farm.add_token(join.token, controllers, tried=tried)
        else:
            farm.expect(controllers)
            self._store.forget_join_of(join)  # the farm's file has what was in it

    def _add(self, file: FarmFile) -> Farm:
        if self._surface is None or self._tasks is None:
            raise CannotError("cannot join: networkd is only starting", code=Exit.UNREACHABLE)
        farm = Farm(file, self._surface)
        self._farms[file.controller_id] = farm
        farm.reach(self._ways)
        farm.start()
        self._tasks.create_task(farm.crashed())
        return farm

    def _make_surface(self, context: "zmq.Context[zmq.Socket[bytes]]") -> Surface:
        me = Me(
            node=self._own.present.public,
            name=socket.gethostname()[:64],
            version=VERSION,
            os=f"{platform.system()} {platform.release()}"[:64],
            generation=self._store.count_start(),
        )
        return Surface(
            me=me,
            own=self._own,
            on_turned=self._settle,
            store=self._store,
            sink=self._sink,
            context=context,
            fraction=random.SystemRandom().random,
            elapsed=self._elapsed,
            on_time=self._on_time,
            on_observed=self._on_observed,
            on_change=self._on_change,
            presence=self._presence,
            forget=self._keys.forget,
            endpoints=self._endpoints,
        )

    def _presence(self, network: str) -> Presence:
        key = self._keys.of(network)
        return self._surroundings.presence(bytes(key.public), key.port)

    # -- surroundings

    def look_again(self) -> None:
        """What ndmz has may be something else now."""
        self._stir.set()

    async def _watch(self) -> NoReturn:
        monitor = await Monitor.open(self._spaces, HOST, Group.LINK | Group.ADDRESS | Group.ROUTE)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(always(monitor.next, self._stir.set))
                while True:
                    self._stir.clear()
                    await self._look()
                    for farm in self._farms.values():
                        farm.moved()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EACH):
                            await self._stir.wait()
                            await asyncio.sleep(SETTLE)
        finally:
            monitor.close()

    async def _look(self) -> None:
        seen = await self._observe()
        if seen != self._surroundings:
            log.info(
                "surroundings changed",
                extra={
                    "public": ",".join(map(str, seen.public)) or "none",
                    "families": ",".join(map(str, sorted(seen.families))) or "none",
                },
            )
            self._on_change()
        self._surroundings = seen
        self._sink.moved(seen)
        for farm in self._farms.values():
            farm.reach(self._ways)
        if seen.families:
            if not self._known_by <= seen.addresses:
                self._restart()
            self._known_by = seen.addresses

    def _restart(self) -> None:
        """An address is gone: what was begun from it hears of nobody any more."""
        self._sink.restart()
        for farm in self._farms.values():
            farm.reconnect()

    async def _observe(self) -> Surroundings:
        """From where WireGuard's sockets are: the host, or ndmz when that has a NIC of its own. We
        speak to controllers from the host.
        """
        home = await self._glances.see(HOST)
        host = _observe(home, self._link)
        self._ways = host.families
        if own_port(home.links) is None or not self._spaces.exists(SPACE):
            return host
        ndmz = _observe(await self._glances.see(SPACE), UPLINK4, UPLINK6, space=SPACE)
        return replace(ndmz, addresses=ndmz.addresses | host.addresses)


def _observe(view: View, *names: str, space: str = HOST) -> Surroundings:
    links = [view.links[name] for name in names if name in view.links]
    return observe(view.addresses, view.routes, *links, space=space)

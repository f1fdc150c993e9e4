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

import zmq

from agent.enrol.actions import Controller, Me, Presence
from agent.enrol.endpoints import Surroundings, observe
from agent.enrol.farm import Farm, Surface
from agent.enrol.sink import Sink
from agent.enrol.status import EnrolStatus
from agent.enrol.store import FarmFile, Keys, Store, controllers_of
from agent.identity import Identity
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from protocol.ids import controller_id, is_network_id
from protocol.joinstring import JoinString, parse_join_string
from protocol.keys import CurvePublic
from runtime.cli import VERSION
from runtime.failure import CannotError, Exit, with_hint

log = logging.getLogger(__name__)

LOOK_EACH = 30.0  # seconds; events say most of it
SETTLE = 0.02  # several addresses come at once


class Enrolment:
    def __init__(
        self,
        spaces: Spaces,
        identity: Identity,
        keys: Keys,
        *,
        sink: Sink,
        elapsed: Callable[[], float],
        on_time: Callable[[int], None] = lambda _: None,
        on_observed: Callable[[str], None] = lambda _: None,
        link: str = "zos",
        endpoints: tuple[str, ...] = (),
        store: Store | None = None,
    ) -> None:
        """`link`: the uplink, on the host. `endpoints`: controllers' addresses by config, instead
        of those in join strings and keysets. `on_time` takes a controller's clock (ms),
        `on_observed` the address that it sees us come from.
        """
        self._spaces, self._identity, self._keys = spaces, identity, keys
        self._sink, self._elapsed = sink, elapsed
        self._on_time, self._on_observed = on_time, on_observed
        self._link, self._endpoints = link, endpoints
        self._store = store or Store()
        self._farms: dict[str, Farm] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._surface: Surface | None = None
        self._surroundings = Surroundings()

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

    def leave(self, network: str) -> None:
        """Raises CannotError when this node is not in `network`."""
        farm = self._farms.get(network[:10])
        if farm is None or not farm.knows(network):
            raise CannotError(
                f"cannot leave network {network}: this node is not in it",
                hint="zosnet-agent status lists the networks",
                code=Exit.NOT_FOUND,
            )
        farm.leave(network)

    def status(self) -> EnrolStatus:
        return EnrolStatus(
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
        farm.add_token(join.token, controllers, tried=tried)

    def _add(self, file: FarmFile) -> Farm:
        if self._surface is None or self._tasks is None:
            raise CannotError("cannot join: networkd is only starting", code=Exit.UNREACHABLE)
        farm = Farm(file, self._surface)
        self._farms[file.controller_id] = farm
        farm.start()
        self._tasks.create_task(farm.crashed())
        return farm

    def _make_surface(self, context: "zmq.Context[zmq.Socket[bytes]]") -> Surface:
        me = Me(
            node=CurvePublic(self._identity.public),
            name=socket.gethostname()[:64],
            version=VERSION,
            os=f"{platform.system()} {platform.release()}"[:64],
            generation=self._store.count_start(),
        )
        return Surface(
            me=me,
            secret=self._identity.secret,
            store=self._store,
            sink=self._sink,
            context=context,
            fraction=random.SystemRandom().random,
            elapsed=self._elapsed,
            on_time=self._on_time,
            on_observed=self._on_observed,
            presence=self._presence,
            forget=self._keys.forget,
            endpoints=self._endpoints,
        )

    def _presence(self, network: str) -> Presence:
        key = self._keys.of(network)
        return self._surroundings.presence(bytes(key.public), key.port)

    # -- surroundings

    async def _watch(self) -> None:
        monitor = await Monitor.open(self._spaces, HOST, Group.LINK | Group.ADDRESS | Group.ROUTE)
        try:
            while True:
                await self._look()
                for farm in self._farms.values():
                    farm.moved()
                try:
                    async with asyncio.timeout(LOOK_EACH):
                        await monitor.next()
                except TimeoutError:
                    continue
                await asyncio.sleep(SETTLE)
        finally:
            monitor.close()

    async def _look(self) -> None:
        netlink = await Netlink.open(self._spaces, HOST)
        try:
            link = await netlink.link(self._link)
            addresses = await netlink.addresses(link.index) if link else []
            routes = await netlink.routes() if link else []
        finally:
            await netlink.close()
        seen = observe(addresses, routes, link)
        if seen != self._surroundings:
            log.info(
                "surroundings changed",
                extra={
                    "public": ",".join(map(str, seen.public)) or "none",
                    "families": ",".join(map(str, sorted(seen.families))) or "none",
                },
            )
        self._surroundings = seen
        self._sink.moved(seen)

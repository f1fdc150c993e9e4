"""Network resources that were made by hand, in the kernel: looked at together, mended where they differ.

    kernel = Kernel(spaces, identity, behind=ndmz, rings=…)
    await kernel.tend(locals)        # twice is once; what cannot be mended is in kernel.problems
    await kernel.take_away(locals)
    kernel.close()                   # leaves all of it in the kernel

A look at a hundred that are as they should be is a few requests each and no change. After each change
that somebody makes in one of them `rings` is called with its name.
"""

import functools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Network, ip_address
from typing import Protocol

from agent.identity import Identity
from agent.ndmz.cable import is_whole
from agent.ndmz.plan import USUAL_MTU
from agent.ndmz.plugging import plug, unplug
from agent.ndmz.policy import render_resolv_conf
from agent.ndmz.status import NdmzStatus
from agent.ndmz.workload import Attachment, port_name
from agent.ndmz.workloads import remove_resolver, write_resolver
from agent.nr.building import FORWARDING, build, demolish, is_built
from agent.nr.local import Attached, Local
from agent.nr.plan import cable_of, plan_local
from netns.alarm import Alarm
from netns.glance import Glances
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import View
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)

Views = Mapping[str, View | CannotError]


class Prefixed(Protocol):
    """What the site delegates."""

    @property
    def prefix(self) -> IPv6Network | None: ...


class Behind(Protocol):
    """What carries their way to the Internet: ndmz."""

    @property
    def delegated(self) -> Prefixed: ...

    def status(self) -> NdmzStatus: ...

    def hand(self, subnets: Mapping[str, IPv6Network]) -> None: ...

    async def attach_all(
        self, names: Collection[str], *, watched: bool = False
    ) -> Mapping[str, Attachment | CannotError]: ...

    async def detach(self, *names: str, forget: bool = False) -> None: ...


class Kernel:
    def __init__(
        self, spaces: Spaces, identity: Identity, *, behind: Behind, rings: Callable[[str], None]
    ) -> None:
        self.problems: dict[str, CannotError] = {}  # by the name of a resource
        self.outside: dict[str, Attachment] = {}  # the place of each behind ndmz
        self.absent: set[str] = set()  # workloads whose namespace is not there
        self.loose: dict[str, CannotError] = {}  # workloads that cannot be attached
        self._spaces, self._identity = spaces, identity
        self._behind, self._rings = behind, rings
        self._glances = Glances(spaces)
        self._alarms: dict[str, Alarm] = {}
        self._generations: dict[str, int] = {}

    def stands(self, name: str) -> bool:
        """Whether its namespace and bridge do."""
        return name in self._generations

    @property
    def mtu(self) -> int:
        return self._behind.status().mtu or USUAL_MTU

    def mac(self, local: Local, workload: Attached) -> str:
        """Of the workload's end."""
        return self._identity.mac(f"resource {local.name} {workload.namespace}")

    async def tend(self, locals_: Sequence[Local], *, rang: bool = False) -> None:
        """`rang`: something has changed in each of them, perhaps its way out."""
        spaces = [local.space for local in locals_]
        guests = [w.namespace for local in locals_ for w in local.workloads]
        rules = rang or not all(local.name in self._alarms for local in locals_)
        seen = await self._glances.look(spaces, keys=FORWARDING, rules=rules)
        seen |= await self._glances.look(guests, kind="veth")
        built = [local for local in locals_ if await self._build(local, seen)]
        await self._open_ways([b for b in built if rang or b.name not in self.outside])
        for local in built:
            await self._attach_workloads(local, seen)

    async def take_away(self, locals_: Sequence[Local]) -> None:
        """Raises CannotError, for the first of which something stays."""
        errors = []
        try:
            await self._behind.detach(*(local.space for local in locals_), forget=True)
        except CannotError as error:  # without an ndmz there is no way to take away
            log.info("not detached", extra={"reason": error.message})
        for local in locals_:
            self._forget(local)
            try:
                await demolish(self._spaces, local.space)
            except CannotError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def detach(self, local: Local, workload: Attached) -> None:
        self._forget_workload(workload)
        if await self._spaces.is_ours(local.space):
            netlink = await Netlink.open(self._spaces, local.space)
            try:
                await unplug(netlink, port_name(workload.namespace))
            finally:
                await netlink.close()

    def close(self) -> None:
        for alarm in self._alarms.values():
            alarm.close()
        self._alarms.clear()

    # -- one resource

    async def _build(self, local: Local, seen: Views) -> bool:
        """Whether namespace and bridge stand."""
        want, view = plan_local(local, mtu=self.mtu), seen[local.space]
        if isinstance(view, CannotError):  # what we hold open is of one that is gone
            self._drop(local.name)
        elif is_built(want, view, self._generations.get(local.name, 0)):
            await self._watch(local)
            return True
        try:
            self._generations[local.name] = await build(self._spaces, want)
            await self._watch(local)
        except CannotError as error:
            self._drop(local.name)
            self._complain(local.name, error)
            return False
        self.problems.pop(local.name, None)
        return True

    async def _watch(self, local: Local) -> None:
        if local.name not in self._alarms:
            rings = functools.partial(self._rings, local.name)
            self._alarms[local.name] = await Alarm.open(self._spaces, local.space, rings)

    def _forget(self, local: Local) -> None:
        self._drop(local.name)
        self.problems.pop(local.name, None)
        self._glances.forget(local.space)
        for workload in local.workloads:
            self._forget_workload(workload)

    def _drop(self, name: str) -> None:
        if alarm := self._alarms.pop(name, None):
            alarm.close()
        self._generations.pop(name, None)
        self.outside.pop(name, None)

    # -- their ways out

    async def _open_ways(self, locals_: Sequence[Local]) -> None:
        """To ndmz, which mends them itself from then on."""
        names = {local.space: local.name for local in locals_}
        if not names:
            return
        places: Mapping[str, Attachment | CannotError]
        try:
            places = await self._behind.attach_all(list(names), watched=True)
        except CannotError as error:
            places = dict.fromkeys(names, error)
        for space, place in places.items():
            name = names[space]
            if isinstance(place, CannotError):
                self.outside.pop(name, None)
                self._complain(name, place)
            else:
                self.outside[name] = place
                self.problems.pop(name, None)

    # -- their workloads

    async def _attach_workloads(self, local: Local, seen: Views) -> None:
        for workload in local.workloads:
            far = seen[workload.namespace]
            if isinstance(far, CannotError):
                self.absent.add(workload.namespace)
                continue
            self.absent.discard(workload.namespace)
            try:
                await self._plug(local, workload, seen[local.space], far)
            except CannotError as error:
                if str(error) != str(self.loose.get(workload.namespace)):
                    log.warning(with_hint(error.message, error.hint))
                self.loose[workload.namespace] = error
            else:
                self.loose.pop(workload.namespace, None)
                self._write_resolver(workload.namespace)

    async def _plug(
        self, local: Local, workload: Attached, near: View | CannotError, far: View
    ) -> None:
        mac = self.mac(local, workload)
        cable = cable_of(local, workload, mac=mac, mtu=self.mtu)
        if isinstance(near, View) and is_whole(cable, near.links, far):
            return
        netlink = await Netlink.open(self._spaces, cable.space)
        try:
            await plug(self._spaces, netlink, cable)
        finally:
            await netlink.close()

    def _write_resolver(self, namespace: str) -> None:
        """One that its owner wrote stays."""
        with suppress(OSError):
            servers = map(ip_address, self._behind.status().dns)
            write_resolver(namespace, render_resolv_conf(servers))

    def _forget_workload(self, workload: Attached) -> None:
        self.absent.discard(workload.namespace)
        self.loose.pop(workload.namespace, None)
        self._glances.forget(workload.namespace)
        with suppress(OSError):
            remove_resolver(workload.namespace)

    def _complain(self, name: str, error: CannotError) -> None:
        before = self.problems.get(name)
        if before is None or before.message != error.message:
            log.warning(with_hint(error.message, error.hint))
        self.problems[name] = error

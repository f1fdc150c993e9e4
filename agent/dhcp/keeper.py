"""Keeps a link's lease true in the kernel for as long as it runs.

    await keep_lease(spaces, HOST, "zos", mac, first=load_lease(mac), on_change=changed)

An address is on at once, with the lease's lifetime; announcement, ARP probe, resolv.conf and the
durable copy follow. It comes off only when the lease is over, refused or in conflict, so a keeper
that is killed or cancelled costs no packet. What somebody else takes off is put back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, NoReturn

from agent.dhcp.announce import announce_and_probe
from agent.dhcp.apply import apply_lease, is_applied, prepare_link, withdraw_lease
from agent.dhcp.lease import Lease
from agent.dhcp.machine import Drop, Use
from agent.dhcp.port import LinkPort
from agent.dhcp.record import LeaseRecord
from agent.dhcp.resolv import write_resolv_conf
from agent.dhcp.runner import Client, new_machine
from agent.dhcp.status import KeeperStatus, status_path
from agent.dhcp.store import forget_lease, store_lease
from netns.monitor import Changed, Group, Monitor, Resync
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import Link
from runtime import files
from runtime.clock import boottime
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)
DEFAULT_METRIC = 100
NIC_ROLES = (None, "bond", "vlan")  # of a port of `zos` that has a cable, or stands for one
WAKE_S = 0.01  # after a link's change: it makes several at once, and its switch port wakes up
REPORT_S = 0.02  # after the machine did something: a report costs as much as the whole exchange
SETTLE_S = 0.2  # after somebody else's change, before we look: ours are many small ones


class LinkGoneError(CannotError):
    """The link is not there (any more), or has another MAC and so another lease."""

    def __init__(self, link: str, reason: str) -> None:
        super().__init__(f"cannot keep the lease of {link}: {reason}", code=Exit.NOT_FOUND)


async def keep_lease(
    spaces: Spaces,
    space: str,
    link: str,
    mac: str,
    *,
    first: Lease | None = None,
    on_change: Callable[[Lease | None], Awaitable[None]] | None = None,
    metric: int = DEFAULT_METRIC,
    resolv_conf: Path | None = None,
    static_routes: bool = False,
    avoid: tuple[IPv4Network, ...] = (),
) -> NoReturn:
    """Keep a lease on `link` until cancelled, which leaves everything on.

    `first` is taken over (INIT-REBOOT). `on_change` is told of each lease once it is in the
    kernel, renewed ones too, and None when it is lost. `resolv_conf` gets its name servers.
    Addresses in `avoid` are nobody's to lease to us.
    Raises LinkGoneError, NetlinkError.
    """
    netlink = await Netlink.open(spaces, space)
    try:
        keeper = Keeper(
            spaces,
            space,
            netlink,
            await _look(netlink, link, mac),
            on_change=on_change,
            metric=metric,
            resolv_conf=resolv_conf,
            static_routes=static_routes,
            avoid=avoid,
        )
        if first is not None and any(first.address.ip in own for own in avoid):
            first = None
        await keeper.run(first)
    finally:
        await netlink.close()


async def _look(netlink: Netlink, name: str, mac: str) -> Link:
    link = await netlink.link(name)
    if link is None:
        raise LinkGoneError(name, "there is no such link")
    if link.mac != mac.lower():
        raise LinkGoneError(name, f"its MAC is {link.mac}, not {mac}")
    return link


class Keeper:
    def __init__(
        self,
        spaces: Spaces,
        space: str,
        netlink: Netlink,
        link: Link,
        *,
        on_change: Callable[[Lease | None], Awaitable[None]] | None,
        metric: int,
        resolv_conf: Path | None,
        static_routes: bool,
        avoid: tuple[IPv4Network, ...],
    ) -> None:
        self._spaces, self._space, self._netlink, self._link = spaces, space, netlink, link
        self._on_change, self._metric, self._resolv_conf = on_change, metric, resolv_conf
        self._port = LinkPort(spaces, space, link.name)
        machine = new_machine(link.mac, static_routes=static_routes, avoid=avoid)
        self._client = Client(machine, self._port, self._perform, tell=self._report_soon)
        self._lease: Lease | None = None  # what is in the kernel
        self._kernel = asyncio.Lock()  # one hand on it at a time
        self._guard: asyncio.Task[None] | None = None
        self._guarded: IPv4Interface | None = None  # what was announced on this cable
        self._lost = ""
        self._reporting: asyncio.TimerHandle | None = None
        self._cable = link.carrier

    async def run(self, first: Lease | None) -> NoReturn:
        groups = Group.LINK | Group.ADDRESS | Group.ROUTE
        monitor = await Monitor.open(self._spaces, self._space, groups)
        try:
            await prepare_link(self._spaces, self._space, self._link.name)
            await self._port.listen()
            if not self._link.up:
                await self._netlink.set_link(self._link.index, up=True)
            await _first_end(self._client.run(first=first), self._watch(monitor))
        finally:
            monitor.close()
            await self._end_guard()
            if self._reporting is not None:
                self._report()
        raise AssertionError("the client ended")

    # -- what the machine wants

    async def _perform(self, action: Use | Drop) -> None:
        self._drop_report()  # of what is half done; the next one comes when it is whole
        match action:
            case Use(lease):
                await self._use(lease)
            case Drop(lease, reason):
                await self._drop(lease, reason)

    async def _use(self, lease: Lease) -> None:
        previous = self._lease
        async with self._kernel:
            await apply_lease(
                self._netlink,
                self._link,
                lease,
                now=boottime(),
                metric=self._metric,
                previous=previous,
            )
            self._lease = lease
        if self._guarded != lease.address:
            await self._start_guard(lease)
        if previous is None or previous.address != lease.address:
            log.info("lease in use", extra={"link": self._link.name, "address": lease.address})
        await self._tell(lease)
        if lease != previous:
            await asyncio.to_thread(self._write_down, lease)

    async def _drop(self, lease: Lease, reason: str) -> None:
        log.warning(
            "lease lost",
            extra={"link": self._link.name, "address": lease.address, "reason": reason},
        )
        self._lost = reason
        async with self._kernel:
            self._lease = None
            await withdraw_lease(self._netlink, self._link, lease, metric=self._metric)
        self._guarded = None
        await self._tell(None)
        await asyncio.to_thread(forget_lease, self._link.mac)

    async def _tell(self, lease: Lease | None) -> None:
        if self._on_change is not None:
            await self._on_change(lease)

    def _write_down(self, lease: Lease) -> None:
        """Files; in a thread, because a disk may be slow. A full one must not cost the lease."""
        try:
            store_lease(self._link.mac, lease)
            if self._resolv_conf is not None:
                write_resolv_conf(self._resolv_conf, lease, self._link.name)
        except OSError as error:
            log.warning(
                "lease not written", extra={"path": error.filename, "reason": error.strerror}
            )

    def _report_soon(self) -> None:
        if self._reporting is None:
            self._reporting = asyncio.get_running_loop().call_later(REPORT_S, self._report)

    def _drop_report(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
            self._reporting = None

    def _report(self) -> None:
        self._drop_report()
        status = KeeperStatus(
            link=self._link.name,
            space=self._space,
            mac=self._link.mac,
            state=type(self._client.machine.state).__name__.lower(),
            lease=LeaseRecord.of(self._lease) if self._lease else None,
            lost=self._lost,
            refused=self._client.refused,
            last_refused=self._client.last_refused,
            updated=boottime(),
        )
        with suppress(OSError):  # it is only a report
            files.store(status_path(self._link.name), status, mode=0o644, durable=False)

    # -- what the link does

    async def _watch(self, monitor: Monitor) -> NoReturn:
        await self._look_again()  # a carrier that comes with raising the link is no news
        while True:
            event = await monitor.next()
            elsewhere = isinstance(event, Changed) and event.link not in (None, self._link.index)
            if elsewhere and not (self._link.kind == "bridge" and _is_of_link(event)):
                continue
            was = self._cable
            await self._look_again()
            if self._cable and not was:
                log.info("carrier is back", extra={"link": self._link.name})
                self._guarded = None
                await self._repair()
                self._client.reconnect()
            elif not _is_of_link(event):
                await asyncio.sleep(SETTLE_S)
                now = await _look(self._netlink, self._link.name, self._link.mac)
                if now.up:  # somebody takes the link apart: its events are still to come
                    await self._repair()

    async def _look_again(self) -> None:
        await asyncio.sleep(WAKE_S)
        was, self._link = self._link, await _look(self._netlink, self._link.name, self._link.mac)
        if self._link.index != was.index:
            raise LinkGoneError(was.name, "it was made anew")
        self._cable = await self._has_cable()

    async def _has_cable(self) -> bool:
        """Of a bridge the NIC's counts: ports of our own always have a carrier."""
        link = self._link
        if link.kind != "bridge" or not link.carrier:
            return link.carrier
        ports = [p for p in await self._netlink.links() if p.master == link.index]
        nics = [port for port in ports if port.role in NIC_ROLES and not port.half_made]
        return not nics or any(nic.carrier for nic in nics)

    async def _repair(self) -> None:
        """Put the lease back where somebody, or a link that was down, took it off."""
        async with self._kernel:
            lease = self._lease
            if lease is None or not self._link.up or not lease.is_valid(boottime()):
                return
            if not await is_applied(self._netlink, self._link, lease, metric=self._metric):
                log.info("lease put back", extra={"link": self._link.name})
                await apply_lease(
                    self._netlink, self._link, lease, now=boottime(), metric=self._metric
                )

    # -- whether somebody else has our address

    async def _start_guard(self, lease: Lease) -> None:
        await self._end_guard()
        self._guarded = lease.address
        self._guard = asyncio.create_task(self._watch_for_others(lease))

    async def _watch_for_others(self, lease: Lease) -> None:
        try:
            holder = await announce_and_probe(
                self._spaces, self._space, self._link.name, self._link.mac, lease.address.ip
            )
        except CannotError as error:  # the link is going; `_watch` will say so
            log.debug("not announced", extra={"reason": error.message})
            return
        if holder is not None:
            self._client.conflict(holder)

    async def _end_guard(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.gather(self._guard, return_exceptions=True)
            self._guard = None


def _is_of_link(event: Changed | Resync) -> bool:
    return isinstance(event, Changed) and event.kind == "link"


async def _first_end(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends; its error is ours."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

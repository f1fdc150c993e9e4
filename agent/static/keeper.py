"""Has a link's static addresses and default routes in the kernel for as long as it runs.

    await keep_fixed(spaces, HOST, "zos", fixed, resolv_conf=path)

Cancelling leaves everything on. What somebody takes off is put back. That another host uses one of
the addresses is reported; it stays all the same, as a person said so.
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import NoReturn

from agent.dhcp.announce import announce_and_probe
from agent.dhcp.keeper import DEFAULT_METRIC, SETTLE_S, LinkGoneError
from agent.dhcp.resolv import write_servers
from agent.dhcp.status import KeeperStatus, status_path
from agent.static.config import Fixed
from netns.monitor import Group, Monitor
from netns.netlink import Netlink, NetlinkError
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from netns.values import IPAddress, Link, Protocol
from runtime import files
from runtime.clock import boottime
from runtime.failure import CannotError

log = logging.getLogger(__name__)
# The link is down, or IPv6 is off for the moment: what is missing waits until it can be there.
NOT_YET = (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES)


async def ensure_fixed(netlink: Netlink, link: Link, fixed: Fixed, *, metric: int) -> bool:
    """Have it on `link`; True when something was missing. Twice is once. Raises NetlinkError."""
    have = {address.interface for address in await netlink.addresses(link.index)}
    routes = {
        route.via
        for route in await netlink.routes()
        if route.destination is None and route.link == link.index and route.metric == metric
    }
    missing = [a for a in fixed.addresses if a not in have]
    lost = [g for g in fixed.gateways if g not in routes]
    for address in missing:
        await _unless_not_yet(link, netlink.replace_address(link.index, address))
    for gateway in lost:
        route = netlink.replace_route(
            None, link=link.index, via=gateway, metric=metric, protocol=Protocol.STATIC
        )
        await _unless_not_yet(link, route)
    return bool(missing or lost)


async def withdraw_fixed(netlink: Netlink, link: Link, fixed: Fixed, *, metric: int) -> None:
    """Take it off again. Raises NetlinkError."""
    for gateway in fixed.gateways:
        await netlink.delete_route(None, link=link.index, via=gateway, metric=metric)
    for address in fixed.addresses:
        await netlink.delete_address(link.index, address)


async def _unless_not_yet(link: Link, work: Awaitable[None]) -> None:
    try:
        await work
    except NetlinkError as error:
        if error.errno not in NOT_YET:
            raise
        log.debug("not set yet", extra={"link": link.name, "reason": error.message})


async def keep_fixed(
    spaces: Spaces,
    space: str,
    name: str,
    fixed: Fixed,
    *,
    metric: int = DEFAULT_METRIC,
    resolv_conf: Path | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> NoReturn:
    """Keep `fixed` on the link until cancelled; `on_change` is called when it has been put there.

    Raises LinkGoneError when it is not there or has got another MAC, NetlinkError.
    """
    netlink = await Netlink.open(spaces, space)
    groups = Group.LINK | Group.ADDRESS | Group.ROUTE
    monitor = await Monitor.open(spaces, space, groups)
    try:
        await _Keeper(spaces, netlink, fixed, metric, on_change).run(name, monitor, resolv_conf)
    finally:
        monitor.close()
        await netlink.close()


class _Keeper:
    def __init__(
        self,
        spaces: Spaces,
        netlink: Netlink,
        fixed: Fixed,
        metric: int,
        on_change: Callable[[], None],
    ) -> None:
        self._spaces, self._netlink, self._fixed, self._metric = spaces, netlink, fixed, metric
        self._on_change = on_change
        self._others: dict[IPAddress, str] = {}  # who else has an address of ours
        self._guards: set[asyncio.Task[None]] = set()

    async def run(self, name: str, monitor: Monitor, resolv_conf: Path | None) -> NoReturn:
        first = link = await self._look(name)
        if not link.up:
            await self._netlink.set_link(link.index, up=True)
        # Without this the old address of a subnet takes the others of the same subnet with it.
        await set_sysctls(
            self._spaces,
            self._netlink.space,
            {f"net/ipv4/conf/{name}/promote_secondaries": "1"},
        )
        had_carrier = False
        try:
            while True:
                link = await self._look(name)
                if (link.index, link.mac) != (first.index, first.mac):
                    raise LinkGoneError(name, "it was made anew, or has another MAC")
                await self._put(link)
                if link.carrier and not had_carrier:
                    self._announce(link)
                had_carrier = link.carrier
                self._write_down(link, resolv_conf)
                await monitor.next()
                await asyncio.sleep(SETTLE_S)
        finally:
            for guard in self._guards:
                guard.cancel()

    async def _look(self, name: str) -> Link:
        link = await self._netlink.link(name)
        if link is None:
            raise LinkGoneError(name, "there is no such link")
        return link

    async def _put(self, link: Link) -> None:
        if await ensure_fixed(self._netlink, link, self._fixed, metric=self._metric):
            log.info("static addresses set", extra={"link": link.name})
            self._on_change()

    def _announce(self, link: Link) -> None:
        """Tell the neighbours our MAC, and hear whether somebody else has the address (IPv4; for
        IPv6 the kernel does that).
        """
        for ip in (interface.ip for interface in self._fixed.addresses):
            if isinstance(ip, IPv4Address):
                guard = asyncio.create_task(self._watch_for_others(link, ip))
                self._guards.add(guard)
                guard.add_done_callback(self._guards.discard)

    async def _watch_for_others(self, link: Link, address: IPv4Address) -> None:
        try:
            holder = await announce_and_probe(
                self._spaces, self._netlink.space, link.name, link.mac, address
            )
        except CannotError as error:  # the link is going; `run` will say so
            log.debug("not announced", extra={"reason": error.message})
            return
        if holder is None:
            self._others.pop(address, None)
        else:
            log.error("address in use", extra={"address": address, "mac": holder})
            self._others[address] = holder
        self._report(link)

    def _write_down(self, link: Link, resolv_conf: Path | None) -> None:
        """Files; a full disk must not cost the addresses."""
        self._report(link)
        if resolv_conf is not None:
            try:
                write_servers(resolv_conf, self._fixed.servers, f"agent.yaml for {link.name}")
            except OSError as error:
                log.warning("not written", extra={"path": error.filename, "reason": error.strerror})

    def _report(self, link: Link) -> None:
        others = [f"{address} is also {mac}'s" for address, mac in self._others.items()]
        status = KeeperStatus(
            link=link.name,
            space=self._netlink.space,
            mac=link.mac,
            state="static",
            lease=None,
            lost="; ".join(others),
            updated=boottime(),
        )
        with suppress(OSError):  # it is only a report
            files.store(status_path(link.name), status, mode=0o644, durable=False)

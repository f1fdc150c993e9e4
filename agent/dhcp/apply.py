"""A lease as kernel state: its address with its lifetime, and its routes.

    await apply_lease(netlink, link, lease, now=boottime(), metric=100, previous=old)

Twice is once. What a new lease needs is there before what only the old one had goes. The address
dies in the kernel when the lease does, whether or not anybody is left to take it off.
"""

import errno
import logging
from ipaddress import IPv4Address, IPv4Network

from agent.dhcp.lease import FOREVER, Lease
from netns.netlink import Netlink, NetlinkError
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from netns.values import Link, Protocol

log = logging.getLogger(__name__)
IPV6_MIN_MTU = 1280
NOT_YET = (errno.ENETDOWN, errno.ENETUNREACH)  # the link is down: routes wait until it is up

RouteKey = tuple[IPv4Network | None, IPv4Address | None]  # destination (None: default), via


async def prepare_link(spaces: Spaces, space: str, link: str) -> None:
    """Without this the old address of a subnet takes the new one of the same subnet with it."""
    await set_sysctls(spaces, space, {f"net/ipv4/conf/{link}/promote_secondaries": "1"})


async def apply_lease(
    netlink: Netlink,
    link: Link,
    lease: Lease,
    *,
    now: float,
    metric: int,
    previous: Lease | None = None,
) -> None:
    """Have `lease` on `link`, then take off what only `previous` had. Raises NetlinkError."""
    remaining = lease.remaining_s(now)
    life = None if remaining == FOREVER else max(1, remaining)
    await netlink.replace_address(link.index, lease.address, valid_s=life, preferred_s=life)
    await _add_routes(netlink, link, lease, metric=metric)
    if lease.mtu is not None and IPV6_MIN_MTU <= lease.mtu < link.mtu:
        # Never below: the kernel then takes IPv6 off the link.
        await netlink.set_link(link.index, mtu=lease.mtu)
    if previous is not None:
        await _remove_rest(netlink, link, previous, keep=lease, metric=metric)


async def withdraw_lease(netlink: Netlink, link: Link, lease: Lease, *, metric: int) -> None:
    """Take `lease` off. Raises NetlinkError."""
    await _remove_rest(netlink, link, lease, keep=None, metric=metric)


async def is_applied(netlink: Netlink, link: Link, lease: Lease, *, metric: int) -> bool:
    """Whether address and routes are there. Lifetimes are the kernel's business."""
    addresses = {address.interface for address in await netlink.addresses(link.index)}
    if lease.address not in addresses:
        return False
    have = {
        (route.destination, route.via)
        for route in await netlink.routes(4)
        if route.link == link.index and route.metric == metric
    }
    return all(key in have for key in _routes(lease))


def _routes(lease: Lease) -> list[RouteKey]:
    """Routes to have, the default one last: it may not come before what it is reached by."""
    routes: list[RouteKey] = [(route.destination, route.via) for route in lease.routes]
    if lease.router is not None:
        routes.append((None, lease.router))
    return routes


async def _add_routes(netlink: Netlink, link: Link, lease: Lease, *, metric: int) -> None:
    for destination, via in _routes(lease):
        try:
            await netlink.replace_route(
                destination,
                link=link.index,
                via=via,
                metric=metric,
                family=4,
                onlink=via is not None and via not in lease.address.network,
                protocol=Protocol.DHCP,
            )
        except NetlinkError as error:
            if error.errno not in NOT_YET:
                raise
            log.warning("route not set", extra={"link": link.name, "reason": error.message})


async def _remove_rest(
    netlink: Netlink, link: Link, old: Lease, *, keep: Lease | None, metric: int
) -> None:
    kept = _routes(keep) if keep is not None else []
    # A kept route has displaced an old one to the same destination already.
    displaced = {destination for destination, _ in kept}
    for destination, via in _routes(old):
        if destination not in displaced:
            await netlink.delete_route(
                destination, link=link.index, via=via, metric=metric, family=4
            )
    if keep is None or keep.address != old.address:
        await netlink.delete_address(link.index, old.address)

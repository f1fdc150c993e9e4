"""What a hostile router can make of an uplink's IPv6, and its undoing.

A router advertisement may call any prefix on-link, and the kernel believes it: with ::/0 each address
of the Internet is looked for among the neighbours, with the workloads' own /64 their answers are. Such
routes are no LAN's, and are taken off as soon as they are seen; default routes are others.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv6Network

from msgspec import Struct

from agent.ndmz.apply import Hands
from agent.ndmz.guard import UPLINK6
from agent.ndmz.plan import ZOS
from netns.netlink import Netlink
from netns.values import Address, Link, Protocol, Route, View

log = logging.getLogger(__name__)
SHORTEST = 64  # SLAAC makes no address of another length (RFC 4862, 5.5.3)


class Traps(Struct, frozen=True):
    routes: tuple[Route, ...] = ()
    addresses: tuple[Address, ...] = ()


def find_traps(
    link: int, routes: Iterable[Route], addresses: Collection[Address], inside: IPv6Network
) -> Traps:
    """`inside`: the workloads' network. A prefix that somebody gave the link an address of is theirs
    to say; it may be a short one.
    """
    held = {
        a.interface.network for a in addresses if a.link == link and a.interface.ip not in inside
    }
    on_link = (
        r for r in routes if r.link == link and r.via is None and r.protocol == Protocol.KERNEL
    )
    return Traps(
        routes=tuple(
            r
            for r in on_link
            if r.family == 6 and _is_trap(r, inside) and r.destination not in held
        ),
        addresses=tuple(a for a in addresses if a.link == link and a.interface.ip in inside),
    )


def _is_trap(route: Route, inside: IPv6Network) -> bool:
    to = route.destination
    return to is None or to.prefixlen < SHORTEST or (to.version == 6 and to.overlaps(inside))


async def undo_traps(
    hands: Hands,
    ndmz: View,
    host: Mapping[str, Link],
    host_addresses: Collection[Address],
    inside: IPv6Network,
) -> None:
    """On npub6 and on zos. Raises NetlinkError."""
    if npub6 := ndmz.links.get(UPLINK6):
        await _undo(hands.ndmz, find_traps(npub6.index, ndmz.routes, ndmz.addresses, inside))
    if zos := host.get(ZOS):
        routes = await hands.host.routes(6)
        await _undo(hands.host, find_traps(zos.index, routes, host_addresses, inside))


async def _undo(netlink: Netlink, traps: Traps) -> None:
    for address in traps.addresses:
        await netlink.delete_address(address.link, address.interface)
        log.debug("address of a router undone", extra={"address": address.interface})
    for route in traps.routes:
        await netlink.delete_route(
            route.destination, link=route.link or 0, metric=route.metric, family=6
        )
        log.debug("route of a router undone", extra={"to": route.destination or "::/0"})

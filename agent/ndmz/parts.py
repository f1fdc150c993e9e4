"""The delegated prefix in ndmz's routes: each part leads to its workload, and the rest nowhere.

    await hand_on(netlink, view, prefix, workloads)      # twice is once

RFC 7084, WPD-5: no packet may go in circles between the site's router and this node. Routes of ours are
known by their protocol.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

from msgspec import Struct

from agent.ndmz.guard import INSIDE
from agent.ndmz.workload import Attachment
from netns.netlink import Netlink
from netns.values import Protocol, Route, View

METRIC = 128  # before what a router may call on-link, which the kernel gives 256


class Parts(Struct, frozen=True):
    """Routes to make, refuse, admit again, and take away; in that order."""

    add: tuple[tuple[IPv6Network, IPv6Address], ...] = ()
    refuse: tuple[IPv6Network, ...] = ()
    admit: tuple[IPv6Network, ...] = ()
    delete: tuple[IPv6Network, ...] = ()


def diff_parts(prefix: IPv6Network | None, places: Iterable[Attachment], view: View) -> Parts:
    """`view`: of ndmz; without tonrs there is nobody to lead to."""
    inside = view.links.get(INSIDE)
    if inside is None:
        return Parts()
    wanted = {
        place.subnet: place.ip6.ip
        for place in places
        if place.subnet is not None and prefix is not None and place.subnet.subnet_of(prefix)
    }
    have = dict(_ours(route for route in view.routes if route.link == inside.index))
    refused = dict(_ours(view.refused))
    rest = [prefix] if prefix is not None and prefix not in wanted else []
    return Parts(
        add=tuple((net, via) for net, via in wanted.items() if have.get(net) != via),
        refuse=tuple(net for net in rest if net not in refused),
        admit=tuple(net for net in refused if net not in rest and net not in wanted),
        delete=tuple(net for net in have if net not in wanted and net not in rest),
    )


async def hand_on(
    netlink: Netlink, view: View, prefix: IPv6Network | None, places: Iterable[Attachment]
) -> None:
    """Raises NetlinkError."""
    parts = diff_parts(prefix, places, view)
    for net, via in parts.add:
        link = view.links[INSIDE].index
        await netlink.replace_route(net, link=link, via=via, metric=METRIC, protocol=Protocol.DHCP)
    for net in parts.refuse:
        await netlink.refuse_route(net, protocol=Protocol.DHCP)
    for net in parts.admit:
        await netlink.admit_route(net, protocol=Protocol.DHCP)
    for net in parts.delete:
        await netlink.delete_route(net, link=view.links[INSIDE].index)


def _ours(routes: Iterable[Route]) -> list[tuple[IPv6Network, IPv6Address | None]]:
    return [
        (route.destination, route.via if isinstance(route.via, IPv6Address) else None)
        for route in routes
        if route.protocol == Protocol.DHCP and isinstance(route.destination, IPv6Network)
    ]

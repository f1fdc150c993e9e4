"""What a network resource should be, and the steps that lead there from what is. Pure.

    want = plan_resource(network, membership, settings, uplink_mtu=1500)
    for step in diff(want, seen): ...

In `n-<id>`: `w-<id>` holds the overlay addresses and the routes to the network's ranges; bridge
`b-<id>` holds the first address of each prefix of our own, where workloads of this network live;
`public` leads to ndmz. Adding comes before deleting.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Network, ip_address, ip_interface
from typing import TypeVar

from msgspec import Struct

from agent.ndmz.cable import Cable
from agent.ndmz.workload import port_name
from agent.nr.local import Attached, Local, first_address
from netns.values import Address, IPInterface, IPNetwork, Link, Protocol, Route
from protocol.ids import short_id
from protocol.messages import Settings
from protocol.packing import unpack_network
from protocol.statements import Membership

T = TypeVar("T")

MIN_MTU = 1280  # IPv6 needs it (RFC 8200, section 5)
OVERHEAD = 80  # outer IPv6 and UDP header, WireGuard's header, counter and tag
BRIDGE_ROLE = "bridge"


class Names(Struct, frozen=True):
    """What the parts of a network's resource are called on every node; one that was made by hand
    has no device.
    """

    space: str
    bridge: str
    device: str

    @classmethod
    def of(cls, network: str) -> "Names":
        short = short_id(network)
        return cls(f"n-{short}", f"b-{short}", f"w-{short}")


class Resource(Struct, frozen=True):
    names: Names
    addresses: frozenset[IPInterface]  # on the device
    gateways: frozenset[IPInterface]  # on the bridge
    routes: frozenset[IPNetwork]  # by the device
    mtu: int
    transit: bool
    routed: IPv6Network | None = None  # a range that leaves with its own addresses


class Seen(Struct, frozen=True):
    """What is in the namespace."""

    links: Mapping[str, Link]
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()


class AddBridge(Struct, frozen=True):
    name: str


class SetMtu(Struct, frozen=True):
    link: str
    mtu: int


class SetUp(Struct, frozen=True):
    link: str


class AddAddress(Struct, frozen=True):
    link: str
    interface: IPInterface


class DeleteAddress(Struct, frozen=True):
    link: str
    interface: IPInterface


class AddRoute(Struct, frozen=True):
    link: str
    destination: IPNetwork


class DeleteRoute(Struct, frozen=True):
    link: str
    destination: IPNetwork


Step = AddBridge | SetMtu | SetUp | AddAddress | AddRoute | DeleteRoute | DeleteAddress


def overlay_mtu(uplink: int, chosen: int = 0) -> int:
    """What fits into the uplink's packets, or less when the network says so."""
    fits = max(MIN_MTU, uplink - OVERHEAD)
    return min(fits, max(MIN_MTU, chosen)) if chosen else fits


def plan_resource(
    network: str, membership: Membership, settings: Settings, *, uplink_mtu: int
) -> Resource:
    """`membership` was verified; ranges of `settings` that cannot be read are left out."""
    addresses = frozenset(membership.interfaces)
    connected = {interface.network for interface in addresses}
    wanted = {*_readable(settings.ranges), *(_readable(r[0] for r in settings.routes))}
    own = set(membership.networks)
    return Resource(
        names=Names.of(network),
        addresses=addresses,
        gateways=frozenset(first_address(prefix) for prefix in own),
        routes=frozenset(wanted - connected - own),
        mtu=overlay_mtu(uplink_mtu, settings.mtu),
        transit=not {"transit", "hub"}.isdisjoint(membership.roles),
    )


def plan_local(local: Local, *, mtu: int) -> Resource:
    """One that was made by hand: no overlay."""
    return Resource(
        names=Names(local.space, local.bridge, ""),
        addresses=frozenset(),
        gateways=frozenset(local.gateways),
        routes=frozenset(),
        mtu=mtu,
        transit=False,
        routed=IPv6Network(local.ipv6) if local.delegated and local.ipv6 else None,
    )


def cable_of(local: Local, workload: Attached, *, mac: str, mtu: int) -> Cable:
    """Workloads of one resource may speak to each other."""
    lengths = {prefix.version: prefix.prefixlen for prefix in local.ranges}
    addresses = [ip_address(text) for text in workload.addresses]
    return Cable(
        space=local.space,
        bridge=local.bridge,
        port=port_name(workload.namespace),
        isolated=False,
        workload=workload.namespace,
        link=workload.link,
        mac=mac,
        interfaces=tuple(ip_interface((a, lengths[a.version])) for a in addresses),
        gateways=tuple(gateway.ip for gateway in local.gateways),
        mtu=mtu,
    )


def diff(want: Resource, seen: Seen) -> list[Step]:
    """The device is not made here: it is a process's, or the kernel's."""
    steps: list[Step] = []
    device, bridge = want.names.device, want.names.bridge
    parts = [(link, a) for link, a in ((device, want.addresses), (bridge, want.gateways)) if link]
    if bridge not in seen.links:
        steps.append(AddBridge(bridge))
    for link, addresses in parts:
        known = seen.links.get(link)
        if known is None or known.mtu != want.mtu:
            steps.append(SetMtu(link, want.mtu))
        have = _addresses(seen, link)
        steps += [AddAddress(link, a) for a in _ordered(addresses - have)]
        if known is None or not known.up:
            steps.append(SetUp(link))
    routes = _routes(seen, device)
    steps += [AddRoute(device, r) for r in _ordered(want.routes - routes)]
    steps += [DeleteRoute(device, r) for r in _ordered(routes - want.routes)]
    for link, addresses in parts:
        extra = _addresses(seen, link) - addresses
        steps += [DeleteAddress(link, a) for a in _ordered(extra)]
    return steps


def _readable(packed: Iterable[bytes]) -> Iterable[IPNetwork]:
    for data in packed:
        try:
            prefix = unpack_network(data)
        except ValueError:
            continue
        if prefix.prefixlen:  # the default route is ndmz's
            yield prefix


def _addresses(seen: Seen, link: str) -> set[IPInterface]:
    known = seen.links.get(link)
    if known is None:
        return set()
    return {
        a.interface
        for a in seen.addresses
        if a.link == known.index and not a.interface.ip.is_link_local
    }


def _routes(seen: Seen, link: str) -> set[IPNetwork]:
    """Ours only: not what the kernel makes out of addresses."""
    known = seen.links.get(link)
    if known is None:
        return set()
    return {
        r.destination
        for r in seen.routes
        if r.link == known.index and r.destination is not None and r.protocol == Protocol.STATIC
    }


def _ordered(values: Iterable[T]) -> list[T]:
    return sorted(values, key=str)

"""What ndmz is made of, and the steps from what is there to what should be. Pure.

    steps = plan_links(wanted, host=host_links, ndmz=ndmz_links)
    for step in steps: …                  # runner.py; when all are done there are none left

A link with one of our names that is not ours is left as it is and named: `Blocked`. Addresses and
default routes that somebody took from tonrs or a port come back in the same way.
"""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network
from typing import TypeAlias

from msgspec import Struct

from agent.boot.recover import BR_PUB
from agent.dhcp import wire
from agent.ndmz import pair as cable
from agent.ndmz.egress import own_port
from agent.ndmz.guard import BRIDGE_END, INSIDE, UPLINK4, UPLINK6
from agent.ndmz.pair import Pair
from netns.values import Address, Link, Route

NO_ZOS = "there is no bridge zos; zosnet-agent internet makes it when there is an uplink"
SPACE = "ndmz"
BRIDGE, ZOS = "br-ndmz", "zos"
HOST = ""  # the namespace networkd runs in
HOST_ENDS = HOST4, HOST6 = "ndz4", "ndz6"
INSIDE4 = wire.INSIDE
INSIDE4_GATEWAY = IPv4Interface("100.127.0.1/16")
GATEWAY6 = IPv6Interface("fe80::1/64")
USUAL_MTU = 1500
MIN_MTU = 1280  # IPv6 needs it (RFC 8200, section 5)


class Wanted(Struct, frozen=True):
    """What depends on the node: its addresses and the MACs that follow from its key."""

    ula: IPv6Network  # the /64 behind tonrs
    mac4: str
    mac4_pub: str  # on br-pub
    mac6: str
    mac_inside: str
    ipv6: bool = True
    own4: bool = True  # a lease of its own is asked for
    pair: Pair | None = None  # the host's IPv4 is shared

    @property
    def inside_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        return (INSIDE4_GATEWAY, GATEWAY6, IPv6Interface((int(self.ula[1]), 64)))

    def mac4_on(self, bridge: str) -> str:
        """A lease of one LAN is never asked for on the other."""
        return self.mac4_pub if bridge == BR_PUB else self.mac4


class AddBridge(Struct, frozen=True):
    name: str
    role: str


class AddVeth(Struct, frozen=True):
    """`name` in ndmz; `peer` in `peer_space`."""

    name: str
    role: str
    mac: str | None
    peer: str
    peer_space: str
    peer_role: str


class SetPort(Struct, frozen=True):
    """Make link `name` in `space` a port of bridge `master`, and bring it up."""

    space: str
    name: str
    master: str
    isolated: bool


class SetUp(Struct, frozen=True):
    space: str
    name: str
    mac: str | None = None


class AddAddress(Struct, frozen=True):
    name: str
    interface: IPv4Interface | IPv6Interface
    space: str = SPACE


class AddDefault(Struct, frozen=True):
    """ndmz's default route by the host."""

    name: str
    via: IPv4Address
    metric: int


class SetMtu(Struct, frozen=True):
    space: str
    name: str
    mtu: int


class DeleteLink(Struct, frozen=True):
    space: str
    name: str


class Blocked(Struct, frozen=True):
    """Nothing to do: somebody else's link has our name, or a link that we need is not there."""

    space: str
    name: str
    reason: str


Step: TypeAlias = (
    AddBridge | AddVeth | SetPort | SetUp | SetMtu | AddAddress | AddDefault | DeleteLink | Blocked
)


def uplink_bridge(host: Mapping[str, Link]) -> str:
    """Where ndmz's uplinks are: `br-pub` while a NIC is in it. `host`: its links by name."""
    return ZOS if own_port(host) is None else BR_PUB


def uplink_mtu(host: Mapping[str, Link]) -> int:
    """The largest packet that the uplink takes: as the NIC says, or the lease, which `zos` has."""
    bridge = host.get(uplink_bridge(host))
    return max(MIN_MTU, min(bridge.mtu, _nic_mtu(host))) if bridge is not None else USUAL_MTU


def _nic_mtu(host: Mapping[str, Link]) -> int:
    """Of the bridge without our own ends: what they have follows from it."""
    bridge = host[uplink_bridge(host)]
    nics = [
        link.mtu
        for name, link in host.items()
        if link.master == bridge.index and name not in HOST_ENDS
    ]
    return min(nics, default=bridge.mtu)


def plan_links(
    wanted: Wanted,
    *,
    host: Mapping[str, Link],
    ndmz: Mapping[str, Link],
    addresses: Iterable[Address] = (),
    host_addresses: Iterable[Address] = (),
    routes: Iterable[Route] = (),
) -> tuple[Step, ...]:
    """The steps that are missing; `host` and `ndmz` are their links by name, `routes` ndmz's."""
    near, far = ((cable.NEAR,), (cable.FAR,)) if wanted.pair else ((), ())
    names = (
        (SPACE, ndmz, (BRIDGE, INSIDE, BRIDGE_END, UPLINK4, UPLINK6, *near)),
        (HOST, host, (*HOST_ENDS, *far)),
    )
    foreign = [
        _foreign(space, name)
        for space, links, ours in names
        for name in ours
        if name in links and not _is_ours(links[name])
    ]
    torn = [
        DeleteLink(space, name)
        for space, links, ours in names
        for name in ours
        if name in links and links[name].half_made
    ]
    blocked = {step.name for step in foreign}
    ndmz = {name: link for name, link in ndmz.items() if not link.half_made}
    host = {name: link for name, link in host.items() if not link.half_made}
    steps: list[Step] = [*foreign, *torn]
    if BRIDGE not in blocked:
        steps += _bridge(ndmz)
    if not blocked & {BRIDGE, INSIDE, BRIDGE_END}:
        steps += _inside(wanted, ndmz, addresses)
    mac4 = wanted.mac4_on(uplink_bridge(host))
    for name, host_end, mac in ((UPLINK4, HOST4, mac4), (UPLINK6, HOST6, wanted.mac6)):
        if blocked & {name, host_end}:
            continue
        if wanted.own4 if name == UPLINK4 else wanted.ipv6:
            steps += _uplink(name, host_end, mac, host, ndmz)
        elif name in ndmz:
            steps.append(DeleteLink(SPACE, name))
    if wanted.pair is None:
        steps += [DeleteLink(SPACE, name) for name in (cable.NEAR,) if name in ndmz]
    elif not blocked & {cable.NEAR, cable.FAR}:
        steps += _ends(host, ndmz)
        held = (*_held(ndmz, addresses), *_held(host, host_addresses))
        steps += _shared(wanted.pair, host, ndmz, held, routes)
    going = {step.name for step in steps if isinstance(step, DeleteLink)}
    return (*steps, *_mtus(host, ndmz, blocked | going))


def _mtus(
    host: Mapping[str, Link], ndmz: Mapping[str, Link], spared: Collection[str]
) -> list[Step]:
    """Of what is there and stays: one that is made now has the usual size, and its event comes.

    The ports of the bridge are as large as the NIC, or it would be smaller for their sake.
    """
    if uplink_bridge(host) not in host:
        return []
    mtu = uplink_mtu(host)
    inside = (UPLINK4, UPLINK6, INSIDE, BRIDGE_END, cable.NEAR)
    wanted = [*((SPACE, name, ndmz, mtu) for name in inside), (HOST, cable.FAR, host, mtu)]
    wanted += [(HOST, name, host, max(MIN_MTU, _nic_mtu(host))) for name in HOST_ENDS]
    return [
        SetMtu(space, name, size)
        for space, name, links, size in wanted
        if name in links and name not in spared and links[name].mtu != size
    ]


def _ends(host: Mapping[str, Link], ndmz: Mapping[str, Link]) -> list[Step]:
    """Both ends of the cable to the host, or both anew."""
    near, far = ndmz.get(cable.NEAR), host.get(cable.FAR)
    steps: list[Step] = []
    if near is None and far is not None:
        steps.append(DeleteLink(HOST, cable.FAR))
    if near is not None and far is None:
        steps.append(DeleteLink(SPACE, cable.NEAR))
    if near is None or far is None:
        steps.append(AddVeth(cable.NEAR, cable.NEAR, None, cable.FAR, HOST, cable.FAR))
    return steps


Held: TypeAlias = tuple[str, IPv4Interface | IPv6Interface]


def _held(links: Mapping[str, Link], addresses: Iterable[Address]) -> list[Held]:
    names = {link.index: link.name for link in links.values()}
    return [(names[a.link], a.interface) for a in addresses if a.link in names]


def _shared(
    pair: Pair,
    host: Mapping[str, Link],
    ndmz: Mapping[str, Link],
    held: Iterable[Held],
    routes: Iterable[Route],
) -> list[Step]:
    """Addresses, up, and the way out; all of it when an end is made anew."""
    near, far = ndmz.get(cable.NEAR), host.get(cable.FAR)
    whole = near is not None and far is not None
    have = set(held) if whole else set()
    steps: list[Step] = []
    for space, name, own in ((HOST, cable.FAR, pair.host), (SPACE, cable.NEAR, pair.ndmz)):
        link = (host if space == HOST else ndmz).get(name)
        if (name, own) not in have:
            steps.append(AddAddress(name, own, space))
        if not (whole and link is not None and link.up):
            steps.append(SetUp(space, name))
    index = near.index if near is not None and whole else None
    ways = {(r.link, r.via) for r in routes if r.destination is None}
    if (index, pair.host.ip) not in ways:
        steps.append(AddDefault(cable.NEAR, pair.host.ip, cable.METRIC))
    return steps


def _bridge(ndmz: Mapping[str, Link]) -> list[Step]:
    there = ndmz.get(BRIDGE)
    if there is None:
        return [AddBridge(BRIDGE, BRIDGE), SetUp(SPACE, BRIDGE)]
    return [] if there.up else [SetUp(SPACE, BRIDGE)]


def _inside(wanted: Wanted, ndmz: Mapping[str, Link], addresses: Iterable[Address]) -> list[Step]:
    """tonrs and its other end, the one port of br-ndmz that all others may talk to."""
    there, end = ndmz.get(INSIDE), ndmz.get(BRIDGE_END)
    steps: list[Step] = []
    if there is None:
        steps.append(AddVeth(INSIDE, INSIDE, wanted.mac_inside, BRIDGE_END, SPACE, BRIDGE_END))
    if end is None or not end.up or end.isolated or not _is_port(end, BRIDGE, ndmz):
        steps.append(SetPort(SPACE, BRIDGE_END, BRIDGE, isolated=False))
    steps += _up(SPACE, INSIDE, wanted.mac_inside, there)
    index = there.index if there is not None else None
    held = {a.interface for a in addresses if a.link == index}
    return steps + [
        AddAddress(INSIDE, interface)
        for interface in wanted.inside_addresses
        if interface not in held
    ]


def _uplink(
    name: str, host_end: str, mac: str, host: Mapping[str, Link], ndmz: Mapping[str, Link]
) -> list[Step]:
    """On another LAN it is another link: with the old one goes all that it had learnt there."""
    there, end = ndmz.get(name), host.get(host_end)
    bridge = uplink_bridge(host)
    elsewhere = end is not None and _is_port(end, BR_PUB if bridge == ZOS else ZOS, host)
    steps: list[Step] = []
    if there is None and end is not None:  # its other half went with an earlier namespace
        steps.append(DeleteLink(HOST, host_end))
    if there is not None and (end is None or elsewhere):  # or somebody moved it away
        steps.append(DeleteLink(SPACE, name))
    if there is None or end is None or elsewhere:
        steps.append(AddVeth(name, name, mac, host_end, HOST, host_end))
        there = end = None
    if bridge not in host:
        steps.append(Blocked(HOST, ZOS, NO_ZOS))
    elif end is None or not end.up or not _is_port(end, bridge, host):
        steps.append(SetPort(HOST, host_end, bridge, isolated=False))
    return [*steps, *_up(SPACE, name, mac, there)]


def _is_ours(link: Link) -> bool:
    return link.role == link.name or link.half_made


def _up(space: str, name: str, mac: str, link: Link | None) -> list[Step]:
    if link is not None and link.up and link.mac == mac:
        return []
    return [SetUp(space, name, mac)]


def _is_port(link: Link, bridge: str, links: Mapping[str, Link]) -> bool:
    return bridge in links and link.master == links[bridge].index


def _foreign(space: str, name: str) -> Blocked:
    where = f"ip -n {space} link" if space else "ip link"
    return Blocked(
        space,
        name,
        f"a link {name} exists and is not ours; look with: {where} show {name};"
        f" remove it with: {where} delete {name}",
    )

"""What ndmz is made of, and the steps from what is there to what should be. Pure.

    steps = plan_links(wanted, host=host_links, ndmz=ndmz_links)
    for step in steps: …                  # runner.py; when all are done there are none left

A link with one of our names that is not ours is left as it is and named: `Blocked`. Addresses and
default routes that somebody took from tonrs or a port come back in the same way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import TypeAlias

from agent.ndmz.guard import BRIDGE_END, INSIDE, UPLINK4, UPLINK6
from netns.values import Address, Link

NO_ZOS = "there is no bridge zos; zosnet-agent internet makes it when there is an uplink"
SPACE = "ndmz"
BRIDGE, ZOS = "br-ndmz", "zos"
HOST = ""  # the namespace networkd runs in
HOST_ENDS = HOST4, HOST6 = "ndz4", "ndz6"
INSIDE4 = IPv4Network("100.127.0.0/16")
INSIDE4_GATEWAY = IPv4Interface("100.127.0.1/16")
GATEWAY6 = IPv6Interface("fe80::1/64")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What depends on the node: its addresses and the MACs that follow from its key."""

    ula: IPv6Network  # the /64 behind tonrs
    mac4: str
    mac6: str
    mac_inside: str
    ipv6: bool = True

    @property
    def inside_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        return (INSIDE4_GATEWAY, GATEWAY6, IPv6Interface((int(self.ula[1]), 64)))


@dataclass(frozen=True, slots=True)
class AddBridge:
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class AddVeth:
    """`name` in ndmz; `peer` in `peer_space`."""

    name: str
    role: str
    mac: str | None
    peer: str
    peer_space: str
    peer_role: str


@dataclass(frozen=True, slots=True)
class SetPort:
    """Make link `name` in `space` a port of bridge `master`, and bring it up."""

    space: str
    name: str
    master: str
    isolated: bool


@dataclass(frozen=True, slots=True)
class SetUp:
    space: str
    name: str
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class AddAddress:
    name: str
    interface: IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class DeleteLink:
    space: str
    name: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing to do: somebody else's link has our name, or a link that we need is not there."""

    space: str
    name: str
    reason: str


Step: TypeAlias = AddBridge | AddVeth | SetPort | SetUp | AddAddress | DeleteLink | Blocked


def plan_links(
    wanted: Wanted,
    *,
    host: Mapping[str, Link],
    ndmz: Mapping[str, Link],
    addresses: Iterable[Address] = (),
) -> tuple[Step, ...]:
    """The steps that are missing; `host` and `ndmz` are their links by name."""
    names = ((SPACE, ndmz, (BRIDGE, INSIDE, BRIDGE_END, UPLINK4, UPLINK6)), (HOST, host, HOST_ENDS))
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
    for name, host_end, mac in ((UPLINK4, HOST4, wanted.mac4), (UPLINK6, HOST6, wanted.mac6)):
        if blocked & {name, host_end}:
            continue
        if name == UPLINK4 or wanted.ipv6:
            steps += _uplink(name, host_end, mac, host, ndmz)
        elif name in ndmz:
            steps.append(DeleteLink(SPACE, name))
    return tuple(steps)


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
    there, end = ndmz.get(name), host.get(host_end)
    steps: list[Step] = []
    if there is None and end is not None:  # its other half went with an earlier namespace
        steps.append(DeleteLink(HOST, host_end))
    if there is not None and end is None:  # or somebody moved it away
        steps.append(DeleteLink(SPACE, name))
    if there is None or end is None:
        steps.append(AddVeth(name, name, mac, host_end, HOST, host_end))
        there = end = None
    if ZOS not in host:
        steps.append(Blocked(HOST, ZOS, NO_ZOS))
    elif end is None or not end.up or not _is_port(end, ZOS, host):
        steps.append(SetPort(HOST, host_end, ZOS, isolated=False))
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

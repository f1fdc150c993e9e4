"""A cable: from a port of a bridge of ours to a link in a workload's namespace, with all at its end. Pure.

if not is_whole(cable, near.links, far):     # two looks: what is there
    await plug(spaces, netlink, cable)       # plugging.py
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.ndmz.workload import link_local
from netns.values import Address, IPAddress, IPInterface, Link, View

ROLE = "uplink"  # of the workload's end


class Cable(Struct, frozen=True, kw_only=True):
    space: str  # of the bridge
    bridge: str
    port: str
    isolated: bool
    workload: str  # a namespace
    link: str  # in it
    mac: str
    interfaces: tuple[IPInterface, ...]
    gateways: tuple[IPAddress, ...]
    mtu: int


def is_whole(cable: Cable, near: Mapping[str, Link], far: View) -> bool:
    """Whether nothing is to do; `near` are the links of its bridge's namespace."""
    end = far.links.get(cable.link)
    if end is None or not is_plugged(cable, near) or end.role != ROLE:
        return False
    if (
        stale(cable, end, far.addresses)
        or not end.up
        or (end.mac, end.mtu) != (cable.mac, cable.mtu)
    ):
        return False
    held = {a.interface for a in far.addresses if a.link == end.index}
    defaults = {r.via for r in far.routes if r.destination is None}
    return held.issuperset(cable.interfaces) and defaults.issuperset(cable.gateways)


def stale(cable: Cable, end: Link, addresses: Iterable[Address]) -> list[IPInterface]:
    """Addresses that follow from the cable's MAC, out of a prefix that is not there any more."""
    own = link_local(cable.mac).packed[8:]
    return [
        a.interface
        for a in addresses
        if a.link == end.index
        and a.interface.ip.packed[8:] == own
        and not a.interface.ip.is_link_local
        and a.interface not in cable.interfaces
    ]


def is_plugged(cable: Cable, near: Mapping[str, Link]) -> bool:
    """The same of the bridge's side alone."""
    port, bridge = near.get(cable.port), near.get(cable.bridge)
    if port is None or bridge is None or port.role != cable.port:
        return False
    held = (port.master, port.isolated, port.mtu, port.up)
    return held == (bridge.index, cable.isolated, cable.mtu, True)

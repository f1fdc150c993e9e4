"""What an earlier run of `internet` left, whatever moment it was killed at, and what to do with it.

    found = await observe(spaces, home, config.eligible)     # raises when `zos` is somebody else's
    match plan(found, before):
        case Adopt(port): …           # zos stands: make true what may be missing, touch no traffic
        case StartOver(): await start_over(spaces, home, found)

`zos` with its port is the point of no return: from there on a boot goes forward, before it
everything goes back to how it was: links come home, the probe namespaces and a half-made `zos` go.
"""

import logging
from collections.abc import Collection

from msgspec import Struct

from agent.boot.nics import LAYERS, why_not
from agent.boot.status import BootStatus
from agent.boot.uplink import natural
from agent.config import Nics
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import Link
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

BRIDGE = "zos"
BR_PUB = "br-pub"  # of the NIC that carries ndmz alone
PROBE_ROLE = "probe"
PREFIX = "znp-"
# What can have been moved there; a namespace also holds what the kernel puts into each (sit0).
MOVED_KINDS = (None, "veth", "vlan")


class Found(Struct, frozen=True, kw_only=True):
    bridge: Link | None  # zos, ours
    uplinks: tuple[Link, ...]  # its ports that are NICs
    others: tuple[Link, ...]  # its other ports
    lent: tuple[Link, ...]  # NICs in br-pub
    spaces: tuple[str, ...]  # our probe namespaces


class Adopt(Struct, frozen=True):
    port: Link


class StartOver(Struct, frozen=True):
    pass


def probe_space(index: int) -> str:
    """The probe namespace of the NIC with this index at home. Not its name: NICs may be called
    anything.
    """
    return f"{PREFIX}{index}"


async def observe(spaces: Spaces, home: Netlink, nics: Nics) -> Found:
    """Raises CannotError when a link `zos` exists that we did not make."""
    links = await home.links()
    bridge, uplinks = find_uplinks(links, nics)
    ports = [link for link in links if bridge is not None and link.master == bridge.index]
    br_pub = {link.index for link in links if link.name == link.role == BR_PUB}
    return Found(
        bridge=bridge,
        uplinks=uplinks,
        others=tuple(link for link in ports if link not in uplinks),
        lent=tuple(link for link in links if link.master in br_pub and is_nic(link, nics)),
        spaces=tuple(n for n, role in spaces.ours(PREFIX).items() if role == PROBE_ROLE),
    )


def find_uplinks(links: Collection[Link], nics: Nics) -> tuple[Link | None, tuple[Link, ...]]:
    """`zos`, and its ports that are NICs. Raises CannotError when somebody else made it."""
    bridge = next((link for link in links if link.name == BRIDGE), None)
    if bridge is None:
        return None, ()
    if bridge.role != BRIDGE and not bridge.half_made:
        raise CannotError(
            f"cannot make the bridge {BRIDGE}: a link of that name exists and is not ours",
            hint=f"look with: ip -d link show {BRIDGE}; remove or rename it",
            code=Exit.CONFLICT,
        )
    uplinks = [link for link in links if link.master == bridge.index and is_nic(link, nics)]
    return bridge, tuple(sorted(uplinks, key=lambda link: natural(link.name)))


def is_nic(link: Link, nics: Nics) -> bool:
    """Whether a port of `zos` is an uplink: not one of ours, of a kind that the config allows."""
    ours = link.half_made or link.role not in (None, *LAYERS)
    return not ours and (link.kind or "physical") in nics.kinds


def plan(found: Found, before: BootStatus | None) -> Adopt | StartOver:
    """`zos` is adopted with its port; without carrier only when an earlier run had been done: then
    it is networkd's to find another uplink.
    """
    chosen = before.uplink.nic if before is not None and before.uplink is not None else None
    port = min(found.uplinks, key=lambda link: link.name != chosen, default=None)
    if found.bridge is None or port is None:
        return StartOver()
    stands = port.carrier or (before is not None and before.stands)
    return Adopt(port) if stands else StartOver()


async def start_over(spaces: Spaces, home: Netlink, found: Found) -> None:
    """Back to how it was before the first run. A NIC that cannot come home stays where it is, with
    its namespace, and holds up no other.
    """
    for port in (*found.uplinks, *found.lent):
        await home.set_link(port.index, master=0, up=False)
    if found.bridge is not None and not found.others:
        await home.delete_link(found.bridge.index)
    elif found.bridge is not None:
        await _strip(home, found.bridge)
    for space in found.spaces:
        try:
            await bring_home(spaces, home, space)
        except CannotError as error:
            log.error("NIC stays in its probe namespace", extra={"space": space, "why": str(error)})  # noqa: TRY400  # a refusal by the kernel, told whole


async def _strip(home: Netlink, bridge: Link) -> None:
    """A bridge that stays, for ndmz's sake, loses the addresses of the NIC that it had: IPv6 by
    going down, and down the keeper does not put the lease back.
    """
    await home.set_link(bridge.index, up=False)
    for address in await home.addresses(bridge.index):
        await home.delete_address(bridge.index, address.interface)


async def bring_home(spaces: Spaces, home: Netlink, space: str) -> list[str]:
    """Every NIC in `space` comes home, then the namespace goes; returns their names at home."""
    inside = await Netlink.open(spaces, space)
    try:
        names = [
            await return_link(inside, home, link)
            for link in await inside.links()
            if not link.loopback and link.kind in MOVED_KINDS
        ]
    finally:
        await inside.close()
    await spaces.delete(space)
    return names


async def return_link(inside: Netlink, home: Netlink, link: Link) -> str:
    """One link home. Should its name be taken there, it gets another: rather renamed than lost."""
    name = link.name
    if await home.link(name) is not None:
        name = f"nic{link.index}"
        log.warning("NIC renamed, its name is taken", extra={"nic": link.name, "now": name})
    await inside.move_home(link.index, name=None if name == link.name else name)
    return name


async def candidates(home: Netlink, nics: Nics) -> list[Link]:
    """The links at home that may be probed, in natural order."""
    return to_probe(await home.links(), nics)


def to_probe(links: Collection[Link], nics: Nics) -> list[Link]:
    """No bond without NICs: it has no MAC that stays, and the kernel's module makes one (bond0) when
    it is loaded, which nobody asked for.
    """
    masters = {link.master for link in links}
    found = [
        link
        for link in links
        if why_not(link, nics) is None and (link.kind != "bond" or link.index in masters)
    ]
    return sorted(found, key=lambda link: natural(link.name))

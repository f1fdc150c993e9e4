"""What the config wants on top of NICs before they are probed: a bond of several, a VLAN on each.

    await ensure_layers(spaces, home, config)      # twice is once; again when a NIC has come

A bond is `zbond`, a VLAN is called NIC.number; they are probed, chosen and made a port as NICs are.
The links below have no addresses: what is not tagged is not this node's.
"""

import errno
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from agent.boot.nics import why_not
from agent.config import BOND, AgentConfig, Bond, vlan_name
from netns.netlink import Netlink, NetlinkError
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.values import Link
from runtime.failure import Exit

log = logging.getLogger(__name__)


async def ensure_layers(spaces: Spaces, home: Netlink, config: AgentConfig) -> None:
    """Raises CannotError, such as of a kernel that has neither."""
    if config.uplink.bond is not None:
        await _ensure_bond(home, config.uplink.bond)
    if config.uplink.vlan is not None:
        await _ensure_vlans(spaces, home, config, config.uplink.vlan)


def to_enslave(links: Iterable[Link], bond: Bond) -> list[Link]:
    """NICs of the bond that are there and free."""
    return [link for link in links if link.name in bond.nics and link.master is None]


def below_vlans(links: Iterable[Link], config: AgentConfig) -> list[Link]:
    """The links that want a VLAN and do not show one that can be used: the bond once it has a NIC,
    and so a MAC that stays; without a bond every NIC that may be used.
    """
    known, number = list(links), config.uplink.vlan or 0
    if config.uplink.bond is not None:
        masters = {link.master for link in known}
        below = [link for link in known if link.name == BOND and link.index in masters]
    else:
        below = [link for link in known if why_not(link, config.nics) is None]
    made = {link.name for link in known if link.role == "vlan" and not link.half_made}
    return [link for link in below if not link.up or vlan_name(link.name, number) not in made]


async def _ensure_bond(home: Netlink, wanted: Bond) -> None:
    bond = await home.link(BOND)
    if bond is None or bond.half_made:
        with _naming("bonding"):
            bond = await home.add_bond(BOND, role="bond", mode=wanted.mode)
    for link in to_enslave(await home.links(), wanted):
        try:
            await home.set_link(link.index, up=False)  # the kernel takes none that is up
            await home.set_link(link.index, master=bond.index)
        except NetlinkError as error:
            log.warning("NIC not in the bond", extra={"nic": link.name, "why": error.message})


async def _ensure_vlans(spaces: Spaces, home: Netlink, config: AgentConfig, number: int) -> None:
    """One that cannot have it is passed over, unless it is the only one."""
    below = below_vlans(await home.links(), config)
    for link in below:
        try:
            await _ensure_vlan(spaces, home, link, number)
        except NetlinkError as error:
            if len(below) == 1:
                raise
            log.warning("NIC without VLAN", extra={"nic": link.name, "why": error.message})


async def _ensure_vlan(spaces: Spaces, home: Netlink, below: Link, number: int) -> None:
    name = vlan_name(below.name, number)
    try:
        with _naming("8021q"):
            await home.add_vlan(name, role="vlan", lower=below.index, number=number)
    except NetlinkError as error:
        if error.errno != errno.EEXIST:  # it is in a probe namespace
            raise
    quiet = {f"net/ipv6/conf/{below.name}/disable_ipv6": "1"}
    await set_sysctls(spaces, HOST, quiet, skip_missing=True)
    if not below.up:
        await home.set_link(below.index, up=True)


@contextmanager
def _naming(module: str) -> Iterator[None]:
    """The kernel loads it by itself, if it is there."""
    try:
        yield
    except NetlinkError as error:
        if error.errno == errno.EOPNOTSUPP:
            error.hint, error.code = f"this kernel needs the module {module}", Exit.USAGE
        raise

"""Take away what zosnet made on this node, in the order in which nothing is lost.

    said = stop_services() + await remove_everything()

Only what carries our mark goes: services by our names, children by their pidfiles, namespaces by
their marks, links by their alias, tables by their name, resolv.conf by their first line. Leases are
given back first. A NIC in a probe namespace or under `zos` comes home, down and as the kernel makes one.
"""

import shutil

from agent.boot import recover
from agent.control import is_running
from agent.dhcp import resolv
from agent.dhcp.release import give_back
from agent.dhcp.store import load_lease
from agent.dhcp6.delegation import client_duid
from agent.dhcp6.release import give_back as give_prefix_back
from agent.dhcp6.store import load_delegation
from agent.identity import load_identity
from agent.ndmz.guard import UPLINK4, UPLINK6
from agent.ndmz.host_side import take_away
from agent.ndmz.plan import SPACE
from agent.ndmz.workloads import RESOLVERS, remove_resolver
from agent.services import remove_services
from agent.status import load_status
from netns import children
from netns.netlink import Netlink
from netns.nft import Nft
from netns.spaces import HOST, Spaces
from netns.sysctl import read_sysctl, set_sysctls
from runtime.clock import boottime
from runtime.failure import CannotError, Exit
from runtime.paths import RUN

LEASED = ((HOST, recover.BRIDGE), (SPACE, UPLINK4))
NIC_KINDS = (None, "veth", "vlan", "bond")


def stop_services() -> list[str]:
    """Our units, and what was done, for people. Raises CannotError when networkd goes on: somebody
    else started it.
    """
    said = remove_services()
    if is_running():
        status = load_status()
        raise CannotError(
            "cannot reset this node: networkd runs, and nobody's unit started it",
            hint=f"end it first: kill {status.pid}" if status else "end it first",
            code=Exit.CONFLICT,
        )
    return said


async def remove_everything() -> list[str]:
    """Children, namespaces and links of ours; what was done, for people."""
    said = []
    for pidfile in sorted(children.DIRECTORY.glob("*.pid")):
        if children.find(pidfile.stem) is not None:
            said.append(f"process {pidfile.stem} ended")
        await children.stop(pidfile.stem)
    spaces = Spaces()
    try:
        home = await Netlink.open(spaces, HOST)
        try:
            said += await _release_prefix(spaces)
            said += await _release_leases(spaces)
            said += await _unshare(spaces, home)
            said += await _remove_spaces(spaces, home)
            said += await _remove_links(spaces, home)
        finally:
            await home.close()
    finally:
        spaces.close()
    said += _forget_name_servers()
    shutil.rmtree(RUN, ignore_errors=True)
    return said


async def _release_leases(spaces: Spaces) -> list[str]:
    """While there still are the addresses to say it from: the servers may give them to others."""
    said = []
    for space, name in LEASED:
        if space == HOST or await spaces.is_ours(space):
            said += await _release(spaces, space, name)
    return said


async def _release(spaces: Spaces, space: str, name: str) -> list[str]:
    netlink = await Netlink.open(spaces, space)
    try:
        link = await netlink.link(name)
    finally:
        await netlink.close()
    lease = load_lease(link.mac) if link is not None and link.role is not None else None
    if link is None or lease is None or not lease.is_valid(boottime()):
        return []
    await give_back(spaces, space, name, link.mac, lease)
    return [f"lease {lease.address.ip} of {name} given back"]


async def _release_prefix(spaces: Spaces) -> list[str]:
    held, _ = load_delegation()
    if held is None or not held.is_valid(boottime()) or not await spaces.is_ours(SPACE):
        return []
    client = client_duid(load_identity().origin)
    await give_prefix_back(spaces, SPACE, UPLINK6, client, held)
    return [f"prefix {held.prefix} given back"]


async def _unshare(spaces: Spaces, home: Netlink) -> list[str]:
    """What ndmz's way through the host was made of; without libnftables it never was."""
    try:
        nft = await Nft.open(spaces, HOST)
    except CannotError:
        return []
    try:
        return await take_away(spaces, nft, home)
    finally:
        await nft.close()


async def _remove_spaces(spaces: Spaces, home: Netlink) -> list[str]:
    said = []
    for name, role in spaces.ours().items():
        if role == recover.PROBE_ROLE:
            names = await recover.bring_home(spaces, home, name)
            said += [f"NIC {nic} is home" for nic in names]
        else:
            await spaces.delete(name)
            said.append(f"namespace {name} is gone")
    return said


async def _remove_links(spaces: Spaces, home: Netlink) -> list[str]:
    """Bridges last: their ports are let go before, and so is what a VLAN was made on."""
    said = []
    links = await home.links()
    ours = [link for link in links if link.role is not None or link.half_made]
    bridges = {link.index for link in ours if link.kind == "bridge"}
    below = {link.parent for link in ours if link.kind == "vlan"}
    for link in links:
        used = link.master in bridges or link.index in below
        if used and link not in ours and link.kind in NIC_KINDS:
            await home.set_link(link.index, master=0, up=False)
            usual = await read_sysctl(spaces, HOST, "net/ipv6/conf/default/disable_ipv6")
            if usual is not None:  # it had none meanwhile
                await set_sysctls(spaces, HOST, {f"net/ipv6/conf/{link.name}/disable_ipv6": usual})
            said.append(f"NIC {link.name} is free")
    for link in sorted(ours, key=lambda link: link.index in bridges):
        try:
            await home.delete_link(link.index)
        except CannotError as error:
            said.append(f"link {link.name} stays: {error.message}")
        else:
            said.append(f"link {link.name} is gone")
    return said


def _forget_name_servers() -> list[str]:
    """The lease's servers, and those of workloads."""
    for path in RESOLVERS.glob("*/resolv.conf"):
        remove_resolver(path.parent.name)
    path = resolv.resolv_conf_path(HOST)
    if path.is_symlink() or not path.exists():
        return []
    if not path.read_bytes().startswith(resolv.HEADER.encode()):
        return []
    path.write_bytes(b"")  # it may be a mount, which cannot be removed
    return [f"the lease's name servers are gone from {path}"]

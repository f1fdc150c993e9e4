"""Take away what zosnet made on this node, in the order in which nothing is lost.

    said = stop_services() + await remove_everything()

Only what carries our mark goes: services by our names, children by their pidfiles, namespaces by
their marks, links by their alias. A NIC in a probe namespace or under `zos` comes home first.
"""

import shutil

from agent.boot import recover
from netns import children
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from runtime.failure import CannotError
from runtime.paths import RUN
from zinit.client import AbsentError, Client
from zinit.install import remove_unit

SERVICES = ("networkd", "dhcp-zos", "internet")
NIC_KINDS = (None, "veth", "vlan", "bond")


def stop_services() -> list[str]:
    """Stop and forget our units where there is a zinit; what was done, for people."""
    said = []
    for name in SERVICES:
        try:
            if remove_unit(Client(), name):
                said.append(f"service {name} stopped and forgotten")
        except AbsentError:
            break
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
            said += await _remove_spaces(spaces, home)
            said += await _remove_links(home)
        finally:
            await home.close()
    finally:
        spaces.close()
    shutil.rmtree(RUN, ignore_errors=True)
    return said


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


async def _remove_links(home: Netlink) -> list[str]:
    """Bridges last: their ports are let go before."""
    said = []
    links = await home.links()
    ours = [link for link in links if link.role is not None or link.half_made]
    bridges = {link.index for link in ours if link.kind == "bridge"}
    for link in links:
        if link.master in bridges and link not in ours and link.kind in NIC_KINDS:
            await home.set_link(link.index, master=0)
            said.append(f"NIC {link.name} is free")
    for link in sorted(ours, key=lambda link: link.index in bridges):
        try:
            await home.delete_link(link.index)
        except CannotError as error:
            said.append(f"link {link.name} stays: {error.message}")
        else:
            said.append(f"link {link.name} is gone")
    return said

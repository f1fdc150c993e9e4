"""Makes a cable in the kernel, or mends it; twice is once.

The workload's namespace may be anybody's; a link in it, or a port, that is not ours is left alone.
"""

from collections.abc import Iterable, Mapping

from agent.ndmz import settings
from agent.ndmz.cable import ROLE, Cable, is_whole, stale
from netns.netlink import Netlink
from netns.spaces import ForeignError, Spaces
from netns.sysctl import set_sysctls
from netns.values import Link, View
from runtime.failure import CannotError, Exit


async def mend(
    spaces: Spaces,
    netlink: Netlink,
    cables: Iterable[Cable],
    *,
    near: View,
    far: Mapping[str, View | CannotError],
) -> dict[str, CannotError]:
    """Plug those that are not whole into namespaces of ours; which cannot be, and why. `near` is the
    bridge's namespace, `far` are all of theirs.
    """
    failed: dict[str, CannotError] = {}
    for cable in cables:
        view = far[cable.workload]
        try:
            if isinstance(view, CannotError):
                raise view
            if not is_whole(cable, near.links, view):
                if not await spaces.is_ours(cable.workload):
                    raise ForeignError(cable.workload, "attach")
                await plug(spaces, netlink, cable)
        except CannotError as error:
            failed[cable.workload] = error
    return failed


async def plug(spaces: Spaces, near: Netlink, cable: Cable) -> None:
    """Raises CannotError, also for what is in the way."""
    port = await near.link(cable.port)
    workload = await Netlink.open(spaces, cable.workload)
    try:
        end = await workload.link(cable.link)
        if port is not None and not _is_ours(port, cable.port):
            raise _foreign(cable, cable.space, cable.port)
        if end is not None and not _is_ours(end, ROLE):
            raise _foreign(cable, cable.workload, cable.link)
        whole = port is not None and end is not None
        if port is None or end is None or port.half_made or end.half_made:
            for netlink, left in ((near, port), (workload, end)):
                if left is not None:
                    await netlink.delete_link(left.index)
            port, whole = await _make(near, workload, cable), False
        if not port.up:  # just made, also by one of us who was killed then
            await _set_up(spaces, cable)
        await _set_port(near, port, cable)
        await _configure(workload, cable, new=not whole)
    finally:
        await workload.close()


async def unplug(near: Netlink, *ports: str) -> None:
    """Both ends go; the workload's namespace is its owner's."""
    there = [await near.link(port) for port in ports]
    ours = [link for link in there if link is not None and _is_ours(link, link.name)]
    await near.delete_links([link.index for link in ours])


async def _make(near: Netlink, workload: Netlink, cable: Cable) -> Link:
    return await near.add_veth(
        cable.port,
        role=cable.port,
        peer=cable.link,
        peer_space=cable.workload,
        peer_role=ROLE,
        peer_mac=cable.mac,
        there=workload,
    )


async def _set_up(spaces: Spaces, cable: Cable) -> None:
    await set_sysctls(spaces, cable.space, settings.port(cable.port), skip_missing=True)
    await set_sysctls(spaces, cable.workload, settings.workload(cable.link), skip_missing=True)


async def _set_port(near: Netlink, port: Link, cable: Cable) -> None:
    """Isolated before it carries a frame: it is down until all else is said."""
    bridge = await near.link(cable.bridge)
    if bridge is None:
        raise CannotError(f"cannot attach {cable.workload}: there is no bridge {cable.bridge}")
    if port.mtu != cable.mtu:
        await near.set_link(port.index, mtu=cable.mtu)
    if port.master != bridge.index:
        await near.set_link(port.index, master=bridge.index)
    if port.isolated != cable.isolated:
        await near.set_link(port.index, isolated=cable.isolated)
    if not port.up:
        await near.set_link(port.index, up=True)


async def _configure(workload: Netlink, cable: Cable, *, new: bool) -> None:
    """A new end has no addresses, but its owner may have had routes before."""
    end = await workload.link(cable.link)
    if end is None:
        raise CannotError(f"cannot attach {cable.workload}: its link {cable.link} is gone")
    if end.mac != cable.mac:
        await workload.set_link(end.index, mac=cable.mac)
    if end.mtu != cable.mtu:
        await workload.set_link(end.index, mtu=cable.mtu)
    before = [] if new else await workload.addresses(end.index)
    held = {a.interface for a in before}
    for interface in cable.interfaces:
        if interface not in held:
            await workload.replace_address(end.index, interface, nodad=True)
    if not end.up:
        await workload.set_link(end.index, up=True)
    for old in stale(cable, end, before):
        gateway = old.network[1]  # as `nr` gives them
        await workload.delete_route(None, link=end.index, via=gateway)
        await workload.delete_address(end.index, old)
    defaults = {route.via for route in await workload.routes() if route.destination is None}
    for gateway in cable.gateways:
        if gateway not in defaults:
            await workload.replace_route(None, link=end.index, via=gateway)


def _is_ours(link: Link, role: str) -> bool:
    return link.role == role or link.half_made


def _foreign(cable: Cable, space: str, link: str) -> CannotError:
    return CannotError(
        f"cannot attach {cable.workload}: a link {link} exists in namespace {space} and is not ours",
        hint=f"look with: ip -n {space} link show {link}; remove it with: ip -n {space} link delete {link}",
        code=Exit.CONFLICT,
    )

"""Does the steps of `plan` in the kernel. A step that is done already does no harm."""

from msgspec import Struct

from agent.ndmz import settings
from agent.ndmz.plan import (
    SPACE,
    AddAddress,
    AddBridge,
    AddDefault,
    AddVeth,
    Blocked,
    DeleteLink,
    SetMtu,
    SetPort,
    SetUp,
    Step,
)
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.values import Link
from runtime.failure import CannotError, Exit


class Hands(Struct, frozen=True):
    """The two namespaces that ndmz is made in."""

    spaces: Spaces
    host: Netlink
    ndmz: Netlink

    def of(self, space: str) -> Netlink:
        return self.host if space == HOST else self.ndmz


async def apply(hands: Hands, step: Step) -> None:
    """Raises CannotError."""
    match step:
        case AddBridge():
            await hands.ndmz.add_bridge(step.name, role=step.role)
            await set_sysctls(hands.spaces, SPACE, settings.port(step.name), skip_missing=True)
        case AddVeth():
            await _add_veth(hands, step)
        case SetPort():
            await _set_port(hands, step)
        case SetUp():
            netlink = hands.of(step.space)
            await _set_up(netlink, await _link(netlink, step.name), step.mac)
        case SetMtu():
            netlink = hands.of(step.space)
            link = await _link(netlink, step.name)
            await netlink.set_link(link.index, mtu=step.mtu)
        case AddAddress():
            netlink = hands.of(step.space)
            link = await _link(netlink, step.name)
            await netlink.replace_address(link.index, step.interface, nodad=True)
        case AddDefault():
            link = await _link(hands.ndmz, step.name)
            await hands.ndmz.replace_route(None, link=link.index, via=step.via, metric=step.metric)
        case DeleteLink():
            netlink = hands.of(step.space)
            if link_there := await netlink.link(step.name):
                await netlink.delete_link(link_there.index)
        case Blocked():
            pass


async def _add_veth(hands: Hands, step: AddVeth) -> None:
    await hands.ndmz.add_veth(
        step.name,
        role=step.role,
        mac=step.mac,
        peer=step.peer,
        peer_space=step.peer_space,
        peer_role=step.peer_role,
    )
    await set_sysctls(hands.spaces, SPACE, settings.LINKS.get(step.name, {}), skip_missing=True)
    await set_sysctls(hands.spaces, step.peer_space, settings.port(step.peer), skip_missing=True)


async def _set_port(hands: Hands, step: SetPort) -> None:
    """Isolated before it carries a frame: it is down until all else is said."""
    netlink = hands.of(step.space)
    port, bridge = await _link(netlink, step.name), await _link(netlink, step.master)
    if port.master != bridge.index:
        await netlink.set_link(port.index, master=bridge.index)
    if port.isolated != step.isolated:
        await netlink.set_link(port.index, isolated=step.isolated)
    if not port.up:  # killed when it was just made, we have not said this yet
        await set_sysctls(hands.spaces, step.space, settings.port(step.name), skip_missing=True)
        await netlink.set_link(port.index, up=True)


async def _set_up(netlink: Netlink, link: Link, mac: str | None) -> None:
    if mac is not None and link.mac != mac:
        await netlink.set_link(link.index, mac=mac)
    if not link.up:
        await netlink.set_link(link.index, up=True)


async def _link(netlink: Netlink, name: str) -> Link:
    link = await netlink.link(name)
    if link is None:
        where = f"namespace {netlink.space}" if netlink.space else "the host"
        raise CannotError(f"cannot set up link {name}: {where} has none", code=Exit.NOT_FOUND)
    return link

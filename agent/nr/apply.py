"""Does the steps of `plan` in the kernel. A step that is done already does no harm."""

from collections.abc import Iterable, Mapping

from agent.nr.plan import (
    BRIDGE_ROLE,
    AddAddress,
    AddBridge,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    SetMtu,
    SetUp,
    Step,
)
from netns.netlink import Netlink
from netns.values import Link
from runtime.failure import CannotError


async def apply(netlink: Netlink, steps: Iterable[Step], links: Mapping[str, Link]) -> None:
    """`links`: those that are there, by name. Raises CannotError."""
    indexes = {name: link.index for name, link in links.items()}
    for step in steps:
        if isinstance(step, AddBridge):
            indexes[step.name] = (await netlink.add_bridge(step.name, role=BRIDGE_ROLE)).index
        elif step.link not in indexes:
            raise CannotError(f"cannot set up {step.link} in {netlink.space}: it is gone")
        else:
            await _apply(netlink, step, indexes[step.link])


async def _apply(
    netlink: Netlink,
    step: SetMtu | SetUp | AddAddress | DeleteAddress | AddRoute | DeleteRoute,
    index: int,
) -> None:
    match step:
        case SetMtu(_, mtu):
            await netlink.set_link(index, mtu=mtu)
        case SetUp():
            await netlink.set_link(index, up=True)
        case AddAddress(_, interface):
            await netlink.replace_address(index, interface, nodad=True)
        case DeleteAddress(_, interface):
            await netlink.delete_address(index, interface)
        case AddRoute(_, destination):
            await netlink.replace_route(destination, link=index)
        case DeleteRoute(_, destination):
            await netlink.delete_route(destination, link=index)

"""A network resource without WireGuard in the kernel: namespace, guard, bridge. Twice is once.

    if not is_built(want, view, generation):        # a look at its namespace
        generation = await build(spaces, want)
    await demolish(spaces, space)

It holds nothing open. What is not ours is left alone, and named.
"""

import logging

from agent.nr import guard
from agent.nr.apply import apply
from agent.nr.plan import BRIDGE_ROLE, Names, Resource, Seen, diff
from netns.netlink import Netlink
from netns.nft import Nft, NftError
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from netns.values import Link, View
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

ROLE = "resource"
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def is_built(want: Resource, view: View, generation: int) -> bool:
    """`generation`: of its nftables, when its guard was loaded; 0: it was not, by us. It counts when
    `view` has it: a change of rules is told of.
    """
    bridge = view.links.get(want.names.bridge)
    return (
        bridge is not None
        and bridge.role == BRIDGE_ROLE
        and generation != 0
        and view.generation in (0, generation)
        and set(view.sysctls.values()) == {"1"}
        and not diff(want, _seen(view))
    )


async def build(spaces: Spaces, want: Resource) -> int:
    """Make it, or mend what differs; returns the generation of its nftables. Raises CannotError."""
    space = want.names.space
    new = await spaces.ensure(space, role=ROLE)
    if new:
        log.info("network resource made", extra={"space": space})
    await set_sysctls(spaces, space, guard.sysctls(), skip_missing=True)
    generation = await _load(spaces, want)
    netlink = await Netlink.open(spaces, space)
    try:
        seen = Seen({}) if new else await _observe(netlink, want)
        await apply(netlink, diff(want, seen), seen.links)
    finally:
        await netlink.close()
    return generation


async def demolish(spaces: Spaces, space: str) -> None:
    """Cables first: a process that is still in there keeps the namespace, but not its way out."""
    if not await spaces.is_ours(space):
        return
    netlink = await Netlink.open(spaces, space)
    try:
        links = await netlink.links()
        cables = [link for link in links if link.kind == "veth" and _is_ours(link)]
        await netlink.delete_links([link.index for link in cables])
    finally:
        await netlink.close()
    await spaces.delete(space)
    log.info("network resource taken away", extra={"space": space})


async def _load(spaces: Spaces, want: Resource) -> int:
    text = guard.render(want.names, transit=False, routed=want.routed)
    nft = await Nft.open(spaces, want.names.space)
    try:
        try:
            await nft.run(text)
        except NftError as error:
            log.warning("guard made anew", extra={"reason": error.message})
            await set_sysctls(spaces, want.names.space, dict.fromkeys(FORWARDING, "0"))
            await nft.run(f"add table inet {guard.TABLE}\ndelete table inet {guard.TABLE}\n{text}")
            await set_sysctls(spaces, want.names.space, dict.fromkeys(FORWARDING, "1"))
        return await nft.generation()
    finally:
        await nft.close()


async def _observe(netlink: Netlink, want: Resource) -> Seen:
    """Without a bridge that was left half made: it is made again. Raises CannotError for one of
    somebody else.
    """
    links = {link.name: link for link in await netlink.links()}
    bridge = links.get(want.names.bridge)
    if bridge is not None and bridge.half_made:
        del links[bridge.name]
    elif bridge is not None and bridge.role != BRIDGE_ROLE:
        raise _foreign(want.names)
    return Seen(links, tuple(await netlink.addresses()), tuple(await netlink.routes()))


def _is_ours(link: Link) -> bool:
    return link.role is not None or link.half_made


def _seen(view: View) -> Seen:
    return Seen(view.links, view.addresses, view.routes)


def _foreign(names: Names) -> CannotError:
    where = f"ip -n {names.space} link"
    return CannotError(
        f"cannot build {names.space}: a link {names.bridge} exists there and is not ours",
        hint=f"look with: {where} show {names.bridge}; remove it with: {where} delete {names.bridge}",
        code=Exit.CONFLICT,
    )

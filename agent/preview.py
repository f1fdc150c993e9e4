"""What a start of `internet` and `networkd` would change now: the same plans, told and not done.

for change in await preview(load(), boot_status.load()): …
"""

import os
from ipaddress import IPv4Network

from msgspec import Struct
from msgspec.structs import replace

from agent.boot import recover
from agent.boot.status import BootStatus
from agent.config import AgentConfig
from agent.identity import KEY_FILE, load_identity
from agent.ndmz import status as ndmz_status
from agent.ndmz.pair import Pair
from agent.ndmz.plan import SPACE, plan_links
from agent.ndmz.told import tell
from agent.ndmz.wanted import wanted_of
from netns.glance import Glances
from netns.netlink import Netlink
from netns.spaces import ForeignError, Spaces
from netns.values import View
from runtime import paths
from runtime.failure import CannotError, with_hint

NOTHING = View(links={}, addresses=(), routes=(), generation=0, sysctls={})


class Change(Struct, frozen=True):
    where: str  # uplink or ndmz
    said: str


async def preview(config: AgentConfig, boot: BootStatus | None) -> list[Change]:
    """Raises CannotError."""
    if os.geteuid():
        return [Change("all", "not looked at: it takes root")]
    spaces = Spaces()
    try:
        home = await Netlink.open(spaces)
        try:
            return [
                *[Change("uplink", said) for said in await _uplink(spaces, home, config, boot)],
                *[Change(SPACE, said) for said in await _ndmz(spaces, home, config)],
            ]
        finally:
            await home.close()
    finally:
        spaces.close()


async def _uplink(
    spaces: Spaces, home: Netlink, config: AgentConfig, boot: BootStatus | None
) -> list[str]:
    try:
        found = await recover.observe(spaces, home, config.eligible)
    except CannotError as error:
        return [f"nothing: {with_hint(error.message, error.hint)}"]
    there = [link.name for link in await recover.candidates(home, config.eligible)]
    match recover.plan(found, boot):
        case recover.Adopt():
            return [f"keep {name} ready in a probe namespace" for name in there]
        case recover.StartOver():
            back = [f"bring the NIC of {space} home" for space in found.spaces]
            nics = ", ".join(there) or "whatever NIC comes"
            return [*back, f"probe {nics}", f"make the best of them the port of {recover.BRIDGE}"]


async def _ndmz(spaces: Spaces, home: Netlink, config: AgentConfig) -> list[str]:
    if not (paths.STATE / KEY_FILE).exists():
        return ["make the node's key, and all of ndmz, whose addresses follow from it"]
    wanted = wanted_of(load_identity(), config)
    last = ndmz_status.load_status()
    if last is not None and last.pair:
        wanted = replace(wanted, pair=Pair(IPv4Network(last.pair)))
    view, begin = NOTHING, [f"make the namespace {SPACE}"]
    if spaces.exists(SPACE):
        if not await spaces.is_ours(SPACE):
            error = ForeignError(SPACE)
            return [f"nothing: {with_hint(error.message, error.hint)}"]
        seen = (await Glances(spaces).look([SPACE]))[SPACE]
        if isinstance(seen, CannotError):
            raise seen
        view, begin = seen, []
    steps = plan_links(
        wanted,
        host={link.name: link for link in await home.links()},
        ndmz=view.links,
        addresses=view.addresses,
        host_addresses=await home.addresses(),
        routes=view.routes,
    )
    return begin + [tell(step) for step in steps]

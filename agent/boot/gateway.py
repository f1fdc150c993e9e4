"""Whether a gateway of the uplink answers: the kernel asks it by ARP or neighbour solicitation.

    silent = await why_silent(home, zos.index, routes)      # "" as soon as one gateway has answered

That it answers says that the cable, the switch and the router are there; whether the Internet is
behind it is not asked.
"""

import asyncio
from collections.abc import Collection, Iterable

from netns.netlink import Netlink
from netns.values import IPAddress, Neighbour, NeighbourState, Route

PATIENCE = 3.5  # seconds: the kernel asks three times, a second apart
POLL = 0.1


async def why_silent(home: Netlink, bridge: int, routes: Iterable[Route]) -> str:
    """Why the default gateways in `routes` are of no use; nothing when one answers. Raises
    NetlinkError.
    """
    gateways = [r.via for r in routes if r.destination is None and r.link == bridge and r.via]
    if not gateways:
        return "no default route"
    if await answers(home, bridge, gateways):
        return ""
    return f"{' and '.join(sorted(map(str, gateways)))} silent"


async def answers(netlink: Netlink, link: int, gateways: Collection[IPAddress]) -> bool:
    """Whether one of them does, asked once. Raises NetlinkError."""
    known = {n.address: n for n in await netlink.neighbours(link)}
    for gateway in gateways:
        neighbour = known.get(gateway)
        await netlink.probe_neighbour(link, gateway, neighbour.mac if neighbour else "")
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while loop.time() < end:
        now = await netlink.neighbours(link)
        if any(n.address in gateways and _answered(n) for n in now):
            return True
        await asyncio.sleep(POLL)
    return False


def _answered(neighbour: Neighbour) -> bool:
    return bool(neighbour.state & NeighbourState.REACHABLE)

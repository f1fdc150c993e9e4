"""Look at the host's links, for the commands that tell of every NIC."""

import asyncio

from agent.boot import status
from agent.boot.outlook import Outlook, outlook
from agent.config import load
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import Link


def read_outlook() -> Outlook:
    """What is known of each NIC, under today's config. Raises CannotError."""
    return outlook(status.load(), asyncio.run(_links()), load().eligible)


async def _links() -> list[Link]:
    spaces = Spaces()
    try:
        home = await Netlink.open(spaces)
        try:
            return await home.links()
        finally:
            await home.close()
    finally:
        spaces.close()

"""A delegated prefix that is given back before its time (RFC 8415, 18.2.7).

    await give_back(spaces, "ndmz", "npub6", duid, held)

The server answers; one that does not is asked again, for a moment.
"""

import asyncio
import logging
from contextlib import suppress

from agent.dhcp6.delegation import Delegation
from agent.dhcp6.port import LinkPort
from agent.dhcp6.runner import Client, new_machine
from agent.dhcp6.state import Drop, Use
from agent.dhcp6.store import forget_delegation
from netns.spaces import Spaces

log = logging.getLogger(__name__)
PATIENCE = 3.0  # seconds: a reset does not wait for a server that is gone


async def give_back(spaces: Spaces, space: str, link: str, client: bytes, held: Delegation) -> None:
    async def perform(_: Use | Drop) -> None:
        """Whoever used it has stopped."""

    machine = new_machine(client)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await Client(machine, LinkPort(spaces, space, link), perform).release(held)
    with suppress(OSError):
        forget_delegation()
    log.info("prefix given back", extra={"link": link, "prefix": held.prefix})

"""A NIC with static addresses in a probe namespace: do its gateways answer?

    silent = await reach(inside, index, fixed, seconds=10, found=…)

As a lease shows that a server is there, an answer shows that the cable leads to the right LAN. The
addresses are on the NIC only while this is asked.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agent.boot.gateway import answers
from agent.static.config import Fixed
from netns.netlink import Netlink
from netns.values import IPAddress


async def reach(
    netlink: Netlink,
    link: int,
    fixed: Fixed,
    *,
    seconds: float,
    found: Callable[[IPAddress], None],
) -> tuple[IPAddress, ...]:
    """Ask for `seconds`, call `found` with each that answers; those that did not. Raises NetlinkError."""
    silent = list(fixed.gateways)

    async def ask(gateway: IPAddress) -> None:
        while not await answers(netlink, link, [gateway]):
            pass
        silent.remove(gateway)
        found(gateway)

    async with _wearing(netlink, link, fixed):
        asking = [asyncio.create_task(ask(gateway)) for gateway in fixed.gateways]
        try:
            await asyncio.wait(asking, timeout=seconds)
        finally:
            for task in asking:
                task.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return tuple(silent)


@asynccontextmanager
async def _wearing(netlink: Netlink, link: int, fixed: Fixed) -> AsyncIterator[None]:
    for address in fixed.addresses:
        await netlink.replace_address(link, address, nodad=True)
    try:
        yield
    finally:
        await asyncio.shield(_undress(netlink, link, fixed))


async def _undress(netlink: Netlink, link: int, fixed: Fixed) -> None:
    for address in fixed.addresses:
        await netlink.delete_address(link, address)

"""What ndmz's runner holds open in the two namespaces, and gives up all at once.

A socket keeps its namespace alive: after somebody deleted ndmz, what is held belongs to a ghost.
"""

from contextlib import AsyncExitStack

from msgspec import Struct

from agent.ndmz import settings
from agent.ndmz.apply import Hands
from agent.ndmz.counts import without_counts
from agent.ndmz.guard import TABLE
from agent.ndmz.plan import HOST, SPACE
from agent.ndmz.watch import Events
from netns.monitor import Group, Monitor
from netns.netlink import Netlink
from netns.nft import Nft, NftError
from netns.spaces import Spaces
from netns.sysctl import set_sysctls
from runtime.failure import CannotError

TABLES = (f"inet {TABLE}", f"bridge {TABLE}")


class Opened(Struct, frozen=True):
    """What is held open; `closing` gives it up, or the namespace could never go."""

    hands: Hands
    nft: Nft
    host_nft: Nft
    monitors: tuple[Monitor, Monitor]
    events: Events
    closing: AsyncExitStack

    @classmethod
    async def open(cls, spaces: Spaces) -> "Opened":
        groups = Group.LINK | Group.ADDRESS | Group.ROUTE
        async with AsyncExitStack() as stack:
            nft, host_nft = await _open_nft(spaces), await Nft.open(spaces, HOST)
            stack.push_async_callback(nft.close)
            stack.push_async_callback(host_nft.close)
            inside, host = await Netlink.open(spaces, SPACE), await Netlink.open(spaces, HOST)
            stack.push_async_callback(inside.close)
            stack.push_async_callback(host.close)
            monitors = (
                await Monitor.open(spaces, SPACE, groups),
                await Monitor.open(spaces, HOST, groups),
            )
            for monitor in monitors:
                stack.callback(monitor.close)
            events = await Events.open(spaces, SPACE)
            stack.callback(events.close)
            hands = Hands(spaces, host, inside)
            return cls(hands, nft, host_nft, monitors, events, stack.pop_all())


async def _open_nft(spaces: Spaces) -> Nft:
    """Where nobody can see whether the guard stands, nothing is forwarded. Raises CannotError."""
    try:
        return await Nft.open(spaces, SPACE)
    except CannotError:
        await set_sysctls(spaces, SPACE, settings.CLOSED, skip_missing=True)
        raise


async def list_guard(nft: Nft) -> str:
    """Both tables of the guard as nft shows them, but for what packets bring; empty when one is
    missing.
    """
    try:
        listed = [await nft.listing(f"table {table}") for table in TABLES]
    except NftError:
        return ""
    return without_counts("".join(listed))

"""Looking at the kernel with other eyes than ours: `ip`, `nft` and the like."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from netns.netlink import Netlink
from netns.spaces import HOST, Spaces


def shell(command: str) -> str:
    """What a shell command printed; raises when it fails."""
    done = subprocess.run(  # noqa: S602
        command,
        shell=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.strip()


@contextmanager
def opened_spaces() -> Iterator[Spaces]:
    spaces = Spaces()
    try:
        yield spaces
    finally:
        spaces.close()


@asynccontextmanager
async def opened_netlink(spaces: Spaces, space: str = HOST) -> AsyncIterator[Netlink]:
    netlink = await Netlink.open(spaces, space)
    try:
        yield netlink
    finally:
        await netlink.close()


async def eventually(look: str, expected: str, *, within: float = 20.0) -> str:
    """What `look` (a shell command) prints, as soon as it holds `expected`, else at the end."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        said = ""
        with suppress(subprocess.CalledProcessError):  # what it looks at is not there yet
            said = shell(look)
        if expected in said or asyncio.get_running_loop().time() > deadline:
            return said
        await asyncio.sleep(0.02)


async def up(netlink: Netlink, name: str) -> int:
    """Raise a link; returns its index."""
    link = await netlink.link(name)
    assert link is not None
    await netlink.set_link(link.index, up=True)
    return link.index

"""The host's side of a shared IPv4: its rules and its one setting, put up and taken away.

    host = HostSide(spaces)
    await host.load(nft, guard)       # the rules; twice is once
    await host.forward()              # only then, and when the cable is there
    await host.remove(nft, netlink)   # all of it

What the setting was before is written down before it is changed, so that another process, or
`reset`, can put it back.
"""

import logging

import msgspec

from agent.ndmz import settings
from agent.ndmz.host_guard import TABLE, HostGuard, render
from agent.ndmz.pair import FAR
from netns.netlink import Netlink
from netns.nft import Nft, NftError
from netns.spaces import HOST, Spaces
from netns.sysctl import read_sysctl, set_sysctls
from runtime import files, paths

log = logging.getLogger(__name__)

BEFORE = paths.RUN / "shared.json"


class Before(msgspec.Struct, frozen=True):
    """Whether the host forwarded, and zos, before we changed that."""

    everywhere: str = "0"
    zos: str = "0"


class HostSide:
    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._loaded: tuple[str, str] | None = None  # what we loaded, and how nft lists it
        self._clean = False  # nothing of it is left

    async def load(self, nft: Nft, guard: HostGuard) -> None:
        """Raises NftError; then nothing is forwarded."""
        self._clean = False
        text, found = render(guard), await _listing(nft)
        if self._loaded == (text, found):
            return
        if self._loaded is not None and self._loaded[1] != found:
            log.warning("somebody changed the rules of the shared IPv4, loading them again")
        try:
            await nft.run(text)
        except NftError:
            self._loaded = None
            await put_back(self._spaces)
            raise
        self._loaded = (text, await _listing(nft))

    async def forward(self) -> None:
        """Let the cable's end and zos forward; what is not there is passed over."""
        if _load_before() is None:
            usual = await read_sysctl(self._spaces, HOST, settings.FORWARD_ZOS)
            if usual is None:  # there is no zos
                return
            everywhere = await read_sysctl(self._spaces, HOST, settings.FORWARD_ALL) or "0"
            files.store(BEFORE, Before(everywhere, usual), durable=False)
        wanted = {**settings.HOST_END, settings.FORWARD_ZOS: "1"}
        await set_sysctls(self._spaces, HOST, wanted, skip_missing=True)

    async def remove(self, nft: Nft, home: Netlink) -> None:
        if not self._clean:
            for done in await take_away(self._spaces, nft, home):
                log.info("IPv4 is not shared any more", extra={"reason": done})
        self._loaded, self._clean = None, True


async def take_away(spaces: Spaces, nft: Nft, home: Netlink) -> list[str]:
    """Setting, cable and rules, in the order in which nothing is open; what was done, for people."""
    said = await put_back(spaces)
    end = await home.link(FAR)
    if end is not None and (end.role == FAR or end.half_made):
        await home.delete_link(end.index)
        said.append(f"link {FAR} is gone")
    if ("ip", TABLE) in await nft.tables():
        await nft.run(f"delete table ip {TABLE}")
        said.append(f"table ip {TABLE} is gone")
    return said


async def put_back(spaces: Spaces) -> list[str]:
    """zos as it was; or as all links are, when somebody has set them all since."""
    before = _load_before()
    if before is None:
        return []
    everywhere = await read_sysctl(spaces, HOST, settings.FORWARD_ALL) or "0"
    value = before.zos if everywhere == before.everywhere else everywhere
    changed = await set_sysctls(spaces, HOST, {settings.FORWARD_ZOS: value}, skip_missing=True)
    BEFORE.unlink(missing_ok=True)
    return [f"{key} is {value} again" for key in changed]


def _load_before() -> Before | None:
    try:
        return files.load(BEFORE, Before)
    except files.DamagedFileError as error:  # closed is what a host is that nobody made a router
        log.warning("file not used", extra={"path": BEFORE, "reason": error})
        return Before()


async def _listing(nft: Nft) -> str:
    """The table as nft shows it; empty when there is none."""
    try:
        return await nft.listing(f"table ip {TABLE}")
    except NftError:
        return ""

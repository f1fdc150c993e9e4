"""The guard in the kernel: loaded when it should be another one, or is not as it was loaded.

    loader = Loader(spaces)
    await loader.load(nft, guard)      # again and again: most times it costs one number

Listing the rules is dear, so the number of the ruleset is looked at first: it changes with each change
that anybody makes. Without the guard nothing is forwarded: that comes first, and stays when loading
fails.
"""

import logging
from functools import lru_cache

from agent.ndmz import settings
from agent.ndmz.guard import Guard, render, render_over
from agent.ndmz.opened import TABLES, list_guard
from agent.ndmz.plan import SPACE
from agent.ndmz.watch import flush_flows
from netns.nft import Nft, NftError
from netns.spaces import Spaces
from netns.sysctl import set_sysctls

log = logging.getLogger(__name__)


class Loader:
    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._loaded: tuple[str, str] | None = None  # what we loaded, and how nft lists it
        self._generation = 0  # of the ruleset in which it stands so; 0: look
        self._render = lru_cache(maxsize=1)(render)

    @property
    def loaded(self) -> bool:
        return self._loaded is not None

    def forget(self) -> None:
        """The namespace is another one now."""
        self._loaded, self._generation = None, 0

    async def load(self, nft: Nft, guard: Guard) -> None:
        """Raises CannotError."""
        text = self._render(guard)
        generation = await nft.generation()
        if self._loaded and self._loaded[0] == text and generation == self._generation != 0:
            return
        self._generation = 0
        found = await list_guard(nft)
        if self._loaded == (text, found):
            self._generation = generation
            return
        if self._loaded is not None and self._loaded[1] != found:
            log.warning("somebody changed the guard, loading it again")
        if not found:
            await set_sysctls(self._spaces, SPACE, settings.CLOSED, skip_missing=True)
        try:
            await nft.run(render_over(guard, found))
        except NftError as error:
            await self._load_anew(nft, text, error)
        if not found:
            await flush_flows(self._spaces, SPACE)
        self._generation = await nft.generation()
        self._loaded = (text, await list_guard(nft))

    async def _load_anew(self, nft: Nft, text: str, refused: NftError) -> None:
        """Another version's sets or chains are in the way: without forwarding, begin from nothing."""
        log.warning("cannot change the guard, making it anew", extra={"reason": refused.message})
        self._loaded = None
        await set_sysctls(self._spaces, SPACE, settings.CLOSED, skip_missing=True)
        await nft.run("".join(f"add table {table}\ndelete table {table}\n" for table in TABLES))
        await nft.run(text)

"""One network resource in the kernel: observe, plan, diff, apply; twice is once.

resource = ResourceRunner(spaces, backend, network)
made = await resource.ensure(want)       # what is new; a new device needs its key
await resource.close()                   # leaves all of it in the kernel
await resource.destroy()                 # takes all of it away
"""

import logging

from msgspec import Struct

from agent.nr import guard
from agent.nr.apply import apply
from agent.nr.plan import Names, Resource, Seen, diff
from netns.netlink import Netlink
from netns.nft import Nft, NftError
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.wireguard.backend import WireGuardBackend

log = logging.getLogger(__name__)

ROLE = "nr"


class Made(Struct, frozen=True):
    """What was not there before."""

    space: bool
    device: bool


class ResourceRunner:
    def __init__(self, spaces: Spaces, backend: WireGuardBackend, network: str) -> None:
        self.names = Names.of(network)
        self._spaces, self._backend = spaces, backend
        self._netlink: Netlink | None = None
        self._guarded: tuple[str, str] | None = None  # what we loaded, and how nft lists it
        self._new_space = self._new_device = False  # and nobody was told yet

    async def ensure(self, want: Resource, *, underlay: str = HOST) -> Made:
        """`underlay`: where the UDP socket is. Raises CannotError; what was achieved stays, and the next call goes on from there."""
        self._new_space |= await self._enter()
        await self._guard(want)
        self._new_device |= await self._backend.ensure(
            self.names.device, underlay=underlay, space=self.names.space
        )
        seen = await self._observe()
        await apply(self._open(), diff(want, seen), seen.links)
        await set_sysctls(
            self._spaces,
            self.names.space,
            {f"net/ipv4/conf/{self.names.device}/send_redirects": "0"},
        )
        made = Made(self._new_space, self._new_device)
        self._new_space = self._new_device = False
        return made

    async def close(self) -> None:
        if self._netlink is not None:
            await self._netlink.close()
            self._netlink = None

    async def destroy(self) -> None:
        await self.close()
        await self._backend.destroy(self.names.device)
        await self._spaces.delete(self.names.space)
        self._guarded = None

    async def _enter(self) -> bool:
        made = await self._spaces.ensure(self.names.space, role=ROLE)
        if made:
            await self.close()  # a socket in the namespace that was there before
            self._guarded = None
            log.info("network resource made", extra={"space": self.names.space})
        if self._netlink is None:
            await set_sysctls(self._spaces, self.names.space, guard.sysctls(), skip_missing=True)
            self._netlink = await Netlink.open(self._spaces, self.names.space)
        return made

    async def _guard(self, want: Resource) -> None:
        """Loaded when it says something new, or when somebody changed it."""
        text = guard.render(want.names, transit=want.transit)
        nft = await Nft.open(self._spaces, self.names.space)
        try:
            if self._guarded != (text, await _list_guard(nft)):
                await nft.run(text)
                self._guarded = (text, await _list_guard(nft))
        finally:
            await nft.close()

    async def _observe(self) -> Seen:
        netlink = self._open()
        links = {link.name: link for link in await netlink.links()}
        return Seen(links, tuple(await netlink.addresses()), tuple(await netlink.routes()))

    def _open(self) -> Netlink:
        if self._netlink is None:
            raise RuntimeError("ensure opens it")
        return self._netlink


async def _list_guard(nft: Nft) -> str:
    """As nft shows it; empty when there is none."""
    try:
        return await nft.listing(f"table inet {guard.TABLE}")
    except NftError:
        return ""

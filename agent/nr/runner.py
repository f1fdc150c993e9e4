"""One network resource in the kernel: observe, plan, diff, apply; twice is once.

resource = ResourceRunner(spaces, backend, network)
made = await resource.ensure(want)       # what is new; a new device needs its key
await resource.close()                   # leaves all of it in the kernel
await resource.destroy()                 # takes all of it away
"""

import logging
from dataclasses import dataclass

from agent.nr import guard
from agent.nr.plan import (
    BRIDGE_ROLE,
    AddAddress,
    AddBridge,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Names,
    Resource,
    Seen,
    SetMtu,
    SetUp,
    Step,
    diff,
)
from netns.netlink import Netlink
from netns.nft import Nft, NftError
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.values import Link
from netns.wireguard.backend import WireGuardBackend
from runtime.failure import CannotError

log = logging.getLogger(__name__)

ROLE = "nr"


@dataclass(frozen=True, slots=True)
class Made:
    """What was not there before."""

    space: bool
    device: bool


class ResourceRunner:
    def __init__(
        self, spaces: Spaces, backend: WireGuardBackend, network: str, *, underlay: str = HOST
    ) -> None:
        self.names = Names.of(network)
        self._spaces, self._backend, self._underlay = spaces, backend, underlay
        self._netlink: Netlink | None = None
        self._guarded: tuple[str, str] | None = None  # what we loaded, and how nft lists it
        self._new_space = self._new_device = False  # and nobody was told yet

    async def ensure(self, want: Resource) -> Made:
        """Raises CannotError; what was achieved stays, and the next call goes on from there."""
        self._new_space |= await self._enter()
        await self._guard(want)
        self._new_device |= await self._backend.ensure(
            self.names.device, underlay=self._underlay, space=self.names.space
        )
        for step in diff(want, await self._observe()):
            await self._apply(step)
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

    async def _apply(self, step: Step) -> None:
        netlink = self._open()
        match step:
            case AddBridge(name):
                await netlink.add_bridge(name, role=BRIDGE_ROLE)
            case SetMtu(link, mtu):
                await netlink.set_link(await self._index(link), mtu=mtu)
            case SetUp(link):
                await netlink.set_link(await self._index(link), up=True)
            case AddAddress(link, interface):
                await netlink.replace_address(await self._index(link), interface, nodad=True)
            case DeleteAddress(link, interface):
                await netlink.delete_address(await self._index(link), interface)
            case AddRoute(link, destination):
                await netlink.replace_route(destination, link=await self._index(link))
            case DeleteRoute(link, destination):
                await netlink.delete_route(destination, link=await self._index(link))

    async def _index(self, name: str) -> int:
        link: Link | None = await self._open().link(name)
        if link is None:
            raise CannotError(f"cannot set up {name} in {self.names.space}: it is gone")
        return link.index

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

"""WireGuard devices of the kernel, by generic netlink.

    backend = Kernel(spaces)               # where `is_there`
    await backend.ensure("w-1a2b", underlay=HOST, space="n-1a2b")

A device outlives us and is adopted at our next start. It is asked in the namespace where it lives,
by a socket for each question: one that stays open would keep a deleted namespace alive.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from netns.exchange import GENERIC, Exchange
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.values import Link
from netns.wireguard import genl
from netns.wireguard.backend import ROLE, WireGuardError
from netns.wireguard.device import Op, Reading
from runtime.failure import CannotError

KIND = FAMILY = "wireguard"


class Kernel:
    """A `WireGuardBackend`."""

    kind = KIND

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._where: dict[str, str] = {}  # the namespace of each device that we have seen

    async def ensure(self, name: str, *, underlay: str, space: str) -> bool:
        role = await self._role(underlay)
        async with self._open(space) as there:
            if await self._adopt(there, name, role) is not None:
                self._where[name] = space
                return False
        async with self._open(underlay) as here:
            # one that we made and were killed before we moved it is as new as a new one
            link = await self._adopt(here, name, role)
            link = link or await here.add_link(name, self.kind, role=role)
            if space != underlay:
                await here.move(link.index, space)
        self._where[name] = space
        return True

    async def read(self, name: str) -> Reading | None:
        space = await self._find(name)
        if space is None:
            return None
        try:
            payloads = await self._spaces.run(space, _dump, genl.get_body(name))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise _refused(name, error) from error
        return genl.decode_reading(payloads)

    async def apply(self, name: str, ops: Iterable[Op]) -> None:
        bodies = list(genl.set_bodies(name, ops))  # what cannot be is refused before the first
        space = await self._find(name)
        if space is None:
            raise WireGuardError(f"cannot configure WireGuard {name}: there is no device")
        for body in bodies:  # one by one: the others who need the namespace thread get their turn
            try:
                await self._spaces.run(space, _ask, body)
            except OSError as error:
                raise _refused(name, error) from error

    async def destroy(self, name: str) -> None:
        space = await self._find(name)
        if space is None:
            return
        async with self._open(space) as netlink:
            link = await netlink.link(name)
            if link is not None and _is_ours(link):
                await netlink.delete_link(link.index)
        del self._where[name]

    async def ended(self, name: str) -> None:
        """It does not die; somebody's hand may delete it, and the next `read` says so."""
        if await self.read(name) is not None:
            await asyncio.Event().wait()

    async def _find(self, name: str) -> str | None:
        """The namespace that the device is in, also when it was made before we started."""
        known = self._where.get(name)
        if known is not None and self._spaces.exists(known):
            return known
        for space in (*self._spaces.ours(), HOST):
            with suppress(CannotError):  # a namespace that goes meanwhile
                async with self._open(space) as netlink:
                    link = await netlink.link(name)
                if link is not None and link.kind == self.kind and _is_ours(link):
                    self._where[name] = space
                    return space
        return None

    async def _role(self, underlay: str) -> str:
        """The kernel does not tell where a device's socket is, so its mark does. By number as well:
        a namespace that was deleted and made anew has the name of the one where the socket hangs.
        """
        if underlay == HOST:
            return ROLE
        return f"{ROLE}@{underlay}@{await self._spaces.identity(underlay)}"

    async def _adopt(self, netlink: Netlink, name: str, role: str) -> Link | None:
        """The device, if it is there and ours. One with its socket elsewhere makes way, and so does a
        link that wireguard-go left for us; another's does not: NetlinkError, when the device is made.
        """
        link = await netlink.link(name)
        if link is None or not _is_ours(link):
            return None
        if link.kind == self.kind and link.role == role:
            return link
        await netlink.delete_link(link.index)
        return None

    @asynccontextmanager
    async def _open(self, space: str) -> AsyncIterator[Netlink]:
        netlink = await Netlink.open(self._spaces, space)
        try:
            yield netlink
        finally:
            await netlink.close()


def is_there() -> bool:
    """Whether this kernel has WireGuard; its module is loaded when there is one."""
    try:
        with Exchange(GENERIC) as kernel:
            _family(kernel)
    except OSError:
        return False
    return True


def _is_ours(link: Link) -> bool:
    return link.role is not None and link.role.partition("@")[0] == ROLE


# -- jobs for the namespace thread


def _dump(body: bytes) -> list[bytes]:
    with Exchange(GENERIC) as kernel:
        return kernel.dump(_family(kernel), body)


def _ask(body: bytes) -> None:
    with Exchange(GENERIC) as kernel:
        kernel.ask(_family(kernel), body)


def _family(kernel: Exchange) -> int:
    (answer,) = kernel.ask(genl.CONTROLLER, genl.family_body(FAMILY))
    return genl.decode_family(answer)


def _refused(name: str, error: OSError) -> WireGuardError:
    reason = (error.strerror or str(error)).lower()
    return WireGuardError(f"cannot configure WireGuard {name}: {reason}", number=error.errno)

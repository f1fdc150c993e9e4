"""Static addresses of ndmz's ends: those that agent.yaml gives beside the NIC that is the uplink.

    ends = StaticEnds(spaces, config.static)
    fixed = await ends.behind(4)          # None: npub4 asks by DHCP
    await ends.hold6(on_change)           # for ever; npub6 has what there is, beside what RAs give

Which NIC is the uplink is asked of the kernel, so that they follow it wherever it goes.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from agent.dhcp.keeper import DEFAULT_METRIC
from agent.ndmz.guard import UPLINK6
from agent.ndmz.plan import SPACE, uplink_bridge
from agent.static.config import Fixed, Static, static_port
from agent.static.keeper import keep_fixed, withdraw_fixed
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import IPAddress
from runtime.failure import CannotError

log = logging.getLogger(__name__)

AGAIN_S = 0.5
LOOK_S = 1.0  # whether another NIC is the uplink


Keeping = Coroutine[Any, Any, NoReturn]


class StaticEnds:
    def __init__(self, spaces: Spaces, static: Static) -> None:
        self.servers: tuple[IPAddress, ...] = ()  # of the NIC that is the uplink
        self._spaces, self._static = spaces, static

    async def behind(self, version: int) -> Fixed | None:
        """What the end of a family is to have now."""
        if not self._static:
            return None
        home = await Netlink.open(self._spaces)
        try:
            links = {link.name: link for link in await home.links()}
        finally:
            await home.close()
        nic = static_port(links.values(), uplink_bridge(links), self._static)
        self.servers = nic.servers if nic is not None else ()
        return nic.behind(version) if nic is not None else None

    async def hold6(self, on_change: Callable[[], None]) -> NoReturn:
        while True:
            fixed = await self.behind(6)
            if fixed is None:
                await asyncio.sleep(LOOK_S)
            else:
                await self.keep(UPLINK6, fixed, on_change)

    async def keep(self, end: str, fixed: Fixed, on_change: Callable[[], None]) -> None:
        """Until something else is to be there, or the link has gone."""
        version = fixed.addresses[0].version
        if version == 4:
            await self._clear(end, fixed)

        def keeping() -> Keeping:
            return keep_fixed(self._spaces, SPACE, end, fixed, on_change=on_change)

        if await self.until_other(keeping, version, fixed):
            await self._withdraw(end, fixed)
            on_change()

    async def until_other(
        self, keeping: Callable[[], Keeping], version: int, fixed: Fixed | None
    ) -> bool:
        """Run it while `fixed` is what is to be there; whether it is something else now."""
        task = asyncio.create_task(keeping())
        pause = LOOK_S if self._static else None
        try:
            while not (await asyncio.wait({task}, timeout=pause))[0]:
                if await self.behind(version) != fixed:
                    return True
            task.result()
        except CannotError as error:
            log.debug("not kept", extra={"reason": error.message})
            await asyncio.sleep(AGAIN_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return False

    async def _clear(self, end: str, fixed: Fixed) -> None:
        """A lease that was there goes."""
        inside = await Netlink.open(self._spaces, SPACE)
        try:
            if (link := await inside.link(end)) is None:
                return
            for address in await inside.addresses(link.index):
                known = address.interface.version == 6 or address.interface in fixed.addresses
                if not known:
                    await inside.delete_address(link.index, address.interface)
        finally:
            await inside.close()

    async def _withdraw(self, end: str, fixed: Fixed) -> None:
        inside = await Netlink.open(self._spaces, SPACE)
        try:
            link = await inside.link(end)
            if link is not None:
                await withdraw_fixed(inside, link, fixed, metric=DEFAULT_METRIC)
        finally:
            await inside.close()

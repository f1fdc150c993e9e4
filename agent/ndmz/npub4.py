"""The lease of npub4: best effort for ever. It may come late, go, or be on a LAN without a server.
Where agent.yaml gives ndmz an address beside the uplink's NIC, nobody is asked.

npub4 = Npub4(spaces, mac, on_change, ends)
await npub4.hold()
npub4.lease
npub4.renew()          # another LAN is behind zos: ask again
npub4.become(mac)      # on another bridge it has another MAC, and another lease
npub4.ask(False)       # give it back, and ask for none until `ask(True)`
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from agent.dhcp.keeper import keep_lease
from agent.dhcp.lease import Lease
from agent.dhcp.release import give_back
from agent.dhcp.store import load_lease
from agent.ndmz.guard import UPLINK4
from agent.ndmz.plan import INSIDE4, SPACE
from agent.ndmz.static import Keeping, StaticEnds
from agent.static.config import Fixed
from netns.spaces import Spaces
from netns.values import IPAddress
from runtime.failure import CannotError

log = logging.getLogger(__name__)


class Npub4:
    def __init__(
        self, spaces: Spaces, mac: str, on_change: Callable[[], None], ends: StaticEnds
    ) -> None:
        self.lease: Lease | None = None
        self._spaces, self._mac, self._on_change = spaces, mac, on_change
        self._ends = ends
        self._fixed: Fixed | None = None
        self._keeping: asyncio.Task[object] | None = None
        self._asks = True

    @property
    def servers(self) -> tuple[IPAddress, ...]:
        """DNS servers that come with its address, or stand in the config."""
        return (*(self.lease.dns if self.lease else ()), *self._ends.servers)

    async def hold(self) -> NoReturn:
        while True:
            self._fixed = fixed = await self._ends.behind(4)
            self._keeping = asyncio.create_task(self._keep(fixed))
            try:
                await asyncio.wait({self._keeping})
            finally:
                self._keeping.cancel()
            if not self._keeping.cancelled():
                self._keeping.result()

    def renew(self) -> None:
        """Static addresses see by themselves whether they are still to be there."""
        if self._keeping is not None and self._fixed is None:
            self._keeping.cancel()

    def become(self, mac: str) -> None:
        if mac != self._mac:
            self._mac, self.lease = mac, None
            self.renew()

    def ask(self, wanted: bool) -> None:
        if wanted != self._asks:
            self._asks = wanted
            self.renew()

    async def _keep(self, fixed: Fixed | None) -> None:
        """What there is to be now, until it is something else."""
        if fixed is not None:
            self.lease = None
            await self._ends.keep(UPLINK4, fixed, self._on_change)
        elif self._asks:
            await self._ends.until_other(self._keep_lease, 4, None)
        else:
            await self._give_back()
            await self._ends.until_other(self._rest, 4, None)

    def _keep_lease(self) -> Keeping:
        return keep_lease(
            self._spaces,
            SPACE,
            UPLINK4,
            self._mac,
            first=self.lease or load_lease(self._mac),
            on_change=self._take,
            avoid=(INSIDE4,),
        )

    async def _rest(self) -> NoReturn:
        """Until `ask` ends it."""
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def _give_back(self) -> None:
        lease = self.lease or load_lease(self._mac)
        if lease is None:
            return
        try:
            await give_back(self._spaces, SPACE, UPLINK4, self._mac, lease)
        except CannotError as error:
            log.debug("lease not taken off", extra={"reason": error.message})
        await self._take(None)

    async def _take(self, lease: Lease | None) -> None:
        self.lease = lease
        self._on_change()

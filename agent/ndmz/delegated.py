"""The prefix that the site delegates to this node (RFC 8415).

    delegated = Delegated(spaces, identity, setting, on_change)
    await delegated.hold()                 # for ever: asks while somebody may answer
    delegated.look(npub6, lan, bridge)     # each time ndmz was looked at
    delegated.prefix, delegated.said

It is asked for where a router says that there is a DHCPv6 server, or the config does: elsewhere not a
packet is sent. Used is what is in hand until it is over, also over a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv6Network
from typing import NoReturn

from agent.dhcp6.delegation import Delegation, client_duid
from agent.dhcp6.port import LinkPort
from agent.dhcp6.release import give_back
from agent.dhcp6.runner import Client, new_machine
from agent.dhcp6.state import Drop, Use
from agent.dhcp6.store import forget_delegation, load_delegation, store_delegation
from agent.identity import Identity
from agent.ndmz.guard import UPLINK6
from agent.ndmz.plan import SPACE
from netns.spaces import Spaces
from netns.values import IPNetwork, Link
from runtime.clock import boottime

log = logging.getLogger(__name__)


class Delegated:
    def __init__(
        self, spaces: Spaces, identity: Identity, setting: str, on_change: Callable[[], None]
    ) -> None:
        """`setting`: as `ndmz.delegation` in the config."""
        self.wanted = False  # somebody may answer
        self._spaces, self._setting, self._on_change = spaces, setting, on_change
        self._duid = client_duid(identity.origin)
        self._held, self._hint = load_delegation()
        self._client: Client | None = None
        self._lan: frozenset[IPv6Network] = frozenset()
        self._lost = self._bridge = ""
        self._keeping: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()

    @property
    def prefix(self) -> IPv6Network | None:
        held = self._held
        valid = held is not None and held.is_valid(boottime()) and self._setting != "never"
        return held.prefix if held is not None and valid else None

    @property
    def said(self) -> str:
        """How it stands, for people; empty where it is not asked for."""
        if not self.wanted or self._client is None:
            return ""
        state = type(self._client.machine.state).__name__.lower()
        held, client = self._held, self._client
        said = f"{held.prefix} for {held.valid_s} s" if held is not None else "none"
        said += f" ({state})"
        if held is None and self._lost:
            said += f"; the last one is lost: {self._lost}"
        if client.refused:
            said += f"; {client.refused} answers refused, the last: {client.last_refused}"
        return said

    def look(self, npub6: Link | None, lan: Iterable[IPNetwork], bridge: str) -> None:
        """`lan`: the prefixes of the LAN: nobody can delegate those. `bridge`: where npub6 is."""
        if self._bridge not in ("", bridge):
            self.renew()
        self._bridge = bridge
        self._lan = frozenset(net for net in lan if isinstance(net, IPv6Network))
        there = npub6 is not None and npub6.up
        told = npub6 is not None and npub6.dhcp6
        some = self._setting == "always" or told or self._held is not None
        wanted = there and some and self._setting != "never"
        if wanted != self.wanted:
            self.wanted = wanted
            self._next()

    def renew(self) -> None:
        """Another LAN is behind the uplink: what the old one delegated leads nowhere."""
        if self._held is not None:
            log.info("prefix left behind", extra={"prefix": self._held.prefix})
            self._hint, self._held = self._held.prefix, None
            _forget()
        self._next()

    async def hold(self) -> NoReturn:
        if self._setting == "never" and self._held is not None:
            await give_back(self._spaces, SPACE, UPLINK6, self._duid, self._held)
            self._held = None
        while True:
            self._turn.clear()
            if not self.wanted:
                await self._turn.wait()
                continue
            self._keeping = asyncio.create_task(self._ask())
            try:
                await asyncio.wait({self._keeping})
            finally:
                self._keeping.cancel()
            if not self._keeping.cancelled():
                self._keeping.result()

    def _next(self) -> None:
        self._turn.set()
        if self._keeping is not None:
            self._keeping.cancel()

    async def _ask(self) -> None:
        first = self._held
        if self.prefix is None:
            self._held = None
        self._client = client = Client(
            new_machine(self._duid),
            LinkPort(self._spaces, SPACE, UPLINK6),
            self._perform,
            avoid=lambda: self._lan,
            tell=self._on_change,
        )
        await client.run(first=first, hint=self._hint)

    async def _perform(self, action: Use | Drop) -> None:
        match action:
            case Use(held):
                if self._held is None or self._held.prefix != held.prefix:
                    log.info("prefix in use", extra={"prefix": held.prefix})
                self._held, self._hint, self._lost = held, held.prefix, ""
                await asyncio.to_thread(_write_down, held)
            case Drop(held, reason):
                log.warning("prefix lost", extra={"prefix": held.prefix, "reason": reason})
                self._held, self._lost = None, reason
                await asyncio.to_thread(_forget)
        self._on_change()


def _forget() -> None:
    with suppress(OSError):
        forget_delegation()


def _write_down(held: Delegation) -> None:
    """A full disk must not cost the prefix."""
    try:
        store_delegation(held)
    except OSError as error:
        log.warning("prefix not written", extra={"reason": error.strerror})

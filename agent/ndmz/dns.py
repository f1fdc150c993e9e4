"""Which DNS servers workloads are told: those of the config, or what the site offers by lease and RA.

dns = Dns(config.ndmz, on_change)
await dns.watch(events)                 # for ever: servers in RAs
dns.servers(of_the_lease, facts)
dns.forget()                            # another LAN is behind the uplink
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NoReturn

from agent import config
from agent.ndmz.policy import Facts, choose_dns
from agent.ndmz.rdnss import Offers
from agent.ndmz.watch import Events
from netns.values import IPAddress


class Dns:
    def __init__(self, ndmz: config.Ndmz, on_change: Callable[[], None]) -> None:
        self._config, self._on_change = ndmz, on_change
        self._offers = Offers()

    def forget(self) -> None:
        self._offers = Offers()

    async def watch(self, events: Events) -> NoReturn:
        while True:
            for advert in await events.servers():
                if self._offers.take(advert, asyncio.get_running_loop().time()):
                    self._on_change()

    def servers(self, leased: Iterable[IPAddress], facts: Facts) -> tuple[IPAddress, ...]:
        now = asyncio.get_running_loop().time()
        offered = [*leased, *self._offers.current(now)]
        gateway = self._config.dns == "gateway"
        return choose_dns(self._config.servers, offered, facts, gateway=gateway)

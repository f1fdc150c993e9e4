"""Runs Ndmz alone on a node, without the rest of networkd.

    run_ndmz.py WORKLOAD…        # namespaces to make and attach

It makes the workloads' namespaces, attaches them and says `ready`, then obeys lines that somebody
writes to /run/orders: `site ADDRESS…`, `attach NAME`, `detach NAME`, `reload N`.
"""

import asyncio
import json
import os
import sys
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from agent.config import load
from agent.identity import load_identity
from agent.ndmz.runner import Ndmz
from netns.spaces import Spaces
from runtime.config import LogConfig
from runtime.log import start_logging

ORDERS = Path("/run/orders")


async def main(names: list[str]) -> None:
    spaces = Spaces()
    changed = asyncio.Event()
    ndmz = Ndmz(spaces, load_identity(), load(), on_change=lambda _: changed.set())
    await ndmz.build()
    async with asyncio.TaskGroup() as group:
        group.create_task(ndmz.keep())
        for name in names:
            await attach(spaces, ndmz, name)
        ORDERS.unlink(missing_ok=True)
        os.mkfifo(ORDERS)
        print("ready", flush=True)
        while True:
            for line in (await asyncio.to_thread(ORDERS.read_text)).splitlines():
                await obey(spaces, ndmz, changed, line.split())
                print("done", line, flush=True)


async def attach(spaces: Spaces, ndmz: Ndmz, name: str) -> None:
    await spaces.ensure(name, role="workload")
    place = await ndmz.attach(name)
    print(
        "attached", json.dumps({"name": name, "ip4": str(place.ip4.ip), "ip6": str(place.ip6.ip)})
    )


async def obey(spaces: Spaces, ndmz: Ndmz, changed: asyncio.Event, words: list[str]) -> None:
    match words:
        case ["site", *addresses]:
            ndmz.observe_site(map(ip_address, addresses))
        case ["attach", name]:
            await attach(spaces, ndmz, name)
        case ["detach", name]:
            await ndmz.detach(name)
        case ["reload", count]:
            for number in range(int(count)):
                await reload(ndmz, changed, IPv4Address(f"198.51.100.{240 + number % 10}"))
        case _:
            raise ValueError(words)


async def reload(ndmz: Ndmz, changed: asyncio.Event, site: IPv4Address) -> None:
    """Another site address is another guard; wait until it is loaded."""
    ndmz.observe_site([site])
    while ndmz.status().site != [str(site)]:
        changed.clear()
        await changed.wait()


if __name__ == "__main__":
    start_logging(LogConfig("debug" if os.environ.get("DEBUG") else "info"))
    asyncio.run(main(sys.argv[1:]))

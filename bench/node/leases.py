"""From link up to address, with one NIC and with many: ours, a raw exchange, other people's clients.

    figures = in_world(nics=4, rounds=20)      # {"ours": Times(up=[…], start=[…]), …}, ms

One real dnsmasq (--no-ping) behind a switch, all in a disposable world; each NIC in a namespace of its
own, as `internet` probes them. Each client is started on links that are down and raises them; they
take turns in a new order each round. The time is from the first link up to the last address.

floor      `exchange.blocking_exchange`, one NIC after the other
raw        `exchange.asyncio_exchange`, all at once
ours       `keep_lease` whole: it also reads, checks, decides, sets the route, watches
process    `zosnet-agent dhcp` started anew, interpreter and imports included; one a NIC
udhcpc, dhclient, dhcpcd    Debian's, those that are here, with a script of one line where they
           want one, started anew, one a NIC
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import IPv4Interface
from pathlib import Path
from shutil import which
from typing import NamedTuple

from agent.dhcp.keeper import keep_lease
from agent.dhcp.store import forget_lease
from bench.node.exchange import asyncio_exchange, blocking_exchange
from bench.node.observer import Observer
from lab.host import PYTHON
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from netns.spaces import Spaces

SCRIPT = Path("/run/lease-script")
# What the two that leave it to a script give one: udhcpc by its argument, dhclient by $reason.
TEXT = """#!/bin/sh
case "${reason:-$1}" in
deconfig | PREINIT) exec ip link set "$interface" up ;;
bound) exec ip addr replace "$ip/$mask" dev "$interface" ;;
BOUND) exec ip addr replace "$new_ip_address/$new_subnet_mask" dev "$interface" ;;
esac
"""
Client = Callable[[list["Place"]], Coroutine[None, None, None]]


class Times(NamedTuple):
    """Milliseconds, one of each a round: from the first link up, from the start of the client."""

    up: list[float]
    start: list[float]


def in_world(nics: int, rounds: int) -> dict[str, Times]:
    """Raises CannotError."""
    with World() as world:
        lone_server(world, "server", "lan", Lan(IPv4Interface("192.168.7.1/24")))
        node = world.node("client")
        for link in links(nics):
            world.plug(Nic("client", link, "lan"))
        words = ("--nics", str(nics), "--rounds", str(rounds))
        timeout = 60 + 15.0 * rounds
        said = node.output(PYTHON, "-m", "bench.node.leases", *words, timeout=timeout)
    return {name: Times(*times) for name, times in json.loads(said).items()}


def links(nics: int) -> list[str]:
    return [f"eth{number}" for number in range(nics)]


# -- inside the node


class Place(NamedTuple):
    """A NIC, and the namespace where it is."""

    space: str
    link: str
    mac: str

    def inside(self, *argv: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.space, *argv)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nics", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    arguments = parser.parse_args()
    SCRIPT.write_text(TEXT)
    SCRIPT.chmod(0o755)
    places = [_move(link) for link in links(arguments.nics)]
    print(json.dumps(asyncio.run(measure(places, arguments.rounds))))
    return 0


def _move(link: str) -> Place:
    mac = Path(f"/sys/class/net/{link}/address").read_text().strip()
    space = f"of-{link}"
    subprocess.run(["ip", "netns", "add", space], check=True)
    subprocess.run(["ip", "link", "set", link, "netns", space], check=True)
    return Place(space, link, mac)


async def measure(places: list[Place], rounds: int) -> dict[str, Times]:
    spaces = Spaces()
    clients = _clients(spaces)
    figures = {name: Times([], []) for name in clients}
    with Observer([place.space for place in places]) as observer:
        for turn in range(-1, rounds):  # the first one warms up and does not count
            for name in random.sample(list(clients), len(clients)):
                await _reset(places)
                observer.clear()
                began = time.monotonic_ns()
                running = asyncio.create_task(clients[name](places))
                up, ended = await observer.wait(len(places), who=name)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                if turn >= 0:
                    figures[name].up.append((ended - up) / 1e6)
                    figures[name].start.append((ended - began) / 1e6)
    spaces.close()
    return figures


def _clients(spaces: Spaces) -> dict[str, Client]:
    async def floor(places: list[Place]) -> None:
        for place in places:
            await spaces.run(place.space, blocking_exchange, place.link)

    def each(one: Callable[[Place], Coroutine[None, None, None]]) -> Client:
        async def all_of_them(places: list[Place]) -> None:
            async with asyncio.TaskGroup() as group:
                for place in places:
                    group.create_task(one(place))

        return all_of_them

    def program(*argv: str) -> Client:
        return each(lambda place: _program(*place.inside(*argv, place.link)))

    async def dhclient(place: Place) -> None:
        files = [f"/run/{place.link}.{kind}" for kind in ("leases", "pid")]
        options = ("-cf", "/dev/null", "-lf", files[0], "-pf", files[1], "-sf", str(SCRIPT))
        await _program(*place.inside("dhclient", "-4", "-1", "-d", *options, place.link))

    clients: dict[str, Client] = {
        "floor": floor,
        "raw": each(lambda place: asyncio_exchange(spaces, place.space, place.link)),
        "ours": each(lambda place: keep_lease(spaces, *place)),
        "process": program(sys.executable, "-m", "agent", "dhcp", "--no-dns"),
        "udhcpc": program("udhcpc", "-f", "-q", "-s", str(SCRIPT), "-i"),
        "dhclient": each(dhclient),
        "dhcpcd": program("dhcpcd", "-4", "-B", "-q", "--noarp", "-f", "/dev/null"),
    }
    here = {"floor", "raw", "ours", "process"}
    return {name: client for name, client in clients.items() if name in here or which(name)}


async def _reset(places: list[Place]) -> None:
    """The links as after power-on, and no lease on disk."""
    for place in places:
        for verb in ("link set {} down", "-4 addr flush dev {}"):
            words = verb.format(place.link).split()
            await asyncio.to_thread(subprocess.run, ["ip", "-n", place.space, *words], check=True)
        forget_lease(place.mac)
        Path(f"/run/{place.link}.leases").unlink(missing_ok=True)
    for file in Path("/var/lib/dhcpcd").glob("*.lease"):
        file.unlink()
    await asyncio.sleep(0.1)


async def _program(*argv: str) -> None:
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdout=silent, stderr=silent)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """With what it has begotten: dhcpcd that is ended early leaves processes behind."""
    begotten = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 1)
    except TimeoutError:
        process.kill()
        await process.wait()
    for pid in begotten:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())

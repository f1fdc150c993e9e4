"""`script/bench dhcp`: from link up to address, ours beside a raw exchange and udhcpc.

One real dnsmasq (--no-ping) behind a switch, all in a disposable world. Each client is started on
a link that is down and raises it; they take turns in a new order each round. Both moments, link up
and address there, are the kernel's own events, taken by a process that only listens.

floor    blocking sockets and two ioctls: what the kernel and the server need
raw      the same four messages with our loop, sockets and netlink: what an asyncio program needs
ours     `keep_lease` whole: also reads, checks, decides, sets the route, watches
udhcpc   Debian's, started anew with a script of one line
process  `zosnet-agent dhcp` started anew, interpreter and imports included

floor and raw check nothing and send again each millisecond, as a switch port that wakes up
swallows the first packets. The bar is on ours by raw: what the client itself adds.
"""

import argparse
import asyncio
import fcntl
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any, Self

from agent.dhcp.datagram import BROADCAST, CLIENT_PORT, wrap
from agent.dhcp.keeper import keep_lease
from agent.dhcp.lease import hardware_address
from agent.dhcp.store import forget_lease
from lab.host import PYTHON
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from netns.netlink import Netlink
from netns.packet import ETH_P_IP, close_packet_socket, destination, open_packet_socket
from netns.spaces import HOST, Spaces
from runtime.cli import table
from runtime.failure import CannotError, Exit

Figures = dict[str, dict[str, list[float]]]  # client → from "up" and from "start", ms

BAR = 1.5
LINK = "eth0"
ADDRESS = Path(f"/sys/class/net/{LINK}/address")
PROMISE = "ours"
SCRIPT = Path("/run/udhcpc.sh")
UDHCPC = """#!/bin/sh
case "$1" in
deconfig) exec ip link set "$interface" up ;;
bound) exec ip addr replace "$ip/$mask" dev "$interface" ;;
esac
"""
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCGIFHWADDR = 0x8916, 0x891C, 0x8914, 0x8927
RTM_NEWLINK, RTM_NEWADDR = 16, 20
RTMGRP_LINK, RTMGRP_IPV4_IFADDR = 0x1, 0x10
IFF_UP = 0x1
PATIENCE = 10.0  # seconds
RAW_RETRY = 0.001


def main() -> int:
    parser = argparse.ArgumentParser(description="link up → address, with the floor beside it")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--observe", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.observe:
        return observe()
    if arguments.inside:
        print(json.dumps(asyncio.run(measure(arguments.rounds))))
        return 0
    try:
        figures = run_in_world(arguments.rounds)
    except CannotError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return int(error.code)
    return report(figures, as_json=arguments.json)


def run_in_world(rounds: int) -> Figures:
    with World() as world:
        lone_server(world, "server", "lan", Lan(IPv4Interface("192.168.7.1/24")))
        node = world.node("client")
        world.plug(Nic("client", LINK, "lan"))
        words = (PYTHON, "-m", "bench.dhcp", "--inside", "--rounds", str(rounds))
        return dict(json.loads(node.output(*words, timeout=60 + 10 * rounds)))


def report(figures: Figures, *, as_json: bool) -> int:
    medians = {name: statistics.median(times["up"]) for name, times in figures.items()}
    ratios = {name: median / medians["raw"] for name, median in medians.items()}
    held = ratios[PROMISE] <= BAR
    if as_json:
        said = {"ms": figures, "median_ms": medians, "ratio": ratios, "bar": BAR, "held": held}
        print(json.dumps(said, indent=1))
    else:
        print(table([_row(name, figures[name], ratios[name]) for name in figures], COLUMNS))
        verdict = "held" if held else "missed"
        print(f"bar: link up to address, ours ≤ {BAR} of raw: {verdict}")
    return Exit.OK if held else Exit.PROBLEMS


COLUMNS = ["client", "rounds", "least", "median", "most", "of raw", "from its start"]


def _row(name: str, times: dict[str, list[float]], ratio: float) -> list[str]:
    up = times["up"]
    spread = [f"{ms:.2f} ms" for ms in (min(up), statistics.median(up), max(up))]
    start = f"{statistics.median(times['start']):.2f} ms"
    return [name, str(len(up)), *spread, f"{ratio:.2f}", start]


# -- inside the node


async def measure(rounds: int) -> Figures:
    SCRIPT.write_text(UDHCPC)
    SCRIPT.chmod(0o755)
    mac = ADDRESS.read_text().strip()
    spaces = Spaces()
    variants: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "floor": lambda: asyncio.to_thread(blocking_exchange),
        "raw": lambda: asyncio_exchange(spaces),
        "ours": lambda: keep_lease(spaces, HOST, LINK, mac),
        "udhcpc": lambda: program("udhcpc", "-f", "-q", "-i", LINK, "-s", str(SCRIPT)),
        "process": lambda: program(sys.executable, "-m", "agent", "dhcp", LINK, "--no-dns"),
    }
    figures: Figures = {name: {"up": [], "start": []} for name in variants}
    with Observer() as observer:
        for turn in range(-1, rounds):  # the first one warms up and does not count
            for name in random.sample(list(variants), len(variants)):
                await reset(mac)
                observer.clear()
                began = time.monotonic_ns()
                running = asyncio.create_task(variants[name]())
                up, ended = await observer.wait()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                if turn >= 0:
                    figures[name]["up"].append((ended - up) / 1e6)
                    figures[name]["start"].append((ended - began) / 1e6)
    spaces.close()
    return figures


async def reset(mac: str) -> None:
    """The link as after power-on, and no lease of ours on disk."""
    down = f"ip link set {LINK} down; ip -4 addr flush dev {LINK}"
    await asyncio.to_thread(subprocess.run, ["sh", "-c", down], check=True)
    forget_lease(mac)
    await asyncio.sleep(0.1)


async def program(*argv: str) -> None:
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdout=silent, stderr=silent)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def blocking_exchange() -> None:
    """As little as can be: whatever answers to our xid is taken."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    packets.bind((LINK, 0x0800))
    packets.settimeout(RAW_RETRY)
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name = LINK.encode().ljust(16, b"\0")
    mac = fcntl.ioctl(own, SIOCGIFHWADDR, name + bytes(24))[18:24]
    xid = random.randbytes(4)
    fcntl.ioctl(own, SIOCSIFFLAGS, name + struct.pack("=H22x", IFF_UP))
    packets.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # ENETDOWN, from before
    offer = ask(packets, query(mac, xid, DISCOVER), xid, expected=b"\x02")
    address = offer[16:20]
    request = chosen(address, value_of(offer, 54))
    ack = ask(packets, query(mac, xid, request), xid, expected=b"\x05")
    for set_it, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, value_of(ack, 1))):
        fcntl.ioctl(own, set_it, name + struct.pack("=HH4s16x", socket.AF_INET, 0, value))
    packets.close()
    own.close()


async def asyncio_exchange(spaces: Spaces) -> None:
    netlink = await Netlink.open(spaces)
    link = await netlink.link(LINK)
    packets = await open_packet_socket(spaces, HOST, LINK, ETH_P_IP, udp_port=CLIENT_PORT)
    if link is None:
        raise CannotError(f"cannot measure: no link {LINK}")
    mac, xid = hardware_address(link.mac), random.randbytes(4)
    try:
        await netlink.set_link(link.index, up=True)
        packets.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        offer = await async_ask(packets, query(mac, xid, DISCOVER), xid, expected=b"\x02")
        request = chosen(offer[16:20], value_of(offer, 54))
        ack = await async_ask(packets, query(mac, xid, request), xid, expected=b"\x05")
        mask = IPv4Address(value_of(ack, 1))
        await netlink.replace_address(
            link.index, IPv4Interface(f"{IPv4Address(ack[16:20])}/{mask}")
        )
    finally:
        await close_packet_socket(packets)
        await netlink.close()


async def async_ask(
    packets: socket.socket, datagram: bytes, xid: bytes, *, expected: bytes
) -> bytes:
    loop = asyncio.get_running_loop()
    for _ in range(int(PATIENCE / RAW_RETRY)):
        packets.sendto(datagram, destination(LINK, ETH_P_IP))
        with suppress(TimeoutError):
            async with asyncio.timeout(RAW_RETRY):
                while True:
                    heard = (await loop.sock_recv(packets, 2048))[28:]
                    if heard[4:8] == xid and heard[242:243] == expected:
                        return heard
    raise CannotError("cannot measure: no server answers the raw exchange")


def ask(packets: socket.socket, datagram: bytes, xid: bytes, *, expected: bytes) -> bytes:
    for _ in range(int(PATIENCE / RAW_RETRY)):
        packets.sendto(datagram, destination(LINK, ETH_P_IP))
        with suppress(TimeoutError):
            while True:
                heard = packets.recv(2048)[28:]
                if heard[4:8] == xid and heard[242:243] == expected:
                    return heard
    raise CannotError("cannot measure: no server answers the raw exchange")


DISCOVER = b"\x35\x01\x01"


def chosen(address: bytes, server: bytes) -> bytes:
    """The options of a REQUEST."""
    return b"\x35\x01\x03\x32\x04" + address + b"\x36\x04" + server


def query(mac: bytes, xid: bytes, options: bytes) -> bytes:
    message = b"\x01\x01\x06\0" + xid + bytes(20) + mac.ljust(16, b"\0") + bytes(192)
    message += b"c\x82Sc" + options + b"\x37\x04\x01\x03\x06\x33\xff"
    return wrap(message.ljust(300, b"\0"), source=IPv4Address(0), destination=BROADCAST)


def value_of(message: bytes, wanted: int) -> bytes:
    at = 240
    while message[at] != wanted:
        at += 2 + message[at + 1]
    return message[at + 2 : at + 2 + message[at + 1]]


# -- when an address appears


def observe() -> int:
    """Print the monotonic nanosecond of each link that is up and of each new IPv4 address."""
    os.nice(-20)  # it must not wait for those whose time it takes
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    events.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR))
    os.write(1, b"listening\n")  # whole lines, whatever Python buffers
    while True:
        data = events.recv(65536)
        now = time.monotonic_ns()
        kind = struct.unpack_from("=IH", data)[1]
        if kind == RTM_NEWADDR:
            os.write(1, b"address %d\n" % now)
        elif kind == RTM_NEWLINK and struct.unpack_from("=I", data, 16 + 8)[0] & IFF_UP:
            os.write(1, b"up %d\n" % now)


class Observer:
    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "bench.dhcp", "--observe"]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        if self._process.stdout is None or self._process.stdout.readline() != b"listening\n":
            raise CannotError("cannot measure: the observer does not start")
        self._output = self._process.stdout
        self._up: int | None = None
        self._address: asyncio.Event = asyncio.Event()
        self._ended = 0
        asyncio.get_running_loop().add_reader(self._output, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._output)
        self._output.close()
        self._process.kill()
        self._process.wait()

    def clear(self) -> None:
        self._up = None
        self._address.clear()

    async def wait(self) -> tuple[int, int]:
        """The moments at which the link was up and the address there."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._address.wait()
        except TimeoutError:
            raise CannotError("cannot measure: no address came") from None
        if self._up is None:
            raise CannotError("cannot measure: an address on a link that was not raised")
        return self._up, self._ended

    def _read(self) -> None:
        for line in os.read(self._output.fileno(), 4096).decode().splitlines():
            what, moment = line.split()
            if what == "up" and self._up is None:
                self._up = int(moment)
            elif what == "address" and not self._address.is_set():
                self._ended = int(moment)
                self._address.set()


if __name__ == "__main__":
    sys.exit(main())

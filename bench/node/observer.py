"""Moments that the kernel tells, by a process that does nothing but listen.

with Observer() as observer:
    observer.clear()
    …
    up, ended = await observer.wait(4, who="ours")   # ns: the first link up, the fourth with an address

python -m bench.node.observer     prints each moment; also what runs in another namespace
"""

import asyncio
import os
import select
import socket
import struct
import subprocess
import sys
import time
from typing import Self

from netns.spaces import Spaces
from runtime.failure import CannotError

PATIENCE = 30.0  # seconds
RTM_NEWLINK, RTM_NEWADDR = 16, 20
RTMGRP_LINK, RTMGRP_IPV4_IFADDR = 0x1, 0x10
IFF_UP = 0x1


def main(spaces: list[str]) -> int:
    """Print the monotonic nanosecond of each link that is up and of each new IPv4 address."""
    os.nice(-20)  # it must not wait for those whose time it takes
    poll = select.poll()
    sockets = {sock.fileno(): (sock, space) for sock, space in asyncio.run(_listen(spaces))}
    for descriptor in sockets:
        poll.register(descriptor, select.POLLIN)
    os.write(1, b"listening\n")  # whole lines, whatever Python buffers
    while True:
        for descriptor, _ in poll.poll():
            sock, space = sockets[descriptor]
            if told := _read_event(sock.recv(65536)):
                what, link = told
                os.write(1, f"{what} {space}/{link} {time.monotonic_ns()}\n".encode())


async def _listen(spaces: list[str]) -> list[tuple[socket.socket, str]]:
    own = Spaces()
    opened = [(await own.run(space, _open_events), space) for space in spaces]
    own.close()
    return opened


def _open_events() -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    events.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR))
    return events


def _read_event(data: bytes) -> tuple[str, int] | None:
    kind = struct.unpack_from("=IH", data)[1]
    if kind == RTM_NEWADDR:
        return "address", struct.unpack_from("=I", data, 16 + 4)[0]
    if kind == RTM_NEWLINK:
        _, index, flags = struct.unpack_from("=IiI", data, 16)
        return ("up", index) if flags & IFF_UP else None
    return None


class Observer:
    def __init__(self, spaces: list[str]) -> None:
        self._spaces = spaces

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "bench.node.observer", *self._spaces]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        if self._process.stdout is None or self._process.stdout.readline() != b"listening\n":
            raise CannotError("cannot measure: the observer does not start")
        self._output = self._process.stdout
        self.clear()
        asyncio.get_running_loop().add_reader(self._output, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._output)
        self._output.close()
        self._process.kill()
        self._process.wait()

    def clear(self) -> None:
        self._up: int | None = None
        self._addressed: dict[str, int] = {}  # link → moment
        self._news = asyncio.Event()

    async def wait(self, links: int, *, who: str) -> tuple[int, int]:
        """When the first link was up, and when so many had an address."""
        try:
            async with asyncio.timeout(PATIENCE):
                while len(self._addressed) < links:
                    await self._news.wait()
                    self._news.clear()
        except TimeoutError:
            got = f"{len(self._addressed)} of {links} addresses after {PATIENCE:g} s"
            raise CannotError(f"cannot measure {who}: {got}") from None
        if self._up is None:
            raise CannotError(f"cannot measure {who}: an address, but no link was raised")
        return self._up, max(self._addressed.values())

    def _read(self) -> None:
        for line in os.read(self._output.fileno(), 65536).decode().splitlines():
            what, link, moment = line.split()
            if what == "up" and self._up is None:
                self._up = int(moment)
            elif what == "address":
                self._addressed.setdefault(link, int(moment))
        self._news.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

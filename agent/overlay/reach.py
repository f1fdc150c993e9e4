"""Asks peers for an ICMP echo from inside the network's namespace, for as long as it is open.

reach = await Reach.open(spaces, "n-1a2b", on_answer=…)
reach.aim(addresses); await reach.keep()
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address

from agent.overlay.echo import Asker, Contact, decode_reply, encode_echo
from netns.spaces import Spaces
from netns.values import IPAddress

log = logging.getLogger(__name__)

_PROTOCOL = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
_ICMP_FILTER, _ICMP6_FILTER = 1, 1  # linux/icmp.h, linux/icmpv6.h: a set bit is dropped
_RAW = 255
_BATCH = 128


class Reach:
    def __init__(
        self,
        sockets: dict[int, socket.socket],
        on_answer: Callable[[IPAddress], None],
    ) -> None:
        self._sockets, self._on_answer = sockets, on_answer
        self._identifier = os.getpid() & 0xFFFF
        self._asker = Asker()
        self._loop = asyncio.get_running_loop()
        self._aimed = asyncio.Event()
        for family, sock in sockets.items():
            self._loop.add_reader(sock, self._read, family, sock)

    @classmethod
    async def open(
        cls, spaces: Spaces, space: str, *, on_answer: Callable[[IPAddress], None]
    ) -> "Reach":
        """`on_answer` hears of the first answer of an address, and of the first after a silence."""
        return cls({f: await spaces.run(space, _open, f) for f in (4, 6)}, on_answer)

    def aim(self, addresses: Collection[IPAddress], *, hurry: bool = False) -> None:
        """Whom to ask; `hurry` begins anew, quickly."""
        now = self._loop.time()
        self._asker.aim(addresses, now)
        if hurry:
            self._asker.hurry(now)
        self._aimed.set()

    def contact(self, address: IPAddress) -> Contact | None:
        return self._asker.contacts.get(address)

    async def keep(self) -> None:
        while True:
            self._aimed.clear()
            for address, sequence in self._asker.due(self._loop.time()):
                self._send(address, sequence)
            deadline = self._asker.deadline
            try:
                async with asyncio.timeout_at(deadline):
                    await self._aimed.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
            sock.close()

    def _send(self, address: IPAddress, sequence: int) -> None:
        packet = encode_echo(address.version, self._identifier, sequence)
        try:
            self._sockets[address.version].sendto(packet, (str(address), 0))
        except OSError as error:  # no route, no peer, queue full: it counts as no answer
            log.debug("echo not sent", extra={"to": address, "errno": error.errno})

    def _read(self, family: int, sock: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                packet, sender = sock.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError as error:
                log.debug("echo not read", extra={"errno": error.errno})
                return
            reply = decode_reply(family, packet)
            if reply is None or reply[0] != self._identifier:
                continue
            address = ip_address(sender[0].partition("%")[0])
            if self._asker.heard(address, reply[1], self._loop.time()):
                self._on_answer(address)


def _open(family: int) -> socket.socket:
    domain, protocol = _PROTOCOL[family]
    sock = socket.socket(
        domain, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol
    )
    if family == 4:
        sock.setsockopt(_RAW, _ICMP_FILTER, (~(1 << 0) & 0xFFFFFFFF).to_bytes(4, "little"))
    else:
        passed = bytearray(b"\xff" * 32)
        passed[129 // 32 * 4 : 129 // 32 * 4 + 4] = (~(1 << 129 % 32) & 0xFFFFFFFF).to_bytes(
            4, "little"
        )
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, bytes(passed))
    return sock

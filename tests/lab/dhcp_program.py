"""Run in a node: parts of the DHCP client that have no command of their own.

probe SPACE LINK SECONDS    print the lease or why there is none
keep SPACE LINK             keep a lease in a namespace, its servers in the namespace's file
swap LINK ADDRESS …         apply a lease of the first address, then of the next in its place
flood                       answer each DHCP query on the link with many bad replies, for ever
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Interface

from agent.dhcp.apply import apply_lease, prepare_link
from agent.dhcp.keeper import keep_lease
from agent.dhcp.lease import Lease, client_id
from agent.dhcp.resolv import resolv_conf_path
from agent.dhcp.runner import NoLease, probe_lease
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from runtime.clock import boottime
from tests.agent.dhcp.replies import option


async def mac_of(spaces: Spaces, space: str, link: str) -> str:
    netlink = await Netlink.open(spaces, space)
    try:
        found = await netlink.link(link)
        return found.mac if found else "02:00:00:00:00:01"
    finally:
        await netlink.close()


async def probe(spaces: Spaces, space: str, link: str, seconds: str) -> None:
    mac = await mac_of(spaces, space, link)
    began = time.monotonic()
    found = await probe_lease(spaces, space, link, mac, deadline_s=float(seconds))
    answer = found.reason if isinstance(found, NoLease) else str(found.address)
    print(json.dumps({"answer": answer, "seconds": time.monotonic() - began}))


async def keep(spaces: Spaces, space: str, link: str) -> None:
    mac = await mac_of(spaces, space, link)
    await keep_lease(spaces, space, link, mac, resolv_conf=resolv_conf_path(space))


async def swap(spaces: Spaces, name: str, *addresses: str) -> None:
    netlink = await Netlink.open(spaces)
    link = await netlink.link(name)
    assert link is not None
    await prepare_link(spaces, HOST, name)
    previous = None
    for address in map(IPv4Interface, addresses):
        alone = address.network.num_addresses == 1
        gateway = IPv4Address("10.9.9.9") if alone else address.network[1]
        lease = Lease(
            address=address,
            routers=(gateway,),
            server=gateway,
            lease_s=600,
            renew_s=300,
            rebind_s=500,
            acquired=boottime(),
            client_id=client_id(link.mac),
        )
        for _ in range(2 if previous is None else 1):  # twice is once
            await apply_lease(netlink, link, lease, now=boottime(), metric=100, previous=previous)
        previous = lease
    await netlink.close()


def flood() -> None:
    short = option(53, b"\x02") + option(61, b"") + b"\xff"
    loopback = option(53, b"\x02") + option(54, b"\x7f\0\0\1") + b"\xff"
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    own.bind(("", 67))
    while True:
        heard = bytearray(own.recv(2000))
        heard[0] = 2
        for area in (short, loopback, b"", b"\xff", b"\x35\x01") * 40:
            reply = bytes(heard[:240]) + area
            own.sendto(reply.ljust(256, b"\0"), ("255.255.255.255", 68))


async def main(verb: str, *arguments: str) -> None:
    verbs: dict[str, Callable[..., Awaitable[None]]] = {"probe": probe, "keep": keep, "swap": swap}
    spaces = Spaces()
    try:
        await verbs[verb](spaces, *arguments)
    finally:
        spaces.close()


if __name__ == "__main__":
    if sys.argv[1] == "flood":
        flood()
    asyncio.run(main(*sys.argv[1:]))

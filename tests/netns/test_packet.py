"""Packet sockets on a real cable."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface

import pytest

from netns import arp
from netns.packet import (
    ETH_P_ARP,
    ETH_P_IP,
    close_packet_socket,
    destination,
    open_packet_socket,
)
from netns.spaces import Spaces
from runtime.failure import CannotError, Exit
from tests.netns.look import opened_netlink, opened_spaces

pytestmark = pytest.mark.lab

A_MAC, B_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


@asynccontextmanager
async def cable() -> AsyncIterator[Spaces]:
    """Namespaces a and b with a cable between their eth0: 10.0.0.1 and 10.0.0.2."""
    with opened_spaces() as spaces:
        for name in ("a", "b"):
            await spaces.ensure(name, role="r")
        async with opened_netlink(spaces, "a") as a, opened_netlink(spaces, "b") as b:
            await a.add_veth(
                "eth0", role="nic", peer="eth0", peer_space="b", mac=A_MAC, peer_mac=B_MAC
            )
            for last, netlink in ((1, a), (2, b)):
                link = await netlink.link("eth0")
                assert link is not None
                await netlink.set_link(link.index, up=True)
                await netlink.replace_address(link.index, IPv4Interface(f"10.0.0.{last}/24"))
        await spaces.run("a", answer_of, "10.0.0.2")
        yield spaces


def answer_of(host: str) -> None:
    """Wait until the cable carries: its first frames may be lost while it wakes up."""
    command = f"ping -c20 -i0.1 -w20 {host} | grep -qm1 'bytes from'"
    subprocess.run(["sh", "-c", command], check=True, timeout=30)


async def heard(sock: socket.socket) -> list[bytes]:
    """Up to 0.5 s of silence; the first may take longer on a busy machine."""
    packets: list[bytes] = []
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.5 if packets else 10):
                packets.append(await asyncio.get_running_loop().sock_recv(sock, 2048))
    return packets


async def test_an_arp_probe_is_answered_by_the_host_that_has_the_address() -> None:
    async with cable() as spaces:
        sock = await open_packet_socket(spaces, "a", "eth0", ETH_P_ARP)
        for last in (2, 3):
            question = arp.probe(A_MAC, IPv4Address(f"10.0.0.{last}"))
            sock.sendto(arp.encode(question), destination("eth0", ETH_P_ARP))
        answers = [arp.decode(packet) for packet in await heard(sock)]
        await close_packet_socket(sock)

        assert [(p.sender_mac, str(p.sender)) for p in answers if p] == [(B_MAC, "10.0.0.2")]


async def test_with_a_port_only_udp_to_it_comes_through() -> None:
    async with cable() as spaces:
        one = await open_packet_socket(spaces, "a", "eth0", ETH_P_IP, udp_port=68)
        all_of_it = await open_packet_socket(spaces, "a", "eth0", ETH_P_IP)
        with await spaces.run("b", socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for port in (67, 68, 69):
                sender.sendto(b"to %d" % port, ("10.0.0.1", port))
        # 28: the IP and the UDP header
        filtered = [packet[28:] for packet in await heard(one)]
        everything = [packet[28:] for packet in await heard(all_of_it)]
        for sock in (one, all_of_it):
            await close_packet_socket(sock)

        assert filtered == [b"to 68"]
        assert everything == [b"to 67", b"to 68", b"to 69"]


async def test_a_later_fragment_is_not_taken_for_a_packet_to_the_port() -> None:
    """Its first bytes are data, and may look like any port."""
    async with cable() as spaces:
        one = await open_packet_socket(spaces, "a", "eth0", ETH_P_IP, udp_port=68)
        sender = await open_packet_socket(spaces, "b", "eth0", ETH_P_IP)
        looks_like_68 = bytes([0, 67, 0, 68, 0, 8, 0, 0])
        for offset in (0, 100):
            header = bytes.fromhex("4500001c0001") + offset.to_bytes(2) + bytes.fromhex("40110000")
            packet = header + bytes([10, 0, 0, 2, 10, 0, 0, 1]) + looks_like_68
            sender.sendto(packet, destination("eth0", ETH_P_IP))
        packets = await heard(one)
        for sock in (one, sender):
            await close_packet_socket(sock)

        assert [int.from_bytes(packet[6:8]) for packet in packets] == [0]


async def test_a_missing_link_is_named() -> None:
    async with cable() as spaces:
        with pytest.raises(CannotError) as caught:
            await open_packet_socket(spaces, "a", "nope", ETH_P_IP)

        assert str(caught.value) == "cannot listen on link nope: No such device"
        assert caught.value.code == Exit.NOT_FOUND


async def test_closing_does_not_hold_up_the_loop() -> None:
    async with cable() as spaces:
        sock = await open_packet_socket(spaces, "a", "eth0", ETH_P_IP)
        closing = asyncio.create_task(close_packet_socket(sock))
        turns = 0
        while not closing.done():
            turns += 1
            await asyncio.sleep(0)

        assert sock.fileno() == -1
        assert turns > 2  # at once, it would be over after one

"""Four DHCP messages and an address, with as little around them as can be: what a client is held to.

blocking_exchange   blocking sockets and ioctls: what the kernel and the server need
asyncio_exchange    with our loop, sockets and netlink: what an asyncio program needs

They check nothing, take whatever answers to their xid, and send again after a millisecond, two, four,
as a switch port that wakes up swallows the first packets.
"""

import asyncio
import fcntl
import random
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface

from agent.dhcp.datagram import BROADCAST, CLIENT_PORT, wrap
from agent.dhcp.lease import hardware_address
from netns.netlink import Netlink
from netns.packet import ETH_P_IP, close_packet_socket, destination, open_packet_socket
from netns.spaces import Spaces
from runtime.failure import CannotError

TRIES = [0.001 * 2**n for n in range(14)]  # seconds; 16 in all
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCGIFHWADDR = 0x8916, 0x891C, 0x8914, 0x8927
IFF_UP = 0x1
DISCOVER = b"\x35\x01\x01"


def blocking_exchange(link: str) -> None:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    packets.bind((link, 0x0800))
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name = link.encode().ljust(16, b"\0")
    mac = fcntl.ioctl(own, SIOCGIFHWADDR, name + bytes(24))[18:24]
    xid = random.randbytes(4)
    fcntl.ioctl(own, SIOCSIFFLAGS, name + struct.pack("=H22x", IFF_UP))
    packets.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # ENETDOWN, from before
    offer = ask(packets, link, query(mac, xid, DISCOVER), xid, expected=b"\x02")
    address = offer[16:20]
    request = chosen(address, value_of(offer, 54))
    ack = ask(packets, link, query(mac, xid, request), xid, expected=b"\x05")
    for set_it, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, value_of(ack, 1))):
        fcntl.ioctl(own, set_it, name + struct.pack("=HH4s16x", socket.AF_INET, 0, value))
    packets.close()
    own.close()


async def asyncio_exchange(spaces: Spaces, space: str, name: str) -> None:
    netlink = await Netlink.open(spaces, space)
    link = await netlink.link(name)
    packets = await open_packet_socket(spaces, space, name, ETH_P_IP, udp_port=CLIENT_PORT)
    if link is None:
        raise CannotError(f"cannot measure: no link {name}")
    mac, xid = hardware_address(link.mac), random.randbytes(4)
    try:
        await netlink.set_link(link.index, up=True)
        packets.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        offer = await async_ask(packets, name, query(mac, xid, DISCOVER), xid, expected=b"\x02")
        request = chosen(offer[16:20], value_of(offer, 54))
        ack = await async_ask(packets, name, query(mac, xid, request), xid, expected=b"\x05")
        mask = IPv4Address(value_of(ack, 1))
        await netlink.replace_address(
            link.index, IPv4Interface(f"{IPv4Address(ack[16:20])}/{mask}")
        )
    finally:
        await close_packet_socket(packets)
        await netlink.close()


async def async_ask(
    packets: socket.socket, link: str, datagram: bytes, xid: bytes, *, expected: bytes
) -> bytes:
    loop = asyncio.get_running_loop()
    for patience in TRIES:
        packets.sendto(datagram, destination(link, ETH_P_IP))
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    heard = (await loop.sock_recv(packets, 2048))[28:]
                    if heard[4:8] == xid and heard[242:243] == expected:
                        return heard
    raise CannotError("cannot measure: no server answers the raw exchange")


def ask(
    packets: socket.socket, link: str, datagram: bytes, xid: bytes, *, expected: bytes
) -> bytes:
    for patience in TRIES:
        packets.settimeout(patience)
        packets.sendto(datagram, destination(link, ETH_P_IP))
        with suppress(TimeoutError):
            while True:
                heard = packets.recv(2048)[28:]
                if heard[4:8] == xid and heard[242:243] == expected:
                    return heard
    raise CannotError("cannot measure: no server answers the raw exchange")


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

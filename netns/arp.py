"""ARP for IPv4 on Ethernet (RFC 826), with the probe and the announcement of RFC 5227. Pure.

Bytes are the ARP packet without its Ethernet header, as an `ETH_P_ARP` packet socket has them.
"""

import struct
from enum import IntEnum
from ipaddress import IPv4Address

from msgspec import Struct

ETHERTYPE = 0x0806
BROADCAST = "ff:ff:ff:ff:ff:ff"
NOBODY = "00:00:00:00:00:00"
NOWHERE = IPv4Address(0)

_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4 = 1, 0x0800


class Operation(IntEnum):
    REQUEST = 1
    REPLY = 2


class Arp(Struct, frozen=True):
    operation: Operation
    sender_mac: str
    sender: IPv4Address
    target_mac: str
    target: IPv4Address

    def claims(self, address: IPv4Address, *, by_other_than: str) -> bool:
        """Whether a conflict for `address` (RFC 5227, 2.1.1): another host has it, or probes
        for it at the same time as `by_other_than`, our MAC, does.
        """
        if self.sender_mac == by_other_than:
            return False
        probes_too = self.sender == NOWHERE and self.target == address
        return self.sender == address or (probes_too and self.operation is Operation.REQUEST)


def probe(mac: str, address: IPv4Address) -> Arp:
    """Asks whether somebody has `address` and tells no cache that we do."""
    return Arp(Operation.REQUEST, mac, NOWHERE, NOBODY, address)


def announcement(mac: str, address: IPv4Address) -> Arp:
    """Tells everybody's cache that `address` is at `mac`."""
    return Arp(Operation.REQUEST, mac, address, NOBODY, address)


def encode(packet: Arp) -> bytes:
    return _PACKET.pack(
        _ETHERNET,
        _IPV4,
        6,
        4,
        packet.operation,
        bytes.fromhex(packet.sender_mac.replace(":", "")),
        packet.sender.packed,
        bytes.fromhex(packet.target_mac.replace(":", "")),
        packet.target.packed,
    )


def decode(data: bytes) -> Arp | None:
    """None: not an ARP request or reply for IPv4 on Ethernet. Padding behind it is normal."""
    if len(data) < _PACKET.size:
        return None
    hardware, protocol, mac_len, address_len, operation, *ends = _PACKET.unpack_from(data)
    if (hardware, protocol, mac_len, address_len) != (_ETHERNET, _IPV4, 6, 4):
        return None
    if operation not in (Operation.REQUEST, Operation.REPLY):
        return None
    sender_mac, sender, target_mac, target = ends
    return Arp(
        Operation(operation),
        sender_mac.hex(":"),
        IPv4Address(sender),
        target_mac.hex(":"),
        IPv4Address(target),
    )

"""A server's datagrams, made by hand: nothing of the code under test builds them."""

import struct
from ipaddress import IPv4Address

from agent.dhcp.lease import client_id, hardware_address
from agent.dhcp.wire import MessageType, Query

MAC = "52:54:00:12:34:56"
XID = 0x1234ABCD
QUERY = Query(
    type=MessageType.DISCOVER,
    xid=XID,
    hardware=hardware_address(MAC),
    client_id=client_id(MAC),
)


def ip(text: str) -> bytes:
    return IPv4Address(text).packed


GOOD: dict[int, bytes] = {
    53: b"\x02",
    54: ip("192.168.1.1"),
    51: (3600).to_bytes(4, "big"),
    1: ip("255.255.255.0"),
    3: ip("192.168.1.1"),
    6: ip("192.168.1.1") + ip("9.9.9.9"),
}


def option(number: int, value: bytes) -> bytes:
    return bytes((number, len(value))) + value


def area(options: dict[int, bytes]) -> bytes:
    return b"".join(option(number, value) for number, value in options.items()) + b"\xff"


def reply(
    changes: dict[int, bytes | None] | None = None,
    *,
    yiaddr: str = "192.168.1.42",
    options: bytes | None = None,
    op: int = 2,
    xid: int = XID,
    mac: str = MAC,
    cookie: bytes = b"c\x82Sc",
    sname: bytes = b"",
    file: bytes = b"",
) -> bytes:
    """A good OFFER with `changes` to its options (None: left out)."""
    values = GOOD | {k: v for k, v in (changes or {}).items() if v is not None}
    for number, value in (changes or {}).items():
        if value is None:
            values.pop(number, None)
    header = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, 0)
    addresses = bytes(4) + ip(yiaddr) + bytes(8)
    names = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0") + sname.ljust(64, b"\0")
    return (
        header
        + addresses
        + names
        + file.ljust(128, b"\0")
        + cookie
        + (area(values) if options is None else options)
    )

"""WireGuard's generic netlink messages (linux/wireguard.h), as bytes without netlink's header. Pure.

    for body in set_bodies("w-1a2b", ops): …     # each is one request that fits in a message
    reading = decode_reading(payloads)           # all answers to `get_body`

A peer with more prefixes than fit goes on in the next entry: the same key, prefixes only. The
kernel does so too when it tells.
"""

import struct
import sys
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from msgspec.structs import replace

from netns.decode import attributes, each_attribute
from netns.wireguard.device import (
    Device,
    Endpoint,
    Op,
    Peer,
    PeerStat,
    Place,
    Prefix,
    Reading,
    Remove,
    Reset,
    SetDevice,
    Upsert,
    validate_peer,
)

CONTROLLER = 16  # GENL_ID_CTRL: the family that knows the others
MESSAGE_SIZE = 32 * 1024  # bytes of peers; a nested attribute can have 64 KiB
PREFIXES_AT_ONCE = 256  # of one entry

_HEADER = struct.Struct("=BBxx")  # command, version
_ATTRIBUTE = struct.Struct("=HH")
_GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 3, 1, 2
_GET_DEVICE, _SET_DEVICE = 0, 1
_NAME, _SECRET, _PORT, _PEERS = 2, 3, 6, 8  # WGDEVICE_A_*
_KEY, _FLAGS, _ENDPOINT, _KEEPALIVE, _HANDSHAKE, _RX, _TX, _ALLOWED = 1, 3, 4, 5, 6, 7, 8, 9
_FAMILY, _ADDRESS, _LENGTH = 1, 2, 3  # WGALLOWEDIP_A_*
_REMOVE, _REPLACE_ALLOWED, _UPDATE_ONLY = 0x1, 0x2, 0x4  # WGPEER_F_*
_NESTED = 0x8000
_AF_INET, _AF_INET6 = 2, 10
_SOCKADDR4 = struct.Struct("!4s8x")  # behind family and port
_SOCKADDR6 = struct.Struct("!4x16s4x")


def family_body(name: str) -> bytes:
    """Which number the family `name` has: asked of CONTROLLER, which loads the module."""
    return _HEADER.pack(_GET_FAMILY, 1) + _attribute(_FAMILY_NAME, name.encode() + b"\0")


def decode_family(payload: bytes) -> int:
    return _number(attributes(payload, _HEADER.size)[_FAMILY_ID])


def get_body(name: str) -> bytes:
    return _head(_GET_DEVICE, name)


def set_bodies(name: str, ops: Iterable[Op]) -> Iterator[bytes]:
    """The requests that do `ops`, in their order. Raises DeviceError."""
    head = _head(_SET_DEVICE, name)
    waiting = b""
    for op in ops:
        if isinstance(op, SetDevice):
            if waiting:
                yield head + _attribute(_PEERS | _NESTED, waiting)
                waiting = b""
            yield head + _settings(op)
            continue
        for entry in _entries(op):
            if len(waiting) + len(entry) > MESSAGE_SIZE:
                yield head + _attribute(_PEERS | _NESTED, waiting)
                waiting = b""
            waiting += entry
    if waiting:
        yield head + _attribute(_PEERS | _NESTED, waiting)


def decode_reading(payloads: Iterable[bytes]) -> Reading:
    """What a dump says of a device: settings in the first message, peers in all of them."""
    device = Device()
    peers: dict[bytes, Peer] = {}
    stats: dict[bytes, PeerStat] = {}
    for payload in payloads:
        have = attributes(payload, _HEADER.size)
        if _PORT in have:
            secret = bytes(have.get(_SECRET, b""))
            device = Device(secret if any(secret) else None, _number(have[_PORT]))
        for _, data in each_attribute(have.get(_PEERS, b"")):
            told = attributes(data)
            key = bytes(told[_KEY])
            if key in peers:  # it goes on
                known = peers[key]
                peers[key] = replace(known, allowed=known.allowed | _allowed(told))
            else:
                peers[key], stats[key] = _peer(key, told), _stat(told)
    return Reading(replace(device, peers=peers), stats)


# -- to the kernel


def _head(command: int, name: str) -> bytes:
    return _HEADER.pack(command, 1) + _attribute(_NAME, name.encode() + b"\0")


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _settings(op: SetDevice) -> bytes:
    secret = b"" if op.secret is None else _attribute(_SECRET, op.secret)
    return secret + (b"" if op.port is None else _attribute(_PORT, struct.pack("=H", op.port)))


def _entries(op: Upsert | Remove | Reset | Place) -> Iterator[bytes]:
    match op:
        case Remove(key):
            yield _entry(key, _flags(_REMOVE))
        case Reset(peer):
            yield _entry(peer.key, _flags(_REMOVE))
            yield from _whole(peer)
        case Upsert(peer):
            yield from _whole(peer)
        case Place(key, endpoint):
            yield _entry(key, _flags(_UPDATE_ONLY) + _attribute(_ENDPOINT, _sockaddr(endpoint)))


def _whole(peer: Peer) -> Iterator[bytes]:
    validate_peer(peer)
    prefixes = sorted(peer.allowed, key=str)
    some, rest = prefixes[:PREFIXES_AT_ONCE], prefixes[PREFIXES_AT_ONCE:]
    endpoint = b"" if peer.endpoint is None else _attribute(_ENDPOINT, _sockaddr(peer.endpoint))
    keepalive = _attribute(_KEEPALIVE, struct.pack("=H", peer.keepalive))
    yield _entry(peer.key, _flags(_REPLACE_ALLOWED) + endpoint + keepalive + _prefixes(some))
    while rest:
        some, rest = rest[:PREFIXES_AT_ONCE], rest[PREFIXES_AT_ONCE:]
        yield _entry(peer.key, _prefixes(some))


def _entry(key: bytes, attributes: bytes) -> bytes:
    return _attribute(_NESTED, _attribute(_KEY, key) + attributes)


def _flags(flags: int) -> bytes:
    return _attribute(_FLAGS, struct.pack("=I", flags))


def _prefixes(prefixes: Iterable[Prefix]) -> bytes:
    return _attribute(_ALLOWED | _NESTED, b"".join(map(_prefix, prefixes)))


def _prefix(prefix: Prefix) -> bytes:
    family = _AF_INET if prefix.version == 4 else _AF_INET6
    return _attribute(
        _NESTED,
        _attribute(_FAMILY, struct.pack("=H", family))
        + _attribute(_ADDRESS, prefix.network_address.packed)
        + _attribute(_LENGTH, bytes([prefix.prefixlen])),
    )


def _sockaddr(endpoint: Endpoint) -> bytes:
    address = endpoint.address
    family, rest = (_AF_INET, _SOCKADDR4) if address.version == 4 else (_AF_INET6, _SOCKADDR6)
    return struct.pack("=H", family) + struct.pack("!H", endpoint.port) + rest.pack(address.packed)


# -- from the kernel


def _peer(key: bytes, told: dict[int, memoryview]) -> Peer:
    endpoint = _endpoint(told[_ENDPOINT]) if _ENDPOINT in told else None
    return Peer(key, _allowed(told), endpoint, _number(told[_KEEPALIVE]))


def _stat(told: dict[int, memoryview]) -> PeerStat:
    seconds, nanoseconds = struct.unpack("=qq", told[_HANDSHAKE])
    return PeerStat(seconds + nanoseconds / 1e9 or None, _number(told[_RX]), _number(told[_TX]))


def _allowed(told: dict[int, memoryview]) -> frozenset[Prefix]:
    entries = (attributes(data) for _, data in each_attribute(told.get(_ALLOWED, b"")))
    return frozenset(ip_network((bytes(entry[_ADDRESS]), entry[_LENGTH][0])) for entry in entries)


def _endpoint(data: memoryview) -> Endpoint | None:
    (port,) = struct.unpack_from("!H", data, 2)
    packed = _SOCKADDR4 if len(data) == 16 else _SOCKADDR6
    address = ip_address(*packed.unpack_from(data, 4))
    # a peer that speaks from a link-local address: of no use without its link
    if address.version == 6 and address.is_link_local:
        return None
    return Endpoint(address, port)


def _number(data: memoryview) -> int:
    return int.from_bytes(data, sys.byteorder)

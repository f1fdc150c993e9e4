"""A WireGuard device as a value, and the steps from one value to another.

    validate(want)                       # before the first write: a device has no transactions
    for op in diff(have, want): ...      # a backend performs them, in this order
    apply(have, diff(have, want)) == want

A key owns each of its allowed prefixes alone: giving one to a peer takes it from the peer that had
it. An endpoint that a device learnt by roaming is newer than any hint: `keep_roamed` takes it over
into what is wanted, so that reconciling does not throw it away.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from msgspec import Struct, field
from msgspec.structs import replace

KEY_SIZE = 32
MAX_KEEPALIVE = 65535

Prefix = IPv4Network | IPv6Network


class Endpoint(Struct, frozen=True, order=True):
    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


class Peer(Struct, frozen=True):
    """`keepalive` in seconds, 0: none. Without `endpoint` the device waits to hear from it."""

    key: bytes
    allowed: frozenset[Prefix] = frozenset()
    endpoint: Endpoint | None = None
    keepalive: int = 0


class Device(Struct, frozen=True):
    """`secret` None: a device that was just made. A port of 0 is any."""

    secret: bytes | None = None
    port: int = 0
    peers: Mapping[bytes, Peer] = field(default_factory=dict)

    def __repr__(self) -> str:  # without the secret
        return f"Device(port={self.port}, peers={self.peers})"


class PeerStat(Struct, frozen=True):
    """`handshake`: when the last one was completed, in seconds since 1970; None: never."""

    handshake: float | None = None
    rx: int = 0
    tx: int = 0


class Reading(Struct, frozen=True):
    """What a device says of itself."""

    device: Device
    stats: Mapping[bytes, PeerStat]


class SetDevice(Struct, frozen=True):
    """Secret and port; None leaves one as it is."""

    secret: bytes | None = None
    port: int | None = None

    def __repr__(self) -> str:  # without the secret
        return f"SetDevice(port={self.port})"


class Upsert(Struct, frozen=True):
    """Make a peer or give an existing one these values. Endpoint None leaves it as it is."""

    peer: Peer


class Remove(Struct, frozen=True):
    key: bytes


class Reset(Struct, frozen=True):
    """Remove a peer and set it again in one request: the new one has no session, no endpoint but
    the one given, and none of the five seconds that WireGuard waits between two initiations.
    """

    peer: Peer


class Place(Struct, frozen=True):
    """Say where a peer is, if only again: the device chooses anew from which of its addresses it sends
    there. Nothing else of the peer changes, and no packet is lost.
    """

    key: bytes
    endpoint: Endpoint


Op = SetDevice | Upsert | Remove | Reset | Place


class DeviceError(ValueError):
    """A device that cannot be: the text says what is wrong with it."""


def validate(want: Device) -> None:
    """Raises DeviceError. Half a device is worse than the one before."""
    if want.secret is not None and len(want.secret) != KEY_SIZE:
        raise DeviceError(f"the secret key has {len(want.secret)} bytes, not {KEY_SIZE}")
    if not 0 <= want.port <= 65535:
        raise DeviceError(f"there is no port {want.port}")
    owner: dict[Prefix, bytes] = {}
    for key, peer in want.peers.items():
        if key != peer.key:
            raise DeviceError(f"peer {peer.key.hex()[:8]} stands under another key")
        validate_peer(peer)
        for prefix in peer.allowed:
            if prefix in owner:
                raise DeviceError(
                    f"{prefix} is allowed to {owner[prefix].hex()[:8]} and to {key.hex()[:8]}"
                )
            owner[prefix] = key


def validate_peer(peer: Peer) -> None:
    """Raises DeviceError."""
    if len(peer.key) != KEY_SIZE:
        raise DeviceError(f"a peer's key has {len(peer.key)} bytes, not {KEY_SIZE}")
    if not 0 <= peer.keepalive <= MAX_KEEPALIVE:
        raise DeviceError(f"a keepalive of {peer.keepalive} s is not possible")
    if peer.endpoint is not None:
        _validate_endpoint(peer.endpoint)


def _validate_endpoint(endpoint: Endpoint) -> None:
    address = endpoint.address
    if not 0 < endpoint.port <= 65535:
        raise DeviceError(f"endpoint {endpoint} has no port")
    if address.is_unspecified or address.is_multicast:
        raise DeviceError(f"endpoint {endpoint} is no address of a machine")
    if address.version == 6 and address.is_link_local:
        raise DeviceError(f"endpoint {endpoint} means nothing without its link")


def keep_roamed(have: Device, want: Device) -> Device:
    """`want`, where peers that have an endpoint keep it."""
    peers = {}
    for key, peer in want.peers.items():
        known = have.peers.get(key)
        learnt = known.endpoint if known is not None else None
        peers[key] = peer if learnt is None else replace(peer, endpoint=learnt)
    return replace(want, peers=peers)


def diff(have: Device, want: Device) -> list[Op]:
    """What turns `have` into `want`; nothing when they are equal.

    Removals come first, so that a prefix which changes its owner is free before it is given. An
    endpoint can only be taken from a peer by making the peer anew.
    """
    ops: list[Op] = []
    if want.secret is not None and not _same_key(want.secret, have.secret):
        ops.append(SetDevice(secret=want.secret))
    if want.port != have.port:
        ops.append(SetDevice(port=want.port))
    ops += [Remove(key) for key in sorted(have.peers.keys() - want.peers.keys())]
    for key in sorted(want.peers):
        peer, known = want.peers[key], have.peers.get(key)
        if known == peer:
            continue
        forget = known is not None and known.endpoint is not None and peer.endpoint is None
        ops.append(Reset(peer) if forget else Upsert(peer))
    return ops


def _same_key(one: bytes, other: bytes | None) -> bool:
    """A device gives its key back with the bits cleared and set that X25519 ignores (RFC 7748, 5)."""
    return other is not None and _clamped(one) == _clamped(other)


def _clamped(secret: bytes) -> bytes:
    return bytes([secret[0] & 248, *secret[1:31], secret[31] & 127 | 64])


def apply(have: Device, ops: Iterable[Op]) -> Device:
    """What a device is after `ops`: the model that backends are tested against."""
    secret, port, peers = have.secret, have.port, dict(have.peers)
    for op in ops:
        match op:
            case SetDevice():
                secret = op.secret if op.secret is not None else secret
                port = op.port if op.port is not None else port
            case Remove(key):
                peers.pop(key, None)
            case Reset(peer):
                peers.pop(peer.key, None)
                _give(peers, peer)
            case Place(key, endpoint):
                if key in peers:
                    peers[key] = replace(peers[key], endpoint=endpoint)
            case Upsert(peer):
                known = peers.get(peer.key)
                learnt = known.endpoint if known is not None else None
                _give(peers, replace(peer, endpoint=peer.endpoint or learnt))
    return Device(secret, port, peers)


def _give(peers: dict[bytes, Peer], peer: Peer) -> None:
    for key, other in peers.items():
        if other.allowed & peer.allowed:
            peers[key] = replace(other, allowed=other.allowed - peer.allowed)
    peers[peer.key] = peer

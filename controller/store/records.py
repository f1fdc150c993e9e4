"""Rows as values: one frozen struct a table, fields in the order of the table's columns.

They hold what the database holds (text, numbers, bytes); properties give what the program thinks in.
A change is a copy by `msgspec.structs.replace`, so a batch that fails has changed nothing.
"""

from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_interface, ip_network

import msgspec

from protocol.ids import network_id
from protocol.packing import IPAddress, IPInterface, IPNetwork

DAY_MS = 24 * 3600 * 1000


class State(StrEnum):
    PENDING = "pending"
    AUTHORIZED = "authorized"
    DEAUTHORIZED = "deauthorized"
    BANNED = "banned"


class Record(msgspec.Struct, frozen=True, gc=False):
    pass


class Network(Record, frozen=True, gc=False):
    number: int
    name: str
    desc: str
    private: bool
    created_at: int
    topology: str
    life: int
    dns: str
    mtu: int
    revision: int
    purged: int
    epoch: int
    state_at: int
    state_revision: int
    request: str
    owner: str = ""
    notes: str = ""
    ui: str = ""
    routes: str = ""
    member_prefix: int = 0
    mesh_max: int = 500
    v4_assign: str = "zt"
    v6_assign: str = "zt"
    rfc4193: bool = False
    sixplane: bool = False
    infrastructure: bool = False
    reclaim_after: int = 30 * DAY_MS
    spoke_epoch: int = 0
    least: int = 0
    fold: int = 0
    fold_at: int = 0
    ether_types: str = ""
    enable_broadcast: bool = False
    kept: str = ""
    closed_at: int = 0
    floors: bytes = bytes(16)
    sum: bytes = b""

    def id(self, controller: str) -> str:
        return network_id(controller, self.number)


class Node(Record, frozen=True, gc=False):
    id: int
    key: bytes
    name: str
    first_seen: int
    last_seen: int
    last_at: str
    client_version: str
    client_os: str
    generation: int
    next_key: bytes | None = None

    @property
    def address(self) -> str:
        return f"{self.id:010x}"


class Member(Record, frozen=True, gc=False):
    network: int
    node: int
    state: str
    hidden: bool
    name: str
    notes: str
    roles: str
    wireguard: bytes | None
    endpoints: str
    families: str
    serial: int
    issued_at: int
    not_after: int
    revision: int
    created_at: int
    authorized_at: int
    authorized_by: str
    left_at: int
    removed_at: int
    via: bytes = b""
    view_since: int = 0
    prefixes: str = ""
    cloned_at: int = 0
    bridge: bool = False
    ui: str = ""
    kept: str = ""
    sum: bytes = b""

    @property
    def live(self) -> bool:
        return not self.removed_at

    @property
    def visible(self) -> bool:
        """Its peers know of it: it is authorized and has joined."""
        return self.live and self.state == State.AUTHORIZED and self.wireguard is not None

    @property
    def role_list(self) -> tuple[str, ...]:
        return tuple(self.roles.split(",")) if self.roles else ()

    @property
    def endpoint_list(self) -> tuple[str, ...]:
        return tuple(self.endpoints.split())

    @property
    def family_list(self) -> tuple[int, ...]:
        return tuple(int(digit) for digit in self.families)


class Pool(Record, frozen=True, gc=False):
    network: int
    prefix: str
    family: int
    first: bytes
    last: bytes

    @property
    def range(self) -> IPNetwork:
        return _network(self.prefix)

    @property
    def ends(self) -> tuple[IPAddress, IPAddress]:
        """The first and the last address that members get."""
        return address_from(self.first, self.family), address_from(self.last, self.family)


class Assignment(Record, frozen=True, gc=False):
    network: int
    address: bytes
    family: int
    length: int
    node: int
    kind: str
    released_at: int

    @property
    def interface(self) -> IPInterface:
        return ip_interface((address_from(self.address, self.family), self.length))

    @property
    def packed(self) -> bytes:
        """`protocol.packing.pack_interface` of it, without the detour."""
        return (self.address[12:] if self.family == 4 else self.address) + bytes((self.length,))


class Token(Record, frozen=True, gc=False):
    key: bytes
    network: int
    uses: int
    uses_left: int
    created_at: int
    expires_at: int
    address: str
    ask: bool
    roles: str
    created_by: str
    desc: str = ""
    revoked_at: int = 0
    sum: bytes = b""

    @property
    def id(self) -> str:
        """What people call it: the start of its public key."""
        return self.key[:6].hex()

    @property
    def minter(self) -> int | None:
        """The node that made it; None: an operator did."""
        kind, _, name = self.created_by.partition(" ")
        return int(name, 16) if kind == "node" else None

    def state(self, now_ms: int) -> str:
        if self.revoked_at:
            return "revoked"
        if not self.uses_left:
            return "used up"
        return "live" if now_ms < self.expires_at else "expired"


class Floor(Record, frozen=True, gc=False):
    network: int
    node: bytes
    serial: int
    epoch: int
    not_after: int
    hub: bool = False

    def lives(self, now_ms: int) -> bool:
        """The last certificate below it may still be believed."""
        return not self.not_after or self.not_after > now_ms


MAPPED = IPv6Network("::ffff:0:0/96").network_address.packed[:12]


@lru_cache(maxsize=1024)
def _network(prefix: str) -> IPNetwork:
    return ip_network(prefix)


def sixteen(address: IPAddress) -> bytes:
    """An address as the database has it."""
    return MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed


def address_from(data: bytes, family: int) -> IPAddress:
    return IPv4Address(data[12:]) if family == 4 else IPv6Address(data)


def printable(text: str) -> str:
    """Text from a stranger, safe to show on a terminal."""
    return text if text.isprintable() else "".join(c for c in text if c.isprintable())

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

    @property
    def id(self) -> str:
        """What people call it: the start of its public key."""
        return self.key[:6].hex()

    def live(self, now_ms: int) -> bool:
        return self.uses_left > 0 and now_ms < self.expires_at


class Floor(Record, frozen=True, gc=False):
    network: int
    node: bytes
    serial: int
    epoch: int
    not_after: int


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
    return "".join(c for c in text if c.isprintable())

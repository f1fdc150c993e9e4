"""The tables: SQLModel defines them, SQLAlchemy Core executes them.

No object of these classes is ever made on the way of a message: `records` has the values, with one
field a column in the same order. Times are milliseconds since 1970, 0 is never. An address is
16 bytes, IPv4 as ::ffff:a.b.c.d. A node's id is its address: 40 bits, ten hex digits to people.
"""

from typing import Any, ClassVar, cast

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Table,
    UniqueConstraint,
    event,
    text,
)
from sqlmodel import Field, SQLModel

SCHEMA = 4


def _int64(**options: Any) -> Any:
    return Field(sa_type=BigInteger, **options)


def _one_of(column: str, *words: str) -> CheckConstraint:
    """Spelled out: for each row that it checks, SQLite makes a table of what stands behind IN."""
    return CheckConstraint(" OR ".join(f"{column} = '{word}'" for word in words))


def _unique(name: str, *columns: str) -> Index:
    """Among the rows that have the last one: others cost nothing, and most have none."""
    has = text(f"{columns[-1]} IS NOT NULL")
    return Index(name, *columns, unique=True, sqlite_where=has, postgresql_where=has)


class NetworkRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "network"
    __table_args__: ClassVar[Any] = (
        _one_of("topology", "mesh", "hub"),
        _one_of("v4_assign", "none", "zt", "dhcp"),
        _one_of("v6_assign", "none", "zt", "v6native", "dhcp6"),
    )
    number: int = Field(primary_key=True)
    name: str = Field(unique=True)
    desc: str
    private: bool
    created_at: int = _int64()
    topology: str
    life: int = _int64()  # of a certificate, ms; 0: no end
    dns: str  # addresses, blank between
    mtu: int
    revision: int = _int64()
    purged: int = _int64()  # tombstones up to this revision are gone
    epoch: int = _int64()
    state_at: int = _int64()  # when the state of this epoch was made
    state_revision: int = _int64()
    request: str = Field(unique=True)  # the id that the creating client made
    owner: str
    notes: str
    ui: str  # of a user interface: text that we only keep
    routes: str  # "prefix via address of a node", comma between; members have them as `prefixes`
    member_prefix: int  # IPv4 length of the subnet that each member gets; 0: an address only
    mesh_max: int
    v4_assign: str
    v6_assign: str
    rfc4193: bool
    sixplane: bool
    infrastructure: bool  # cannot be deleted
    reclaim_after: int = _int64()  # ms without a word until an address may go to somebody else
    spoke_epoch: int = _int64()  # the last epoch that spokes of a hub network had to learn of
    least: int = _int64()  # certificates with a lower serial are void
    fold: int = _int64()  # added to the serials of members: what is `least` after the next fold
    fold_at: int = _int64()
    ether_types: str  # as the broadcasts and `kept`: stored, without effect in an L3 overlay
    enable_broadcast: bool
    kept: str  # JSON: imported fields that we do not use
    closed_at: int = _int64()  # when it was deleted: its number is not lent again
    floors: bytes  # what all its revocations come to, with the key
    sum: bytes  # of this row, its pools and prefix pools (`sums`)


class NodeRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "node"
    __table_args__: ClassVar[Any] = (_unique("node_by_next_key", "next_key"),)
    id: int = _int64(primary_key=True)
    key: bytes = Field(unique=True)
    name: str
    first_seen: int = _int64()
    last_seen: int = _int64()  # written lazily and without an index: it changes all the time
    last_at: str
    client_version: str
    client_os: str
    generation: int = _int64()
    next_key: bytes | None  # named by the old key, which dies when it is used


_SHOWN = text("revision > 0")  # a reserved member has never been in the netmap
_WAITS = text("state = 'pending' AND removed_at = 0")  # few, or none: costs the others nothing


class MemberRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "member"
    __table_args__: ClassVar[Any] = (
        _unique("member_by_wireguard", "network", "wireguard"),
        Index("member_by_node", "node"),
        Index(
            "member_by_revision",
            "network",
            "revision",
            sqlite_where=_SHOWN,
            postgresql_where=_SHOWN,
        ),
        Index("member_with_roles", "network", "roles", sqlite_where=text("roles <> ''")),
        Index("member_with_prefixes", "network", sqlite_where=text("prefixes <> ''")),
        Index("member_removed", "network", "removed_at", sqlite_where=text("removed_at > 0")),
        Index(
            "member_waiting", "network", "created_at", sqlite_where=_WAITS, postgresql_where=_WAITS
        ),
        _one_of("state", "authorized", "pending", "deauthorized", "banned"),
    )
    network: int = Field(primary_key=True, foreign_key="network.number")
    node: int = _int64(primary_key=True, foreign_key="node.id")
    state: str
    hidden: bool
    name: str
    notes: str
    roles: str  # sorted, comma between
    wireguard: bytes | None  # none: reserved, not joined yet or left
    endpoints: str  # blank between
    families: str  # "", "4", "6" or "46"
    serial: int = _int64()
    issued_at: int = _int64()
    not_after: int = _int64()
    revision: int = _int64()
    created_at: int = _int64()
    authorized_at: int = _int64()
    authorized_by: str
    left_at: int = _int64()
    removed_at: int = _int64()
    via: bytes  # key of the transit member that carries its addresses; empty: none
    view_since: int = _int64()  # revision that made it a hub: what is below is new to it
    prefixes: str  # routed to it beside its addresses; blank between
    cloned_at: int = _int64()  # when two living sessions of its key were last seen
    bridge: bool  # stored, without effect in an L3 overlay
    ui: str
    kept: str
    sum: bytes  # of this row, the node's keys and the addresses in use


class PoolRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "pool"
    network: int = Field(primary_key=True, foreign_key="network.number")
    prefix: str = Field(primary_key=True)
    family: int
    first: bytes = Field(primary_key=True)  # several ranges of one prefix
    last: bytes


class AssignmentRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "assignment"
    __table_args__: ClassVar[Any] = (
        Index("assignment_by_node", "node"),
        _one_of("kind", "auto", "manual", "reserved"),
        {"sqlite_with_rowid": False},
    )
    network: int = Field(primary_key=True, foreign_key="network.number")
    address: bytes = Field(primary_key=True)
    family: int
    length: int  # of the network's prefix
    node: int = _int64(foreign_key="node.id")
    kind: str
    released_at: int = _int64()


class PrefixPoolRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "prefix_pool"
    network: int = Field(primary_key=True, foreign_key="network.number")
    prefix: str = Field(primary_key=True)
    length: int  # of what one member leases


class PrefixLeaseRow(SQLModel, table=True):
    """One part of a prefix pool, counted from its begin."""

    __tablename__: ClassVar[Any] = "prefix_lease"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("network", "pool", "node"),
        ForeignKeyConstraint(["network", "pool"], ["prefix_pool.network", "prefix_pool.prefix"]),
        {"sqlite_with_rowid": False},
    )
    network: int = Field(primary_key=True)
    pool: str = Field(primary_key=True)
    part: int = _int64(primary_key=True)
    node: int = _int64(foreign_key="node.id")
    released_at: int = _int64()


class TokenRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "join_token"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("uses_left >= 0"),
        Index("token_by_age", "created_at", "key"),
    )
    key: bytes = Field(primary_key=True)  # the public half: there is no secret in here
    network: int = Field(foreign_key="network.number")
    uses: int
    uses_left: int
    created_at: int = _int64()
    expires_at: int = _int64()
    address: str
    ask: bool
    roles: str
    created_by: str
    desc: str
    revoked_at: int = _int64()
    sum: bytes


class AdminKeyRow(SQLModel, table=True):
    """Who may administer over the network."""

    __tablename__: ClassVar[Any] = "admin_key"
    key: bytes = Field(primary_key=True)
    name: str = Field(unique=True)
    created_at: int = _int64()
    created_by: str
    sum: bytes


class UserRow(SQLModel, table=True):
    """Imported users and what bills them: kept and exported, not used."""

    __tablename__: ClassVar[Any] = "user"
    id: str = Field(primary_key=True)  # auth:authUserId
    body: str  # JSON


class FloorRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "revocation"
    network: int = Field(primary_key=True, foreign_key="network.number")
    node: bytes = Field(primary_key=True)  # the key: it outlives the node's row
    serial: int = _int64()
    epoch: int = _int64()
    not_after: int = _int64()  # of the last certificate below the floor; 0: no end
    hub: bool  # it was a hub's: spokes learn of it too


class AuditRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "audit"
    __table_args__: ClassVar[Any] = ({"sqlite_with_rowid": False},)
    controller: str = Field(primary_key=True)
    seq: int = _int64(primary_key=True)
    prev: bytes
    hash: bytes
    time: int = _int64()
    actor: str
    action: str
    object: str
    detail: str


class MetaRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "meta"
    key: str = Field(primary_key=True)
    value: bytes
    sum: bytes  # of what signatures depend on; else empty


def table(row: type[SQLModel]) -> Table:
    return cast("Table", row.__table__)  # type: ignore[attr-defined]  # SQLModel makes it


NETWORK = table(NetworkRow)
NODE = table(NodeRow)
MEMBER = table(MemberRow)
POOL = table(PoolRow)
ASSIGNMENT = table(AssignmentRow)
PREFIX_POOL = table(PrefixPoolRow)
PREFIX_LEASE = table(PrefixLeaseRow)
TOKEN = table(TokenRow)
ADMIN_KEY = table(AdminKeyRow)
USER = table(UserRow)
FLOOR = table(FloorRow)
AUDIT = table(AuditRow)
META = table(MetaRow)

CUT_KEY = "audit cut "  # and the controller: entries up to this number may be deleted

_APPEND_ONLY = (
    """CREATE TRIGGER audit_stays_as_it_is BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END""",
    """CREATE TRIGGER audit_stays_whole BEFORE DELETE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM meta WHERE meta.key = 'audit cut ' || OLD.controller
                     AND CAST(CAST(meta.value AS TEXT) AS INTEGER) >= OLD.seq)
    BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END""",
)
for _statement in _APPEND_ONLY:
    _ddl = DDL(_statement)  # type: ignore[no-untyped-call]  # SQLAlchemy's
    event.listen(AUDIT, "after_create", _ddl.execute_if(dialect="sqlite"))

"""The tables: SQLModel defines them, SQLAlchemy Core executes them.

No object of these classes is ever made on the way of a message: `records` has the values, with one
field a column in the same order. Times are milliseconds since 1970, 0 is never. An address is
16 bytes, IPv4 as ::ffff:a.b.c.d. A node's id is its address: 40 bits, ten hex digits to people.
"""

from typing import Any, ClassVar, cast

from sqlalchemy import BigInteger, CheckConstraint, Index, Table, UniqueConstraint
from sqlmodel import Field, SQLModel

SCHEMA = 1


def _int64(**options: Any) -> Any:
    return Field(sa_type=BigInteger, **options)


class NetworkRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "network"
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


class NodeRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "node"
    id: int = _int64(primary_key=True)
    key: bytes = Field(unique=True)
    name: str
    first_seen: int = _int64()
    last_seen: int = _int64()  # written lazily and without an index: it changes all the time
    last_at: str
    client_version: str
    client_os: str
    generation: int = _int64()


class MemberRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "member"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("network", "wireguard"),
        Index("member_by_node", "node"),
        Index("member_by_revision", "network", "revision"),
        CheckConstraint("state IN ('pending', 'authorized', 'deauthorized', 'banned')"),
        {"sqlite_with_rowid": False},
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


class PoolRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "pool"
    network: int = Field(primary_key=True, foreign_key="network.number")
    prefix: str = Field(primary_key=True)
    family: int
    first: bytes
    last: bytes


class AssignmentRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "assignment"
    __table_args__: ClassVar[Any] = (
        Index("assignment_by_node", "node"),
        CheckConstraint("kind IN ('auto', 'manual', 'reserved')"),
        {"sqlite_with_rowid": False},
    )
    network: int = Field(primary_key=True, foreign_key="network.number")
    address: bytes = Field(primary_key=True)
    family: int
    length: int  # of the network's prefix
    node: int = _int64(foreign_key="node.id")
    kind: str
    released_at: int = _int64()


class TokenRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "join_token"
    __table_args__: ClassVar[Any] = (CheckConstraint("uses_left >= 0"),)
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


class FloorRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "revocation"
    network: int = Field(primary_key=True, foreign_key="network.number")
    node: bytes = Field(primary_key=True)  # the key: it outlives the node's row
    serial: int = _int64()
    epoch: int = _int64()
    not_after: int = _int64()  # of the last certificate below the floor; 0: no end


class AuditRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "audit"
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


def table(row: type[SQLModel]) -> Table:
    return cast("Table", row.__table__)  # type: ignore[attr-defined]  # SQLModel makes it


NETWORK = table(NetworkRow)
NODE = table(NodeRow)
MEMBER = table(MemberRow)
POOL = table(PoolRow)
ASSIGNMENT = table(AssignmentRow)
TOKEN = table(TokenRow)
FLOOR = table(FloorRow)
AUDIT = table(AuditRow)
META = table(MetaRow)

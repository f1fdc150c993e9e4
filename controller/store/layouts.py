"""How the rows of each table are read and written, as statements that are built once."""

from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, bindparam, literal_column
from sqlalchemy.dialects import sqlite

from controller.store import model
from controller.store.records import Assignment, Floor, Member, Network, Node, Pool, Token
from controller.store.shelf import Layout

NEVER: ColumnElement[int] = literal_column("0")


def _claim_address() -> Any:
    """Insert an assignment; a row that has rested long enough changes hands, no other does."""
    table = model.ASSIGNMENT
    insert = sqlite.insert(table)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[table.c.network, table.c.address],
        set_={"node": new.node, "kind": new.kind, "length": new.length, "released_at": NEVER},
        where=(table.c.released_at > NEVER) & (table.c.released_at <= bindparam("rested_before")),
    )


NETWORKS = Layout[int, Network](model.NETWORK, Network, attrgetter("number"))
NODES = Layout[int, Node](model.NODE, Node, attrgetter("id"), look_up=("id", "key"))
MEMBERS = Layout[tuple[int, int], Member](
    model.MEMBER,
    Member,
    attrgetter("network", "node"),
    owner=attrgetter("node"),
    look_up=("node",),
)
POOLS = Layout[tuple[int, str, bytes], Pool](
    model.POOL, Pool, attrgetter("network", "prefix", "first")
)
TOKENS = Layout[bytes, Token](model.TOKEN, Token, attrgetter("key"), look_up=("key",))
FLOORS = Layout[tuple[int, bytes], Floor](model.FLOOR, Floor, attrgetter("network", "node"))
ASSIGNMENTS = Layout[tuple[int, bytes], Assignment](
    model.ASSIGNMENT,
    Assignment,
    attrgetter("network", "address"),
    owner=attrgetter("network", "node"),
    look_up=("node",),
    insert=_claim_address(),
)

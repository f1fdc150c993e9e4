"""One batch's reads and writes: what it saw of the database, and what it will change.

    work = Work(connection, networks, now_ms)
    work.prefetch(node_keys, token_keys)      # three selects for the whole batch
    ... handlers read and put values ...
    work.flush()                              # a few executemany; the caller commits

Nothing is written before `flush`. Two rows that clash end in ClashError: the caller rolls back and
takes the messages one by one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from controller import audit, model
from controller.records import Assignment, Floor, Member, Network, Node, Pool, Record, Token

K = TypeVar("K")
R = TypeVar("R", bound=Record)

QUARANTINE_MS = 24 * 3600 * 1000  # how long a released address rests


class ClashError(Exception):
    """A unique index said no: somebody else has this address or key."""


class Layout(Generic[K, R]):
    """How a kind of value is read and written; made once, statements are dear to build."""

    def __init__(
        self,
        table: Table,
        kind: type[R],
        key: Callable[[R], K],
        *,
        owner: Callable[[R], Any] = lambda _row: None,
        insert: Any = None,
    ) -> None:
        self.kind, self.key, self.owner = kind, key, owner
        columns = kind.__struct_fields__
        keys = [column.name for column in table.primary_key.columns]
        condition = [table.c[name] == bindparam(f"key_{name}") for name in keys]
        self.keys = keys
        self.values = [name for name in columns if name not in keys]
        self.select = select(*[table.c[name] for name in columns])
        self.insert = table.insert() if insert is None else insert
        self.update = (
            table.update().where(*condition).values({name: bindparam(name) for name in self.values})
        )

    def inserted(self, row: R, **more: int) -> dict[str, Any]:
        return {**msgspec.structs.asdict(row), **more}

    def changed(self, row: R) -> dict[str, Any]:
        values = {name: getattr(row, name) for name in self.values}
        values.update({f"key_{name}": getattr(row, name) for name in self.keys})
        return values


class Shelf(Generic[K, R]):
    """Rows of one table that this batch looked at, and which of them it made or changed."""

    def __init__(self, layout: Layout[K, R], **more: int) -> None:
        self._layout, self._more = layout, more
        self.select = layout.select
        self.rows: dict[K, R | None] = {}
        self._owned: dict[Any, dict[K, None]] = {}
        self._fresh: dict[K, None] = {}
        self._dirty: dict[K, None] = {}

    def see(self, found: Iterable[Any]) -> list[R]:
        """Take rows of a select; what this batch changed already stays as it is."""
        seen = []
        for columns in found:
            row = self._layout.kind(*columns)
            key = self._layout.key(row)
            kept = self.rows.get(key)
            if kept is None:
                self._keep(key, row)
                kept = row
            seen.append(kept)
        return seen

    def of(self, owner: Any) -> list[R]:
        """The rows of one owner, as far as they were read or made."""
        rows = (self.rows[key] for key in self._owned.get(owner, ()))
        return [row for row in rows if row is not None and self._layout.owner(row) == owner]

    def put(self, row: R) -> None:
        key = self._layout.key(row)
        if self.rows.get(key) is None:
            self._fresh[key] = None
        elif key not in self._fresh:
            self._dirty[key] = None
        self._keep(key, row)

    def take_over(self, row: R) -> None:
        """Put a row over a rested one of somebody else: the insert decides whether it may."""
        key = self._layout.key(row)
        self._dirty.pop(key, None)
        self._fresh[key] = None
        self._keep(key, row)

    def flush(self, connection: Connection) -> None:
        fresh = [self._layout.inserted(row, **self._more) for row in self._all(self._fresh)]
        if fresh and connection.execute(self._layout.insert, fresh).rowcount != len(fresh):
            raise ClashError(self._layout.kind.__name__)
        dirty = [self._layout.changed(row) for row in self._all(self._dirty)]
        if dirty:
            connection.execute(self._layout.update, dirty)

    def _keep(self, key: K, row: R) -> None:
        self.rows[key] = row
        self._owned.setdefault(self._layout.owner(row), {})[key] = None

    def _all(self, keys: Iterable[K]) -> list[R]:
        rows = (self.rows[key] for key in keys)
        return [row for row in rows if row is not None]


def _claim_address() -> Any:
    """Insert an assignment; a row that has rested long enough changes hands, no other does."""
    table = model.ASSIGNMENT
    insert = sqlite.insert(table)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[table.c.network, table.c.address],
        set_={"node": new.node, "kind": new.kind, "length": new.length, "released_at": 0},
        where=(table.c.released_at > 0) & (table.c.released_at <= bindparam("rested_before")),
    )


NODES = Layout[int, Node](model.NODE, Node, lambda row: row.id)
MEMBERS = Layout[tuple[int, int], Member](
    model.MEMBER, Member, lambda row: (row.network, row.node), owner=lambda row: row.node
)
POOLS = Layout[tuple[int, str], Pool](model.POOL, Pool, lambda row: (row.network, row.prefix))
TOKENS = Layout[bytes, Token](model.TOKEN, Token, lambda row: row.key)
FLOORS = Layout[tuple[int, bytes], Floor](model.FLOOR, Floor, lambda row: (row.network, row.node))
ASSIGNMENTS = Layout[tuple[int, bytes], Assignment](
    model.ASSIGNMENT,
    Assignment,
    lambda row: (row.network, row.address),
    owner=lambda row: (row.network, row.node),
    insert=_claim_address(),
)


class Work:
    """`networks` are the committed values; changes of this batch lie over them."""

    def __init__(
        self, connection: Connection, networks: Mapping[int, Network], now_ms: int
    ) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self._networks = networks
        self.changed_networks: dict[int, Network] = {}
        self.pools = Shelf(POOLS)
        self.nodes = Shelf(NODES)
        self.members = Shelf(MEMBERS)
        self.tokens = Shelf(TOKENS)
        self.floors = Shelf(FLOORS)
        self.assignments = Shelf(ASSIGNMENTS, rested_before=now_ms - QUARANTINE_MS)
        self.touched: dict[int, dict[int, None]] = {}
        self.restated: set[int] = set()
        self.audit: list[audit.Entry] = []
        self._ids: dict[bytes, int | None] = {}
        self._complete: set[int] = set()  # nodes whose members and addresses were read

    # what there is

    def network(self, number: int) -> Network | None:
        return self.changed_networks.get(number) or self._networks.get(number)

    def prefetch(self, keys: Collection[bytes], tokens: Collection[bytes] = ()) -> None:
        """Read all that a batch of these nodes and tokens will look at."""
        missing = [key for key in tokens if key not in self.tokens.rows]
        if missing:
            query = self.tokens.select.where(model.TOKEN.c.key.in_(missing))
            self.tokens.rows.update(dict.fromkeys(missing))
            self.tokens.see(self.connection.execute(query))
        unknown = [key for key in keys if key not in self._ids]
        if unknown:
            query = self.nodes.select.where(model.NODE.c.key.in_(unknown))
            self._ids.update(dict.fromkeys(unknown))
            for node in self.nodes.see(self.connection.execute(query)):
                self._ids[node.key] = node.id
        self._read_members({i for i in map(self._ids.get, keys) if i is not None})

    def node(self, key: bytes) -> Node | None:
        if key not in self._ids:
            self.prefetch([key])
        number = self._ids[key]
        return None if number is None else self.nodes.rows[number]

    def node_by_id(self, number: int) -> Node | None:
        self.prefetch_ids([number])
        return self.nodes.rows.get(number)

    def prefetch_ids(self, numbers: Collection[int]) -> None:
        """Read which of these node addresses are taken."""
        missing = [number for number in numbers if number not in self.nodes.rows]
        if missing:
            query = self.nodes.select.where(model.NODE.c.id.in_(missing))
            self.nodes.rows.update(dict.fromkeys(missing))
            for node in self.nodes.see(self.connection.execute(query)):
                self._ids[node.key] = node.id

    def member(self, network: int, node: int) -> Member | None:
        """A tombstone too: look at `live`."""
        self._read_members({node})
        return self.members.rows.get((network, node))

    def members_of(self, node: int) -> list[Member]:
        self._read_members({node})
        return [row for row in self.members.of(node) if row.live]

    def addresses(self, network: int, node: int) -> list[Assignment]:
        """A node's assignments in a network, resting ones too, in order."""
        self._read_members({node})
        found = self.assignments.of((network, node))
        return sorted(found, key=lambda row: (row.family, row.address))

    def token(self, key: bytes) -> Token | None:
        self.prefetch((), [key])
        return self.tokens.rows[key]

    def floor(self, network: int, key: bytes) -> Floor | None:
        place = (network, key)
        if place not in self.floors.rows:
            table = model.FLOOR
            query = self.floors.select.where(table.c.network == network, table.c.node == key)
            self.floors.rows[place] = None
            self.floors.see(self.connection.execute(query))
        return self.floors.rows[place]

    def holder(self, network: int, address: bytes) -> Assignment | None:
        place = (network, address)
        if self.assignments.rows.get(place) is None:
            table = model.ASSIGNMENT
            query = self.assignments.select.where(
                table.c.network == network, table.c.address == address
            )
            self.assignments.see(self.connection.execute(query))
        return self.assignments.rows.get(place)

    # what changes

    def put_network(self, network: Network) -> None:
        self.changed_networks[network.number] = network

    def put_node(self, node: Node) -> None:
        self.nodes.put(node)
        if self._ids.get(node.key) is None:
            self._complete.add(node.id)  # a new one: there is nothing to read
        self._ids[node.key] = node.id

    def touch(self, network: int, node: int) -> None:
        """The netmap must show this member anew (or no more)."""
        self.touched.setdefault(network, {})[node] = None

    def restate(self, network: int) -> None:
        """The network's state must be signed anew."""
        self.restated.add(network)
        self.touched.setdefault(network, {})

    def note(self, actor: str, action: str, thing: str, detail: str = "") -> None:
        self.audit.append(audit.Entry(actor, action, thing, detail))

    def flush(self, head: audit.Head) -> audit.Head:
        """Write everything; returns the audit chain's new end. Raises ClashError."""
        try:
            self._flush_networks()
            self.pools.flush(self.connection)
            for shelf in (self.nodes, self.members, self.tokens, self.assignments, self.floors):
                shelf.flush(self.connection)
            return audit.append(self.connection, head, self.audit, self.now_ms)
        except IntegrityError as error:
            raise ClashError(str(error.orig)) from error

    def _flush_networks(self) -> None:
        for number, network in self.changed_networks.items():
            values = msgspec.structs.asdict(network)
            if number in self._networks:
                query = model.NETWORK.update().where(model.NETWORK.c.number == number)
                self.connection.execute(query, values)
            else:
                self.connection.execute(model.NETWORK.insert(), values)

    def _read_members(self, nodes: set[int]) -> None:
        missing = nodes - self._complete
        if not missing:
            return
        self._complete |= missing
        members = self.members.select.where(model.MEMBER.c.node.in_(missing))
        self.members.see(self.connection.execute(members))
        assigned = self.assignments.select.where(model.ASSIGNMENT.c.node.in_(missing))
        self.assignments.see(self.connection.execute(assigned))

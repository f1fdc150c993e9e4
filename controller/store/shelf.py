"""Rows of one table as one batch sees them: read, made, changed, and written by few statements.

shelf = Shelf(NODES)
shelf.see(lookup.rows(connection, keys))
shelf.put(row)
shelf.flush(connection)
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from operator import attrgetter, ne
from typing import Any, Generic, TypeVar

from msgspec.structs import astuple
from sqlalchemy import Connection, Table, bindparam, select

from controller.store.prepared import Change, Lookup
from controller.store.records import Record

K = TypeVar("K")
R = TypeVar("R", bound=Record)

_KEY = "key_"


class ClashError(Exception):
    """A unique index said no: somebody else has this address or key."""


class TakenError(ClashError):
    """An address is somebody else's of which memory did not know."""


class Layout(Generic[K, R]):
    """How a kind of value is read and written; made once, statements are dear to build.

    `look_up` names the columns by which rows are looked for, many at a time.
    """

    def __init__(
        self,
        table: Table,
        kind: type[R],
        key: Callable[[R], K],
        *,
        owner: Callable[[R], Any] | None = None,
        look_up: Sequence[str] = (),
        insert: Any = None,
    ) -> None:
        self.kind, self.key, self.owner = kind, key, owner
        columns = kind.__struct_fields__
        keys = [column.name for column in table.primary_key.columns]
        self.select = select(*[table.c[name] for name in columns])
        self.by = {name: Lookup(self.select, table.c[name]) for name in look_up}
        self.insert = Change(table.insert() if insert is None else insert)
        self.inserted = attrgetter(*self.insert.names[: len(columns)])
        self._table, self._keys, self._columns = table, keys, columns
        self._updates: dict[tuple[str, ...], _Update] = {}

    def write(self, connection: Connection, changes: Iterable[tuple[R, R | None]]) -> int:
        """Rows as they were, and as they are to be: only the columns that differ are written.

        Returns how many rows changed.
        """
        groups: dict[tuple[bool, ...], list[R]] = {}
        for before, after in changes:
            if after is not None:
                differing = tuple(map(ne, astuple(before), astuple(after)))
                groups.setdefault(differing, []).append(after)
        written = 0
        for differing, rows in groups.items():
            names = tuple(compress(self._columns, differing))
            if not names:
                continue
            update = self._updates.get(names)
            if update is None:
                update = self._updates[names] = _Update(self._table, self._keys, names)
            written += update.change.run(connection, [update.row(row) for row in rows])
        return written


class _Update:
    """The statement that sets these columns. Fewer is better: SQLite writes each index anew in which
    one is, and for a key that is set, though to itself, looks at all rows that refer to it.
    """

    def __init__(self, table: Table, keys: Sequence[str], names: Sequence[str]) -> None:
        condition = [table.c[name] == bindparam(_KEY + name) for name in keys]
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        self.change = Change(table.update().where(*condition).values(values))
        self.row = attrgetter(*[name.removeprefix(_KEY) for name in self.change.names])


class Shelf(Generic[K, R]):
    """Rows of one table that were looked at, and which of them this batch made or changed."""

    def __init__(self, layout: Layout[K, R]) -> None:
        self._layout = layout
        self._key, self._owner = layout.key, layout.owner
        self.select = layout.select
        self.rows: dict[K, R | None] = {}
        self._owned: dict[Any, dict[K, None]] = {}
        self._fresh: dict[K, None] = {}
        self._dirty: dict[K, R] = {}  # as they were

    def look_up(self, connection: Connection, column: str, keys: Sequence[Any]) -> list[R]:
        """Read the rows whose `column` is one of `keys`."""
        return self.see(self._layout.by[column].rows(connection, keys))

    def see(self, found: Iterable[Any]) -> list[R]:
        """Take rows of a select; what this batch changed already stays as it is."""
        seen = []
        for columns in found:
            row = self._layout.kind(*columns)
            key = self._key(row)
            kept = self.rows.get(key)
            if kept is None:
                self._keep(key, row)
                kept = row
            seen.append(kept)
        return seen

    def of(self, owner: Any) -> list[R]:
        """The rows of one owner, as far as they were read or made."""
        keys = self._owned.get(owner)
        if not keys or self._owner is None:
            return []
        rows = [self.rows[key] for key in keys]
        return [row for row in rows if row is not None and self._owner(row) == owner]

    def fresh(self) -> list[R]:
        """The rows that this batch made."""
        rows = [self.rows[key] for key in self._fresh]
        return [row for row in rows if row is not None]

    def changes(self) -> list[tuple[R | None, R]]:
        """The rows that this batch made or changed, each with what it was."""
        found = self.marked().items()
        return [(old, row) for key, old in found if (row := self.rows[key]) is not None]

    def marked(self) -> dict[K, R | None]:
        """The keys of the rows that this batch made or changed, each with what it was."""
        return {**self._fresh, **self._dirty}

    def seal(self, key: K, row: R) -> None:
        """Put a marked row with its sum."""
        self.rows[key] = row

    def put(self, row: R) -> None:
        key = self._key(row)
        before = self.rows.get(key)
        if before is None:
            self._fresh[key] = None
        elif key not in self._fresh:
            self._dirty.setdefault(key, before)
        self._keep(key, row)

    def take_over(self, row: R) -> None:
        """Put a row over a rested one of somebody else: the insert decides whether it may."""
        key = self._key(row)
        self._dirty.pop(key, None)
        self._fresh[key] = None
        self._keep(key, row)

    def flush(self, connection: Connection, *more: int) -> int:
        """Write them, `more` being the parameters of the insert that no row has. How many it were."""
        layout = self._layout
        if self._fresh:
            fresh = [layout.inserted(self.rows[key]) + more for key in self._fresh]
            if layout.insert.run(connection, fresh) != len(fresh):
                raise TakenError(layout.kind.__name__)
        changes = [(before, self.rows[key]) for key, before in self._dirty.items()]
        return len(self._fresh) + layout.write(connection, changes)

    def settle(self) -> None:
        """What was made or changed is written for good."""
        self._fresh.clear()
        self._dirty.clear()

    def _keep(self, key: K, row: R) -> None:
        self.rows[key] = row
        if self._owner is not None:
            self._owned.setdefault(self._owner(row), {})[key] = None

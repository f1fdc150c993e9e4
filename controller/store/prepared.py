"""Statements of the hot path: built by Core, compiled once, executed with tuples.

    lookup = Lookup(select(...), table.c.key)       rows = lookup.rows(connection, keys)
    change = Change(table.insert())                 change.run(connection, [(1, b"..."), ...])
    query = Query(select(...))                      rows = query.rows(connection, key=key)
                                                    if query.finds(connection, key=key): ...

Core looks at every parameter and column of every row; for a batch of some hundred rows that costs more
than SQLite does. Here the driver gets and gives rows as they are, so values must be what it stores:
numbers, text, bytes. Transactions, and what its errors become, stay SQLAlchemy's.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Connection, Select, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase

_DIALECT = sqlite.dialect()
_SIZES = (1, 8, 64, 256)  # of the lists behind IN: few, so that all of them stay prepared


class Change:
    """One insert or update, for many rows; `names` are its parameters in the order of a row."""

    def __init__(self, statement: UpdateBase) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self._text = compiled.string
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """How many rows it changed."""
        try:
            return _driver(connection).executemany(self._text, rows).rowcount
        except sqlite3.Error as error:
            raise _translated(error, self._text) from error


class Lookup:
    """The rows of a select whose `column` is one of many keys."""

    def __init__(self, query: Select[Any], column: ColumnElement[Any]) -> None:
        self._texts = {size: _text(query, column, size) for size in _SIZES}
        self._flags = _flags(query)

    def rows(self, connection: Connection, keys: Collection[Any]) -> Iterator[Sequence[Any]]:
        rest = iter(keys)
        while chunk := list(islice(rest, _SIZES[-1])):
            size = next(size for size in _SIZES if size >= len(chunk))
            chunk += chunk[-1:] * (size - len(chunk))
            found = self._read(connection, self._texts[size], chunk)
            yield from _with_flags(found, self._flags)

    def _read(self, connection: Connection, text: str, keys: list[Any]) -> list[Any]:
        try:
            return _driver(connection).execute(text, keys).fetchall()
        except sqlite3.Error as error:
            raise _translated(error, text) from error


class Query:
    """A select with named parameters: a look, within the transaction that there is or by itself."""

    def __init__(self, query: Select[*tuple[Any, ...]]) -> None:
        compiled = query.compile(dialect=_DIALECT)
        self._text, self._names = compiled.string, tuple(compiled.positiontup or ())
        self._constants = compiled.params
        self._flags = _flags(query)

    def rows(self, connection: Connection, **values: Any) -> list[Sequence[Any]]:
        try:
            found = self._ask(connection, values).fetchall()
        except sqlite3.Error as error:
            raise _translated(error, self._text) from error
        return list(_with_flags(found, self._flags))

    def finds(self, connection: Connection, **values: Any) -> bool:
        """Whether there is any."""
        try:
            return self._ask(connection, values).fetchone() is not None
        except sqlite3.Error as error:
            raise _translated(error, self._text) from error

    def _ask(self, connection: Connection, values: dict[str, Any]) -> sqlite3.Cursor:
        asked = [values.get(name, self._constants[name]) for name in self._names]
        return _bare(connection).execute(self._text, asked)


def changes_so_far(connection: Connection) -> tuple[int, int]:
    """Two numbers: how many rows this connection has changed; the second is another one whenever
    somebody else has committed.
    """
    driver = _bare(connection)
    return driver.total_changes, driver.execute("PRAGMA data_version").fetchone()[0]


def _driver(connection: Connection) -> sqlite3.Connection:
    """The driver's connection, in a transaction that SQLAlchemy knows of."""
    if not connection.in_transaction():
        connection.begin()
    return _bare(connection)


def _bare(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101  # for mypy
    return driver


def _translated(error: sqlite3.Error, text: str) -> BaseException:
    return DBAPIError.instance(text, None, error, sqlite3.Error, dialect=_DIALECT)


def _text(query: Select[Any], column: ColumnElement[Any], size: int) -> str:
    wanted = column.in_([bindparam(f"key{n}") for n in range(size)])
    return query.where(wanted).compile(dialect=_DIALECT).string


def _flags(query: Select[*tuple[Any, ...]]) -> list[int]:
    """Which of its columns are booleans: SQLite has none."""
    columns = enumerate(query.selected_columns)
    return [index for index, one in columns if isinstance(one.type, Boolean)]


def _with_flags(found: list[Any], flags: list[int]) -> Iterable[Sequence[Any]]:
    return found if not flags else (_with_booleans(row, flags) for row in found)


def _with_booleans(row: Sequence[Any], flags: list[int]) -> Sequence[Any]:
    values = list(row)
    for index in flags:
        values[index] = values[index] == 1
    return values

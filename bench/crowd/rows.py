"""The rows of new members, written by SQLite and nothing else: what admit + join needs at least.

A database that the controller has filled gives the rows. They go into an empty one of the same schema,
with the controller's pragmas, in as few statements and commits as there can be.
"""

import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from controller.store.database import create

WAVE = 256  # members of a transaction
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536")
# what a join changes in a member's row, and what stands there before
RESERVED = {
    "wireguard": "NULL",
    "endpoints": "''",
    "families": "''",
    "serial": "0",
    "issued_at": "0",
    "revision": "0",
    "sum": "zeroblob(16)",
}
JOIN = f"UPDATE member SET {', '.join(f'{name} = ?' for name in RESERVED)} WHERE node = ?"  # noqa: S608

Row = tuple[Any, ...]


def rows_alone(filled: Path) -> float:
    """Microseconds of CPU a member of the one network in `filled`. Admit: node, member, token, audit
    row; join: address, member, network, audit row; each of them a transaction of many.
    """
    with closing(sqlite3.connect(filled)) as source, TemporaryDirectory() as directory:
        path = Path(directory) / "rows.db"
        create(path, {})
        nodes = [row[0] for row in source.execute("SELECT id FROM node")]
        random.Random(7).shuffle(nodes)  # as hashes of keys come
        audit = source.execute("SELECT * FROM audit ORDER BY seq").fetchall()
        starts = range(0, len(nodes), WAVE)
        waves = [Wave(source, nodes[s : s + WAVE], audit[2 * s :]) for s in starts]
        with closing(sqlite3.connect(path, isolation_level=None)) as target:
            for pragma in PRAGMAS:
                target.execute(f"PRAGMA {pragma}")
            for table in ("network", "join_token"):
                put(target, table, source.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608
            begun = time.thread_time_ns()
            for wave in waves:
                wave.write(target)
            return (time.thread_time_ns() - begun) / 1000 / len(nodes)


class Wave:
    """The rows of some members, as the statements want them."""

    def __init__(self, source: sqlite3.Connection, nodes: Sequence[int], audit: list[Row]) -> None:
        def rows(what: str, table: str, column: str) -> list[Row]:
            asked = f"SELECT {what} FROM {table} WHERE {column} = ?"  # noqa: S608
            return [source.execute(asked, (node,)).fetchone() for node in nodes]

        columns = [row[1] for row in source.execute("PRAGMA table_info(member)")]
        self.nodes = rows("*", "node", "id")
        reserved = ", ".join(RESERVED.get(name, name) for name in columns)
        self.reserved = rows(reserved, "member", "node")
        self.assignments = rows("*", "assignment", "node")
        self.joined = rows(f"{', '.join(RESERVED)}, node", "member", "node")
        self.audit = audit[: 2 * len(nodes)]

    def write(self, target: sqlite3.Connection) -> None:
        half = len(self.nodes)
        target.execute("BEGIN IMMEDIATE")
        put(target, "node", self.nodes)
        put(target, "member", self.reserved)
        target.execute("UPDATE join_token SET uses_left = uses_left + 1, sum = zeroblob(16)")
        put(target, "audit", self.audit[:half])
        target.execute("COMMIT")
        target.execute("BEGIN IMMEDIATE")
        put(target, "assignment", self.assignments)
        target.executemany(JOIN, self.joined)
        target.execute("UPDATE network SET revision = revision + 1, sum = zeroblob(16)")
        put(target, "audit", self.audit[half:])
        target.execute("COMMIT")


def put(target: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    values = ", ".join("?" * len(rows[0]))
    target.executemany(f"INSERT INTO {table} VALUES ({values})", rows)  # noqa: S608

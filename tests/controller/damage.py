"""What a dying disk does to a database."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

PAGE = 4096


def tear(path: Path, pages: Iterable[int]) -> None:
    """The first bytes of these pages (from 0) are lost."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(path.read_bytes())
    for page in pages:
        data[page * PAGE : page * PAGE + 200] = b"\xff" * 200
    path.write_bytes(data)


def tear_far_inside(path: Path) -> None:
    """Where nobody looks who only opens it: in the midst of a long table."""
    with sqlite3.connect(path) as connection:
        rows = [(f"u{number}", "x" * 2000) for number in range(200)]
        connection.executemany("INSERT INTO user VALUES (?, ?)", rows)
    connection.close()
    tear(path, [path.stat().st_size // PAGE - 20])

"""The SQLite file: made, locked, checked, opened.

WAL with synchronous=FULL: what was committed survives a power cut. One controller at a time holds
the lock file beside it. The loop owns the one connection that writes; threads that only look get
`open_reader`. Foreign exceptions become DatabaseError here and in `work`.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DatabaseError as DriverError
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from controller.store.model import META, SCHEMA
from runtime.failure import CannotError, Exit

CHECKED_FIRST_MAX = 64 * 1024 * 1024  # bytes; a check takes half a second


class DatabaseError(CannotError):
    """The database is missing, locked, damaged or of another version."""


class Lock:
    """One controller per data directory; the kernel gives it back when we die."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise DatabaseError(
                f"cannot open the database in {directory}: another controller has it (pid {holder})",
                hint="one controller runs on one data directory; stop that one, or set `data`",
                code=Exit.CONFLICT,
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        with suppress(OSError):
            os.close(self._fd)


def create(path: Path, meta: dict[str, tuple[bytes, bytes]]) -> None:
    """A new database with all tables and the first rows of `meta`: values with their sums."""
    engine = _engine(path)
    try:
        with engine.begin() as connection:
            SQLModel.metadata.create_all(connection)
            rows = {"schema": (b"%d" % SCHEMA, b""), **meta}
            values = [{"key": key, "value": v, "sum": s} for key, (v, s) in rows.items()]
            connection.execute(META.insert(), values)
    except DriverError as error:
        raise DatabaseError(
            f"cannot make {path}: {error.orig}", hint=f"see: df {path.parent.parent}"
        ) from error
    finally:
        engine.dispose()
    path.chmod(0o600)


def open_writer(path: Path, *, check: bool = True) -> Connection:
    """The connection that writes. Raises DatabaseError when the file is not as it should be."""
    if not path.exists():
        raise DatabaseError(
            f"cannot open {path}: it does not exist",
            hint="make it with: zosnet-controller init --endpoint tcp://ADDRESS:9930",
            code=Exit.USAGE,
        )
    engine = _engine(path)
    try:
        connection = engine.connect()
        if check and is_quickly_checked(path):
            with connection.begin():
                quick_check(connection, path)
        _check_schema(connection, path)
    except (DriverError, ValueError) as error:
        raise damaged(path, str(getattr(error, "orig", error))) from error
    return connection


def open_reader(path: Path) -> Connection:
    """A connection of its own for a thread: it sees what is committed and can write nothing."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.exec_driver_sql("PRAGMA query_only=1")
    connection.exec_driver_sql("PRAGMA busy_timeout=2000")
    return connection


def read_meta(connection: Connection, key: str) -> bytes:
    value = connection.execute(select(META.c.value).where(META.c.key == key)).scalar()
    return bytes(value) if value is not None else b""


def write_meta(connection: Connection, key: str, value: bytes, fits: bytes = b"") -> None:
    """Within the caller's transaction. `fits`: its sum, if it needs one."""
    connection.execute(META.delete().where(META.c.key == key))
    connection.execute(META.insert().values(key=key, value=value, sum=fits))


def damaged(path: Path, reason: str) -> DatabaseError:
    return DatabaseError(
        f"cannot use {path}: it is damaged: {' '.join(reason.split())}",
        hint="keep a copy of the file, then put a backup in its place",
        code=Exit.PROBLEMS,
    )


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, and before the first read
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "wal_autocheckpoint=4000",
            "cache_size=-65536",
            "busy_timeout=5000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def is_quickly_checked(path: Path) -> bool:
    """Else `soundness` does it beside the work."""
    return path.stat().st_size <= CHECKED_FIRST_MAX


def quick_check(connection: Connection, path: Path) -> None:
    """Raises DatabaseError."""
    found = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
    if found != ["ok"]:
        raise damaged(path, "; ".join(str(line) for line in found))


def _check_schema(connection: Connection, path: Path) -> None:
    with connection.begin():
        schema = int(read_meta(connection, "schema") or b"0")
        for table in SQLModel.metadata.sorted_tables:  # quick_check does not read their columns
            connection.execute(select(table).limit(1)).all()
    if schema != SCHEMA:
        raise DatabaseError(
            f"cannot use {path}: its schema is {schema}, this program knows {SCHEMA}",
            hint="use the version of zosnet that wrote it, or a newer one",
            code=Exit.USAGE,
        )

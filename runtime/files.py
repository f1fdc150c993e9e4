"""State files that a crash leaves old or new, never half.

`store` and `load` keep a msgspec struct as JSON; `write_atomic` keeps bytes. A disk that is full
costs the new content, never the old.

CannotError
├── DamagedFileError
└── WriteError (an OSError as well)
"""

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtime.failure import CannotError, Exit

T = TypeVar("T")


class DamagedFileError(CannotError):
    """The file exists and does not hold what it should."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use {path}: it is damaged: {reason}")
        self.path, self.reason = path, reason


class WriteError(CannotError, OSError):
    """The file could not be written; what was there before is still there."""

    def __init__(self, path: Path, error: OSError) -> None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        denied = error.errno in (errno.EACCES, errno.EPERM)
        super().__init__(
            f"cannot write {path}: {error.strerror or error}",
            hint=f"make room; see: df {path.parent}" if full else None,
            code=Exit.EXHAUSTED if full else Exit.DENIED if denied else Exit.INTERNAL,
        )
        self.errno, self.strerror, self.filename = error.errno, error.strerror, str(path)

    def __str__(self) -> str:
        return self.message


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` by `data`. With `durable` (state) it is on the disk when we return; without
    (status files on a tmpfs) only the replacement is atomic.

    A writer that is killed leaves `.<name>.<pid>.new` behind; the next one sweeps it away.
    Raises WriteError.
    """
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            _write(temporary, data, mode, durable=durable)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sweep(path)
        if durable:
            _sync_directory(path.parent)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from error


def _write(path: Path, data: bytes, mode: int, *, durable: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sweep(path: Path) -> None:
    """Remove what killed writers of `path` left; a living writer's file is its own."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        pid = left.name.removesuffix(".new").rpartition(".")[2]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            left.unlink(missing_ok=True)


def store(path: Path, value: Any, *, mode: int = 0o600, durable: bool = True) -> None:
    """Keep `value` (a msgspec struct) as indented JSON. Raises WriteError."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    write_atomic(path, data, mode=mode, durable=durable)


def load(path: Path, kind: type[T]) -> T | None:
    """The value kept in `path`, or None when there is no such file.

    Raises DamagedFileError when the file is there and is not a `kind`.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise DamagedFileError(path, str(error)) from error

"""State files that a crash leaves old or new, never half.

`store` and `load` keep a msgspec struct as JSON; `write_atomic` keeps bytes.
"""

import glob
import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class DamagedFileError(Exception):
    """The file exists and does not hold what it should."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = path


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` by `data`. With `durable` (state) it is on the disk when we return; without
    (status files on a tmpfs) only the replacement is atomic.

    A writer that is killed leaves `.<name>.<pid>.new` behind; the next one sweeps it away.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sweep(path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
    """Keep `value` (a msgspec struct) as indented JSON."""
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

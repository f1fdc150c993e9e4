"""A file that can be written for sure, before something is made that is shown only once.

    with reserve(path) as keep:          # raises CannotError: nothing has been made yet
        …
        keep(data)                       # now it is there, whole

Without `keep` the file is as it was.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.failure import CannotError, Exit

ROOM = 4096  # bytes; a join string has some 300


@contextmanager
def reserve(
    path: Path | None, what: str = "the join string", so_far: str = "no token has been made"
) -> Iterator[Callable[[bytes], None] | None]:
    """None when there is no `path`. `what` cannot be written is said, and what it means `so_far`.

    Raises CannotError.
    """
    if path is None:
        yield None
        return
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a directory")
        fd, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    except OSError as error:
        raise _error(path, error, what, so_far) from error
    try:
        try:
            os.write(fd, b"\0" * ROOM)
        except OSError as error:
            raise _error(path, error, what, so_far) from error

        def keep(data: bytes) -> None:
            os.pwrite(fd, data, 0)
            os.ftruncate(fd, len(data))
            os.fsync(fd)
            Path(aside).replace(path)

        yield keep
    finally:
        os.close(fd)
        Path(aside).unlink(missing_ok=True)


def _error(path: Path, error: OSError, what: str, so_far: str) -> CannotError:
    denied = isinstance(error, PermissionError)
    return CannotError(
        f"cannot write {what} to {path}: {error.strerror}",
        hint=so_far,
        code=Exit.DENIED if denied else Exit.USAGE,
    )

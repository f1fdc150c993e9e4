"""One process at a time: a lock that the kernel gives back when its holder dies.

with alone(RUN / "internet.lock", "start internet", who="internet", hint="…"): …
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.failure import CannotError, Exit


class BusyError(CannotError):
    """Another process of ours does it already."""


@contextmanager
def alone(lock: Path, what: str, *, who: str, hint: str) -> Iterator[None]:
    """Raises BusyError `cannot WHAT: another WHO is running`."""
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = f"cannot {what}: another {who} is running"
            raise BusyError(said, hint=hint, code=Exit.CONFLICT) from None
        yield
    finally:
        os.close(descriptor)

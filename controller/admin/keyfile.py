"""An admin's secret key: a file with one line of hex, 0600, made here and sent nowhere."""

import os
import stat
from pathlib import Path

from protocol.keys import KEY_SIZE, CurvePublic, CurveSecret, new_curve_pair
from runtime.failure import CannotError, Exit

_MAKE = "make one with: ncadm keygen FILE"


def make(path: Path) -> CurvePublic:
    """The public half. What exists is never written over. Raises CannotError."""
    public, secret = new_curve_pair()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        denied = isinstance(error, PermissionError)
        raise CannotError(
            f"cannot make a key in {path}: {error.strerror}",
            hint="name another file" if isinstance(error, FileExistsError) else None,
            code=Exit.DENIED if denied else Exit.CONFLICT,
        ) from error
    return public


def load(path: Path) -> CurveSecret:
    """Raises CannotError, also when others may read it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(2 * KEY_SIZE + 16)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), _MAKE) from error
    if mode & 0o077:
        raise _unusable(path, f"others may read it (mode {mode:04o})", f"chmod 600 {path}")
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise _unusable(path, "it holds no key", _MAKE)
    return CurveSecret(key)


def _unusable(path: Path, reason: str, hint: str) -> CannotError:
    return CannotError(f"cannot use the key {path}: {reason}", hint=hint, code=Exit.USAGE)

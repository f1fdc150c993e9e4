"""The controller's secret keys: files under `keys/`, 0600, never in the database.

    root     Ed25519, signs the keyset; nodes pin its public half by the join string
    signer   Ed25519, signs memberships and network states
    curve    X25519, the controller's end of every connection

`create` is for `init`; `load` refuses a file that others may read, as ssh does.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from protocol.ids import controller_id
from protocol.keys import (
    KEY_SIZE,
    CurvePublic,
    CurveSecret,
    SigningSeed,
    VerifyKey,
    curve_public,
    new_curve_pair,
    new_signing_seed,
    verify_key,
)
from protocol.signed import Signer
from runtime.failure import CannotError, Exit
from runtime.files import write_atomic

NAMES = ("root", "signer", "curve")


class KeyFileError(CannotError):
    """A key file is missing, damaged or open to others."""


@dataclass(frozen=True, slots=True)
class Keyring:
    root: VerifyKey
    root_signer: Signer | None  # None once the root key was taken offline
    signer: Signer
    curve_public: CurvePublic
    curve_secret: CurveSecret

    @property
    def controller_id(self) -> str:
        return controller_id(self.root)

    def __repr__(self) -> str:  # no secret gets into a log
        return f"Keyring({self.controller_id})"


def create(directory: Path) -> None:
    """Make and keep the three keys, and the root's public half beside them."""
    directory.mkdir(mode=0o700, parents=True)
    root = new_signing_seed()
    write_key(directory / "root", bytes(root))
    write_key(directory / "root.pub", bytes(verify_key(root)))
    write_key(directory / "signer", bytes(new_signing_seed()))
    _, secret = new_curve_pair()
    write_key(directory / "curve", bytes(secret))


def load(directory: Path) -> Keyring:
    """Raises KeyFileError."""
    root_path = directory / "root"
    root_signer = Signer(SigningSeed(read_key(root_path))) if root_path.exists() else None
    root = VerifyKey(read_key(directory / "root.pub"))
    if root_signer is not None and root_signer.key != root:
        raise KeyFileError(
            f"cannot use the key {root_path}: it does not belong to {root_path}.pub",
            hint="restore the data directory's keys/ from a backup",
            code=Exit.PROBLEMS,
        )
    secret = CurveSecret(read_key(directory / "curve"))
    return Keyring(
        root=root,
        root_signer=root_signer,
        signer=Signer(SigningSeed(read_key(directory / "signer"))),
        curve_public=curve_public(secret),
        curve_secret=secret,
    )


def write_key(path: Path, key: bytes) -> None:
    write_atomic(path, key.hex().encode() + b"\n", mode=0o600)


def read_key(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(2 * KEY_SIZE + 16)
    except OSError as error:
        raise KeyFileError(
            f"cannot read the key {path}: {error.strerror}",
            hint="restore the data directory's keys/ from a backup",
            code=Exit.USAGE,
        ) from error
    if mode & 0o077:
        raise KeyFileError(
            f"cannot use the key {path}: others may read it (mode {mode:04o})",
            hint=f"chmod 600 {path}",
            code=Exit.USAGE,
        )
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise KeyFileError(
            f"cannot use the key {path}: it does not hold {KEY_SIZE} bytes in hex",
            hint="restore the data directory's keys/ from a backup",
            code=Exit.PROBLEMS,
        )
    return key

"""The controller's secret keys: files under `keys/`, 0600, never in the database.

    root          Ed25519, signs the keyset; nodes pin its public half by the join string
    signer        Ed25519, signs memberships and network states
    signer.next   the one that will take its place, until it has
    curve         X25519, the controller's end of every connection

`create` is for `init`; `load` refuses a file that others may read, as ssh does.
"""

import os
import stat
from dataclasses import dataclass, replace
from hashlib import blake2b
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

NEXT = "signer.next"


class KeyFileError(CannotError):
    """A key file is missing, damaged or open to others."""


@dataclass(frozen=True, slots=True)
class Keyring:
    directory: Path
    root: VerifyKey
    root_signer: Signer | None  # None once the root key was taken offline
    signer: Signer
    next_signer: Signer | None
    curve_public: CurvePublic
    curve_secret: CurveSecret

    @property
    def controller_id(self) -> str:
        return controller_id(self.root)

    @property
    def sums_key(self) -> bytes:
        """For the sums of rows. It follows from the one key that is always here and stays: the root
        key may be offline, and signers are replaced.
        """
        secret = bytes(self.curve_secret)
        return blake2b(digest_size=32, key=secret, person=b"zosnet-sums").digest()

    @property
    def audit_name(self) -> str:
        """Whose chain in the audit log is ours."""
        return self.curve_public[:5].hex()

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
    coming = directory / NEXT
    return Keyring(
        directory=directory,
        root=root,
        root_signer=root_signer,
        signer=Signer(SigningSeed(read_key(directory / "signer"))),
        next_signer=Signer(SigningSeed(read_key(coming))) if coming.exists() else None,
        curve_public=curve_public(secret),
        curve_secret=secret,
    )


def with_next_signer(keys: Keyring) -> Keyring:
    """The same with a signer that will follow, on the disk. One that is there already stays."""
    if keys.next_signer is not None:
        return keys
    seed = new_signing_seed()
    write_key(keys.directory / NEXT, bytes(seed))
    return replace(keys, next_signer=Signer(seed))


def promoted(keys: Keyring) -> Keyring:
    """The next signer in the place of the present one, whose secret is gone."""
    if keys.next_signer is None:
        return keys
    (keys.directory / NEXT).replace(keys.directory / "signer")
    _sync(keys.directory)
    return replace(keys, signer=keys.next_signer, next_signer=None)


def without_root(keys: Keyring) -> Keyring:
    """The root's secret is gone from here."""
    (keys.directory / "root").unlink(missing_ok=True)
    _sync(keys.directory)
    return replace(keys, root_signer=None)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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

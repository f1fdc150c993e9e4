"""Who this node is: one X25519 key, and all that is derived from it before any controller exists.

    identity = load_identity()          # makes the key at the very first start
    identity.public                     # the node's CURVE key; what a controller knows it by
    identity.mac("npub4")               # the same after every reboot
    identity.ula                        # this node's own /48 (RFC 4193)

The key is on the disk before anybody uses it: a key that is lost in a power cut after its first
use would have cost a join token.
"""

import os
import stat
import tempfile
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv6Network
from pathlib import Path

from netns.mac import stable_mac
from protocol.ids import first_address_try
from protocol.keys import KEY_SIZE, CurvePublic, CurveSecret, curve_public, new_curve_pair
from runtime import paths
from runtime.failure import CannotError, Exit

KEY_FILE = "node.key"


@dataclass(frozen=True, slots=True)
class Identity:
    public: CurvePublic
    secret: CurveSecret

    def __repr__(self) -> str:  # a dataclass would print the secret
        return f"Identity({self.node_id})"

    @property
    def node_id(self) -> str:
        """Ten hex digits; also the address that a controller gives unless it is taken."""
        return f"{first_address_try(self.public):010x}"

    @property
    def ula(self) -> IPv6Network:
        """fd00::/8 and 40 bits of the key's hash (RFC 4193, 3.2.2)."""
        digest = blake2b(self.public, digest_size=5, person=b"zosnet-ula").digest()
        return IPv6Network((b"\xfd" + digest + bytes(10), 48))

    def mac(self, role: str) -> str:
        return stable_mac(bytes(self.public), role)


def load_identity(path: Path | None = None) -> Identity:
    """The identity kept in `path` (STATE/node.key), made when there is none.

    Raises CannotError for a key that others could read, that is a link, or that is damaged:
    a new key in its place would be another node.
    """
    path = path or paths.STATE / KEY_FILE
    try:
        try:
            secret = _read(path)
        except FileNotFoundError:
            secret = _make(path)
    except OSError as error:
        raise _error(path, error.strerror or str(error)) from error
    return Identity(public=curve_public(secret), secret=secret)


def _read(path: Path) -> CurveSecret:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise _error(path, "it is not a file")
        if facts.st_mode & 0o077:
            raise _error(
                path,
                f"others may read it (mode {facts.st_mode & 0o777:04o})",
                hint=f"if nobody has: chmod 600 {path}; otherwise remove it: a new node is made",
            )
        data = file.read(KEY_SIZE + 1)
    if len(data) != KEY_SIZE:
        raise _error(
            path,
            f"it has {facts.st_size} bytes, a key has {KEY_SIZE}",
            hint="bring it back from a backup, or remove it: the node then joins as a new one",
        )
    return CurveSecret(data)


def _make(path: Path) -> CurveSecret:
    """Written aside, synced, then linked into place: never half there, and the first maker wins."""
    paths.ensure_directory(path.parent)
    fd, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600, O_EXCL
    _, secret = new_curve_pair()
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path, follow_symlinks=False)
        except FileExistsError:  # another program of ours made it in this very moment
            return _read(path)
    finally:
        Path(aside).unlink()
        _sync_directory(path.parent)
    return secret


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _error(path: Path, reason: str, *, hint: str | None = None) -> CannotError:
    return CannotError(f"cannot use the node key {path}: {reason}", hint=hint, code=Exit.DENIED)

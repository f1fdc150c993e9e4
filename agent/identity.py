"""Who this node is: one X25519 key, and all that is derived from it before any controller exists.

    identity = load_identity()          # makes the key at the very first start
    identity.public                     # the node's CURVE key; what a controller knows it by
    identity.mac("npub4")               # the same after every reboot
    identity.ula                        # this node's own /48 (RFC 4193)

The key is on the disk before anybody uses it: a key that is lost in a power cut after its first
use would have cost a join token.

When the node gets another key (agent.enrol.turning), what was derived from the first one stays: STATE/node.seed
has the public half of that, from the first rotation on. STATE/node.former has that of the key before:
certificates that came under its name are this node's until there are others.
"""

import os
import stat
import tempfile
from hashlib import blake2b
from ipaddress import IPv6Network
from pathlib import Path

from msgspec import Struct

from netns.mac import stable_mac
from protocol.ids import first_address_try
from protocol.keys import KEY_SIZE, CurvePublic, CurveSecret, curve_public, new_curve_pair
from runtime import files, paths
from runtime.failure import CannotError, Exit

KEY_FILE = "node.key"
NEXT, SEED, FORMER = ".next", "node.seed", "node.former"


class Identity(Struct, frozen=True):
    public: CurvePublic
    secret: CurveSecret
    seed: bytes = b""  # the first public key, when there was another
    former: bytes = b""  # the public key before this one, when there was one

    @property
    def origin(self) -> bytes:
        """What everything is derived from: the same for ever."""
        return self.seed or bytes(self.public)

    def __repr__(self) -> str:  # a dataclass would print the secret
        return f"Identity({self.node_id})"

    @property
    def node_id(self) -> str:
        """Ten hex digits; also the address that a controller gives unless it is taken."""
        return f"{first_address_try(CurvePublic(self.origin)):010x}"

    @property
    def ula(self) -> IPv6Network:
        """fd00::/8 and 40 bits of the key's hash (RFC 4193, 3.2.2)."""
        digest = blake2b(self.origin, digest_size=5, person=b"zosnet-ula").digest()
        return IPv6Network((b"\xfd" + digest + bytes(10), 48))

    def mac(self, role: str) -> str:
        return stable_mac(self.origin, role)


def load_identity(path: Path | None = None) -> Identity:
    """The identity kept in `path` (STATE/node.key), made when there is none.

    Raises CannotError for a key that others could read, that is a link, or that is damaged:
    a new key in its place would be another node.
    """
    path = path or paths.STATE / KEY_FILE
    seed, former = _read_seed(path.with_name(SEED)), _read_former(path.with_name(FORMER))
    return _load(path, seed, former, make=True)


def load_next(
    present: Identity, path: Path | None = None, *, make: bool = False
) -> Identity | None:
    """The key that is to take the place of the present one; with `make` there is one afterwards."""
    path = path or paths.STATE / KEY_FILE
    path = path.with_name(path.name + NEXT)
    if not make and not path.exists():
        return None
    return _load(path, present.origin, bytes(present.public), make=make)


def settle_next(present: Identity, path: Path | None = None) -> None:
    """The next key is the node's from now on. Killed at any moment, either is."""
    path = path or paths.STATE / KEY_FILE
    # first: without the one all MACs and ULAs were others, without the other the node's certificates
    files.write_atomic(path.with_name(SEED), present.origin)
    files.write_atomic(path.with_name(FORMER), bytes(present.public))
    try:
        path.with_name(path.name + NEXT).replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _error(path, error.strerror or str(error)) from error


def _load(path: Path, seed: bytes, former: bytes, *, make: bool) -> Identity:
    try:
        try:
            secret = _read(path)
        except FileNotFoundError:
            if not make:
                raise
            secret = _make(path)
    except OSError as error:
        raise _error(path, error.strerror or str(error)) from error
    return Identity(public=curve_public(secret), secret=secret, seed=seed, former=former)


def _read_seed(path: Path) -> bytes:
    """Public, and there only when the node has had another key. Raises CannotError."""
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _error(path, error.strerror or str(error)) from error
    if len(seed) != KEY_SIZE:
        raise _error(
            path,
            f"it has {len(seed)} bytes, a key has {KEY_SIZE}",
            hint="bring it back from a backup; without it the node gets other MACs and ULAs",
        )
    return seed


def _read_former(path: Path) -> bytes:
    """Nothing when there was none, or the file is damaged: new certificates are on their way then."""
    try:
        former = path.read_bytes()
    except OSError:
        return b""
    return former if len(former) == KEY_SIZE else b""


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
    paths.ensure_directory(path.parent, mode=0o711)  # a controller may be in there, as another user
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

"""What enrolment keeps on the disk, each file before its content is used.

STATE/join/<digest>                       a join string that has not done its work yet (0600)
STATE/farms/<controller id>.json          root key, newest keyset, what is joined and left
STATE/networks/<network>/wireguard.json   this node's key and port in a network (0600)
STATE/generation                          how often this node's agent has started
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from agent.enrol.actions import Problem
from agent.enrol.endpoints import PORT_COUNT, PORT_FIRST
from protocol.ids import controller_id
from protocol.joinstring import JoinString, JoinStringError, parse_join_string
from protocol.keys import (
    CurveSecret,
    Key32,
    VerifyKey,
    WireGuardPublic,
    WireGuardSecret,
    curve_public,
    new_wireguard_pair,
)
from protocol.signed import Signed
from runtime import files, paths
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)


class ControllerFile(msgspec.Struct, frozen=True):
    endpoint: str
    key: Key32


class FarmFile(msgspec.Struct, frozen=True):
    """`controllers` are those of the join string: used until there is a keyset."""

    root: Key32
    controllers: tuple[ControllerFile, ...]
    keyset: Signed | None = None
    admitted: bool = False
    turned: Key32 | None = None  # the node's next key, once it was let in there
    expected: bool = False  # a join string without a token said that the controller knows our key
    joined: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()

    @property
    def controller_id(self) -> str:
        return controller_id(VerifyKey(self.root))


class _KeyFile(msgspec.Struct, frozen=True):
    secret: Key32
    port: int


class WireGuardKey(msgspec.Struct, frozen=True):
    public: WireGuardPublic
    secret: WireGuardSecret
    port: int

    def __repr__(self) -> str:
        return f"WireGuardKey(port={self.port})"


class Keys:
    """The node's WireGuard keys, one a network; made when first asked for."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or paths.STATE / "networks"
        self._known: dict[str, WireGuardKey] = {}

    def of(self, network: str) -> WireGuardKey:
        """Raises CannotError when the file is damaged: a new key would be another member."""
        known = self._known.get(network)
        if known is None:
            known = self._load(network) or self._make(network)
            self._known[network] = known
        return known

    def next_port(self, network: str) -> int:
        """Its port is somebody else's: take another, and keep that."""
        key = self.of(network)
        port = PORT_FIRST + (key.port - PORT_FIRST + 1) % PORT_COUNT
        self._keep(network, WireGuardKey(key.public, key.secret, port))
        return port

    def forget(self, network: str) -> None:
        self._known.pop(network, None)
        path = self._path(network)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # something else of the network is still kept there
            path.parent.rmdir()

    def _path(self, network: str) -> Path:
        return self._directory / network / "wireguard.json"

    def _load(self, network: str) -> WireGuardKey | None:
        try:
            kept = files.load(self._path(network), _KeyFile)
        except files.DamagedFileError as error:
            raise CannotError(
                f"cannot join network {network}: {error.path} is damaged: {error.reason}",
                hint=f"bring it back from a backup, or: zosnet-agent leave {network}",
            ) from error
        if kept is None:
            return None
        public = curve_public(CurveSecret(kept.secret))
        return WireGuardKey(WireGuardPublic(bytes(public)), WireGuardSecret(kept.secret), kept.port)

    def _make(self, network: str) -> WireGuardKey:
        public, secret = new_wireguard_pair()
        start = int.from_bytes(blake2b(network.encode(), digest_size=4).digest())
        key = WireGuardKey(public, secret, PORT_FIRST + start % PORT_COUNT)
        self._keep(network, key)
        return key

    def _keep(self, network: str, key: WireGuardKey) -> None:
        files.store(self._path(network), _KeyFile(bytes(key.secret), key.port))
        self._known[network] = key


class Store:
    """Join strings and farms."""

    def __init__(self, state: Path | None = None) -> None:
        self._state = state or paths.STATE
        self.problems: dict[str, Problem] = {}  # by file: what could not be read

    def count_start(self) -> int:
        """The number of this start of the node's agent."""
        path = self._state / "generation"
        try:
            number = int(path.read_bytes()) + 1
        except (FileNotFoundError, ValueError):
            number = 1
        try:
            files.write_atomic(path, b"%d\n" % number)
        except files.WriteError as error:  # a full disk must not keep a node out
            log.warning("start not counted", extra={"reason": error.message})
        return number

    def farms(self) -> Iterator[FarmFile]:
        for path in sorted((self._state / "farms").glob("*.json")):
            try:
                farm = files.load(path, FarmFile)
            except files.DamagedFileError as error:
                # its networks come up from their own caches
                self.complain(path, error.message, "any join string of that farm makes it new")
                continue
            if farm is not None:
                yield farm

    def complain(self, path: Path, message: str, hint: str) -> None:
        """What status says of `path`, and the log."""
        log.error(with_hint(message, hint))
        self.problems[str(path)] = Problem(message, hint)

    def keep_farm(self, farm: FarmFile) -> None:
        path = self._state / "farms" / f"{farm.controller_id}.json"
        files.store(path, farm)
        self.problems.pop(str(path), None)

    def forget_farm(self, controller_id: str) -> None:
        (self._state / "farms" / f"{controller_id}.json").unlink(missing_ok=True)

    def joins(self) -> Iterator[JoinString]:
        for path in sorted((self._state / "join").glob("[0-9a-f]*")):
            try:
                yield parse_join_string(path.read_text())
            except (JoinStringError, UnicodeDecodeError) as error:
                reason = error.reason if isinstance(error, JoinStringError) else "it is no text"
                self.complain(path, f"cannot use the join string in {path}: {reason}", f"rm {path}")

    def keep_join(self, join: JoinString, text: str) -> None:
        files.write_atomic(self._join_path(_name_of(join)), text.strip().encode() + b"\n")

    def forget_join(self, token: CurveSecret) -> None:
        self._join_path(token).unlink(missing_ok=True)

    def forget_join_of(self, join: JoinString) -> None:
        self._join_path(_name_of(join)).unlink(missing_ok=True)

    def _join_path(self, named: bytes) -> Path:
        name = blake2b(named, digest_size=8, person=b"zosnet-joinfile").hexdigest()
        return self._state / "join" / name


def _name_of(join: JoinString) -> bytes:
    """Of two without a token for one farm the later is the one that counts."""
    return join.token if join.has_token else join.root


def controllers_of(join: JoinString) -> tuple[ControllerFile, ...]:
    return tuple(ControllerFile(endpoint, bytes(key)) for endpoint, key in join.controllers)

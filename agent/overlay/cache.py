"""What survives a reboot of each network, in STATE/networks/<id>/.

netmap.json      the signed memberships and state as they came, verified again when they are read, and
                 the newest certificates of those that are gone: no older ones are believed
highest.json     the highest incarnation and epoch that were kept: an older netmap is not believed
endpoints.json   where peers were last heard from: unsigned hints, worth 13 s to a rebooted node

The netmap is on the disk before its revision is acknowledged, and before what it has reached: after
a crash between them the netmap is the newer one, which is believed.
"""

import base64
import binascii
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.overlay.kept import Kept
from netns.wireguard.device import Endpoint
from protocol.ids import is_network_id
from protocol.packing import format_endpoint, is_endpoint_address, parse_endpoint
from runtime import files, paths

log = logging.getLogger(__name__)


class _Learnt(msgspec.Struct, frozen=True):
    endpoints: dict[str, str]  # base64 of the WireGuard key, as `wg` prints it


class _Highest(msgspec.Struct, frozen=True):
    incarnation: int
    epoch: int


class Cache:
    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or paths.STATE / "networks"
        self._highest: dict[str, tuple[int, int]] = {}
        self.damaged: dict[str, files.DamagedFileError] = {}  # by network, as `networks` found it

    def names(self) -> list[str]:
        """The networks that have a file here, damaged or not."""
        return [path.parent.name for path in self._directory.glob("*/netmap.json")]

    def networks(self) -> Iterator[Kept]:
        """What is kept; a damaged file is named in the log and left alone."""
        for path in sorted(self._directory.glob("*/netmap.json")):
            try:
                kept = files.load(path, Kept)
            except files.DamagedFileError as error:
                log.error(error.message)  # noqa: TRY400  # a sentence for people
                self.damaged[path.parent.name] = error
                continue
            if kept is not None and is_network_id(kept.network) == (
                kept.network == path.parent.name
            ):
                yield kept

    def keep(self, kept: Kept, reached: tuple[int, int] = (0, 0)) -> None:
        """`reached`: the incarnation and epoch of its state."""
        files.store(self._directory / kept.network / "netmap.json", kept)
        if reached > self.highest(kept.network):
            files.store(self._directory / kept.network / "highest.json", _Highest(*reached))
            self._highest[kept.network] = reached

    def highest(self, network: str) -> tuple[int, int]:
        """The highest (incarnation, epoch) that was ever kept of `network`."""
        if network not in self._highest:
            try:
                kept = files.load(self._directory / network / "highest.json", _Highest)
            except files.DamagedFileError as error:
                log.error(error.message)  # noqa: TRY400  # a sentence for people
                kept = None
            self._highest[network] = (kept.incarnation, kept.epoch) if kept else (0, 0)
        return self._highest[network]

    def learnt(self, network: str) -> dict[bytes, Endpoint]:
        """By WireGuard key. They are hints: what cannot be read is left out."""
        try:
            kept = files.load(self._directory / network / "endpoints.json", _Learnt)
        except files.DamagedFileError:
            return {}
        found = {}
        for key, text in (kept.endpoints if kept else {}).items():
            with suppress(ValueError, binascii.Error):
                endpoint = Endpoint(*parse_endpoint(text))
                if is_endpoint_address(endpoint.address):
                    found[base64.b64decode(key, validate=True)] = endpoint
        return found

    def keep_learnt(self, network: str, learnt: Mapping[bytes, Endpoint]) -> None:
        endpoints = {
            base64.b64encode(key).decode(): format_endpoint(e.address, e.port)
            for key, e in sorted(learnt.items())
        }
        files.store(self._directory / network / "endpoints.json", _Learnt(endpoints))

    def forget(self, network: str) -> None:
        self._highest.pop(network, None)
        for name in ("netmap.json", "highest.json", "endpoints.json"):
            (self._directory / network / name).unlink(missing_ok=True)
        with suppress(OSError):  # the key is still there
            (self._directory / network).rmdir()

"""The addresses from which controllers have seen this site, over restarts: closed before one is asked.

STATE/sites.json     {"addresses": ["198.51.100.10"]}
"""

import logging
from collections.abc import Iterable
from functools import reduce
from pathlib import Path

from msgspec import Struct

from agent.ndmz.policy import add_site
from netns.values import IPAddress
from runtime import files, paths

log = logging.getLogger(__name__)
PATH = paths.STATE / "sites.json"


class _Kept(Struct, frozen=True):
    addresses: tuple[str, ...]


def load_sites(path: Path = PATH) -> tuple[IPAddress, ...]:
    """None when they cannot be read: a controller says them again."""
    try:
        kept = files.load(path, _Kept)
    except (OSError, files.DamagedFileError) as error:
        log.warning("sites not read", extra={"reason": error})
        return ()
    return reduce(add_site, kept.addresses if kept is not None else (), ())


def store_sites(addresses: Iterable[IPAddress], path: Path = PATH) -> None:
    """Raises WriteError."""
    files.store(path, _Kept(tuple(map(str, addresses))), mode=0o644)

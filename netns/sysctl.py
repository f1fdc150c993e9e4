"""Kernel settings of a namespace, written only where they differ.

    await set_sysctls(spaces, "ndmz", {"net/ipv4/ip_forward": "1"})

Keys are paths under /proc/sys, because interface names may hold dots. In order: `accept_ra` must
be 2 before `forwarding` is 1, or the default route that an RA gave is purged for good.
"""

from collections.abc import Mapping
from pathlib import Path

from netns.spaces import Spaces
from runtime.failure import CannotError, Exit

ROOT = Path("/proc/sys")


async def set_sysctls(
    spaces: Spaces, space: str, values: Mapping[str, str], *, skip_missing: bool = False
) -> list[str]:
    """Set `values` in their order; returns the keys that had another value before.

    Raises CannotError that names the key. `skip_missing` passes over what this kernel has not
    (the bridge-nf keys, when br_netfilter is not loaded).
    """
    return await spaces.run(space, _set_all, dict(values), space, skip_missing=skip_missing)


async def read_sysctl(spaces: Spaces, space: str, key: str) -> str | None:
    """The value of `key`, None when this kernel has no such key."""
    return await spaces.run(space, _read, _path(key))


def _set_all(values: dict[str, str], space: str, *, skip_missing: bool) -> list[str]:
    changed = []
    for key, value in values.items():
        path = _path(key)
        try:
            have = _read(path)
            if have == value or (have is None and skip_missing):
                continue
            path.write_text(value)
        except OSError as error:
            where = f" in namespace {space}" if space else ""
            missing = isinstance(error, FileNotFoundError)
            reason = "this kernel has no such key" if missing else error.strerror
            raise CannotError(f"cannot set {key} to {value}{where}: {reason}") from error
        changed.append(key)
    return changed


def _read(path: Path) -> str | None:
    try:
        return " ".join(path.read_text().split())  # a list of numbers comes with tabs
    except FileNotFoundError:
        return None


def _path(key: str) -> Path:
    parts = key.split("/")
    if key.startswith("/") or not all(part and part not in (".", "..") for part in parts):
        raise CannotError(f"cannot use sysctl {key!r}: not a path under {ROOT}", code=Exit.USAGE)
    return ROOT.joinpath(*parts)

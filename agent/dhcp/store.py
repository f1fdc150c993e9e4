"""Leases on disk, one file per MAC, each good for the boot that wrote it.

`load_lease` gives what the last keeper or `internet` had on this MAC since power-on; its times
are on a clock that began then, so a lease of an earlier boot is not a lease any more.
"""

import logging
from pathlib import Path

import msgspec

from agent.dhcp.lease import Lease
from agent.dhcp.record import LeaseRecord
from runtime import files
from runtime.clock import boot_id
from runtime.paths import STATE

log = logging.getLogger(__name__)


class StoredLease(msgspec.Struct, frozen=True, kw_only=True):
    boot_id: str
    lease: LeaseRecord


def lease_path(mac: str, *, state: Path = STATE) -> Path:
    return state / "leases" / f"{mac.lower().replace(':', '-')}.json"


def store_lease(mac: str, lease: Lease, *, state: Path = STATE, boot: str | None = None) -> None:
    """Keep `lease`, durably. Raises OSError."""
    stored = StoredLease(boot_id=boot or boot_id(), lease=LeaseRecord.of(lease))
    files.store(lease_path(mac, state=state), stored)


def forget_lease(mac: str, *, state: Path = STATE) -> None:
    lease_path(mac, state=state).unlink(missing_ok=True)


def load_lease(mac: str, *, state: Path = STATE, boot: str | None = None) -> Lease | None:
    """The lease kept for `mac` in this boot. A damaged file is no lease: a server can be asked."""
    try:
        stored = files.load(lease_path(mac, state=state), StoredLease)
        if stored is None or stored.boot_id != (boot or boot_id()):
            return None
        return stored.lease.lease()
    except (files.DamagedFileError, ValueError) as error:
        log.warning("stored lease ignored", extra={"mac": mac, "reason": str(error)})
        return None

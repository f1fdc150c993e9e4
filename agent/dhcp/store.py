"""Leases on disk, one file per MAC, each good for the boot that wrote it.

`load_lease` gives what the last keeper or `internet` had on this MAC since power-on; its times
are on a clock that began then, so a lease of an earlier boot is not a lease any more.
"""

import logging
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Self

import msgspec

from agent.dhcp.lease import Lease, StaticRoute
from runtime import files
from runtime.paths import STATE

log = logging.getLogger(__name__)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class RouteRecord(msgspec.Struct, frozen=True):
    destination: str
    via: str | None = None


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as JSON has it: in state files and in status."""

    address: str
    routers: tuple[str, ...]
    server: str
    dns: tuple[str, ...] = ()
    domain: str | None = None
    mtu: int | None = None
    routes: tuple[RouteRecord, ...] = ()
    lease_s: int
    renew_s: int
    rebind_s: int
    acquired: float
    client_id: str

    @classmethod
    def of(cls, lease: Lease) -> Self:
        return cls(
            address=str(lease.address),
            routers=tuple(map(str, lease.routers)),
            server=str(lease.server),
            dns=tuple(map(str, lease.dns)),
            domain=lease.domain,
            mtu=lease.mtu,
            routes=tuple(
                RouteRecord(str(r.destination), None if r.via is None else str(r.via))
                for r in lease.routes
            ),
            lease_s=lease.lease_s,
            renew_s=lease.renew_s,
            rebind_s=lease.rebind_s,
            acquired=lease.acquired,
            client_id=lease.client_id.hex(":"),
        )

    def lease(self) -> Lease:
        """The lease again. Raises ValueError when a field is none."""
        return Lease(
            address=IPv4Interface(self.address),
            routers=tuple(map(IPv4Address, self.routers)),
            server=IPv4Address(self.server),
            dns=tuple(map(IPv4Address, self.dns)),
            domain=self.domain,
            mtu=self.mtu,
            routes=tuple(
                StaticRoute(
                    IPv4Network(r.destination), None if r.via is None else IPv4Address(r.via)
                )
                for r in self.routes
            ),
            lease_s=self.lease_s,
            renew_s=self.renew_s,
            rebind_s=self.rebind_s,
            acquired=self.acquired,
            client_id=bytes.fromhex(self.client_id.replace(":", "")),
        )


class StoredLease(msgspec.Struct, frozen=True, kw_only=True):
    boot_id: str
    lease: LeaseRecord


def boot_id() -> str:
    return BOOT_ID.read_text(encoding="ascii").strip()


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

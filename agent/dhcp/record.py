"""A lease as JSON has it: in state files and in status. Pure; costs a command next to nothing."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Self

import msgspec

from agent.dhcp.lease import Lease, StaticRoute


class RouteRecord(msgspec.Struct, frozen=True):
    destination: str
    via: str | None = None


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
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

"""What a DHCPv4 server granted us, and the one name under which we ask for it.

A `Lease` counts its time from `acquired`, seconds of CLOCK_BOOTTIME: it goes on while the machine
sleeps and never jumps. It means nothing after a reboot; `agent.dhcp.store` sees to that.
"""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from msgspec import Struct

FOREVER = 0xFFFFFFFF  # seconds; how a server says "infinite" (RFC 2132, 9.2) and the kernel too


class StaticRoute(Struct, frozen=True):
    """A route beside the default one (option 121, taken only when configured)."""

    destination: IPv4Network
    via: IPv4Address | None  # None: on the link itself


class Lease(Struct, frozen=True, kw_only=True):
    address: IPv4Interface
    routers: tuple[IPv4Address, ...]
    server: IPv4Address
    dns: tuple[IPv4Address, ...] = ()
    domain: str | None = None
    mtu: int | None = None
    routes: tuple[StaticRoute, ...] = ()
    lease_s: int
    renew_s: int  # T1 and T2, counted from `acquired` as well
    rebind_s: int
    acquired: float
    client_id: bytes

    @property
    def renew_at(self) -> float:
        return self.acquired + self.renew_s

    @property
    def rebind_at(self) -> float:
        return self.acquired + self.rebind_s

    @property
    def expires_at(self) -> float:
        return self.acquired + self.lease_s

    @property
    def router(self) -> IPv4Address | None:
        """The default gateway."""
        return self.routers[0] if self.routers else None

    def is_valid(self, now: float) -> bool:
        return self.acquired <= now < self.expires_at

    def remaining_s(self, now: float) -> int:
        """Whole seconds of life left, FOREVER when it does not end."""
        if self.lease_s == FOREVER:
            return FOREVER
        return max(0, int(self.expires_at - now))


def client_id(mac: str) -> bytes:
    """Option 61 for the link with this MAC: hardware type 1 and the MAC (RFC 2132, 9.14).

    The same in the probe namespace, on the bridge (which has its port's MAC) and in the keeper,
    so a server sees one client and keeps one lease. The plain form is also what reservations on
    common servers are matched against.
    """
    return b"\x01" + hardware_address(mac)


def hardware_address(mac: str) -> bytes:
    """`"52:54:00:12:34:56"` as six bytes."""
    address = bytes.fromhex(mac.replace(":", ""))
    if len(address) != 6:
        raise ValueError(f"not an Ethernet address: {mac}")
    return address

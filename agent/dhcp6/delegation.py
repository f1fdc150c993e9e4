"""A prefix that a DHCPv6 server delegated to this node, and the one name under which we ask for it. Pure.

Times count from `acquired`, seconds of CLOCK_BOOTTIME as those of leases do.
"""

from hashlib import blake2b
from ipaddress import IPv6Network

from msgspec import Struct

DUID_UUID = b"\0\x04"  # RFC 6355


class Delegation(Struct, frozen=True, kw_only=True):
    prefix: IPv6Network
    server: bytes  # its DUID
    preferred_s: int
    valid_s: int
    renew_s: int  # T1 and T2
    rebind_s: int
    acquired: float

    @property
    def renew_at(self) -> float:
        return self.acquired + self.renew_s

    @property
    def rebind_at(self) -> float:
        return self.acquired + self.rebind_s

    @property
    def expires_at(self) -> float:
        return self.acquired + self.valid_s

    def is_valid(self, now: float) -> bool:
        return self.acquired <= now < self.expires_at


def client_duid(origin: bytes) -> bytes:
    """The DUID of the node whose identity comes from `origin`: the same for ever, on every NIC."""
    return DUID_UUID + blake2b(origin, digest_size=16, person=b"zosnet-duid").digest()

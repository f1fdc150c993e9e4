"""What ndmz says of itself; networkd keeps it in RUN/ndmz.json. Loads neither asyncio nor pyroute2."""

import msgspec

from runtime import files, paths

PATH = paths.RUN / "ndmz.json"


class Workload(msgspec.Struct, frozen=True):
    name: str
    ip4: str
    ip6: str


class Carrier(msgspec.Struct, frozen=True):
    """Which NIC carries ndmz; `nic` is empty when it is that of `zos`."""

    nic: str = ""
    reason: str = ""


class NdmzStatus(msgspec.Struct, frozen=True, kw_only=True):
    # What the config asks for is there: with `ndmz.ipv6: required`, IPv6 too.
    ready: bool = False
    # An address, a default gateway and a loaded guard, per family.
    ready4: bool = False
    ready6: bool = False
    # Of its uplinks and of what is behind it.
    mtu: int = 0
    addresses: list[str] = []
    gateways: list[str] = []
    # Where IPv4 comes from; the host's addresses, where workloads leave by those; and the cable's.
    ipv4: str = ""
    lent: list[str] = []
    pair: str = ""
    # A prefix of this node's own, for network resources; and how it stands with it.
    delegated: str = ""
    delegation: str = ""
    # Closed: the prefixes that the uplink holds an address of, and the site's outside addresses.
    own: list[str] = []
    site: list[str] = []
    # Open although the guard would close them, because the config says so.
    exceptions: list[str] = []
    dns: list[str] = []
    workloads: list[Workload] = []
    # Whether bridged frames pass the host's firewall, and why.
    bridge_nf: str = ""
    # A family that the site does not offer, where the other is enough.
    lacks: list[str] = []
    # Why something is not as it should be; empty: all is.
    reasons: list[str] = []


def load_status() -> NdmzStatus | None:
    """What networkd wrote last, None before it has. Raises runtime.files.DamagedFileError."""
    return files.load(PATH, NdmzStatus)

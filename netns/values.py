"""What the kernel has in a namespace, as values. Pure.

MACs are lower-case text with colons, addresses are `ipaddress` objects, links are named by index.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from msgspec import Struct

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network

MARK = "zosnet:"  # an ifalias that begins so is ours
GROUP = 0x7A6F73  # "zos": the link group every link of ours is born with, see Link.half_made


class Scope(IntEnum):
    """Address scope (rtnetlink(7)); the kernel may hold others, which stay plain numbers."""

    UNIVERSE = 0
    SITE = 200
    LINK = 253
    HOST = 254


class AddressFlag(IntFlag):
    """IFA_F_* of linux/if_addr.h, as attribute IFA_FLAGS has them."""

    NODAD = 0x02
    OPTIMISTIC = 0x04
    DADFAILED = 0x08
    DEPRECATED = 0x20
    TENTATIVE = 0x40
    PERMANENT = 0x80
    NOPREFIXROUTE = 0x200


class Protocol(IntEnum):
    """Who made a route (rtnetlink(7), rtm_protocol)."""

    REDIRECT = 1
    KERNEL = 2
    BOOT = 3
    STATIC = 4
    RA = 9
    DHCP = 16


class NeighbourState(IntFlag):
    """NUD_* of linux/neighbour.h."""

    NONE = 0
    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


class Link(Struct, frozen=True, kw_only=True):
    index: int
    name: str
    kind: str | None  # "veth", "bridge", …; None: a device without a kind: physical, or lo
    mac: str  # "" when it has none (tun)
    mtu: int
    up: bool
    carrier: bool  # never on a link that is down
    master: int | None
    alias: str
    parent: int | None  # veth: the peer's index in *its* namespace; VLAN: the link below
    loopback: bool = False
    group: int = 0
    isolated: bool = False  # as a bridge port
    learning: bool = True  # as a bridge port
    dhcp6: bool = False  # a router advertisement said that there is a DHCPv6 server (M or O)

    @property
    def role(self) -> str | None:
        """What we made it for; None: not ours."""
        return self.alias.removeprefix(MARK) if self.alias.startswith(MARK) else None

    @property
    def half_made(self) -> bool:
        """Ours, and whoever made it was killed before it was marked (the kernel takes no alias
        at birth, but it takes a group).
        """
        return self.group == GROUP and not self.alias

    @property
    def movable(self) -> bool:
        """Whether the kernel lets it into another namespace."""
        return self.kind not in ("bridge", "bond")

    @property
    def physical(self) -> bool:
        return self.kind is None and not self.loopback


class Address(Struct, frozen=True, kw_only=True):
    link: int
    interface: IPInterface
    scope: int  # a Scope, mostly
    tentative: bool
    dad_failed: bool
    deprecated: bool
    permanent: bool
    valid_s: int | None  # seconds left when it was read; None: for ever
    preferred_s: int | None
    optimistic: bool = False

    @property
    def usable(self) -> bool:
        """May be the source of packets: duplicate detection is over and found nobody.

        An optimistic one counts as not yet usable: it may still be taken away.
        """
        return not (self.tentative or self.dad_failed or self.optimistic)


class Route(Struct, frozen=True, kw_only=True):
    destination: IPNetwork | None  # None: default
    family: int  # 4 or 6
    via: IPAddress | None
    link: int | None
    metric: int
    protocol: int  # a Protocol, mostly


class Neighbour(Struct, frozen=True, kw_only=True):
    link: int
    address: IPAddress
    mac: str  # "" while it is not known
    state: NeighbourState

    @property
    def reachable(self) -> bool:
        """The kernel holds a MAC for it that was not found wrong."""
        bad = NeighbourState.INCOMPLETE | NeighbourState.FAILED
        return bool(self.mac) and not self.state & bad


class View(Struct, frozen=True, kw_only=True):
    """All that a namespace has, at one moment."""

    links: Mapping[str, Link]  # by name
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]  # unicast, of the main table
    generation: int  # of its nftables: another number after each change; 0: it was not asked for
    sysctls: Mapping[str, str]  # those that were asked for and are there
    refused: tuple[Route, ...] = ()  # unreachable ones of the main table

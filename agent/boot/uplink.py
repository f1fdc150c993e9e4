"""Which NIC carries the node: a pure choice, with the reason for every NIC.

    choice = choose(candidates, pin=config.nics.pin)
    choice.uplink      # the NIC to take, None when none is usable
    choice.ranking     # every NIC, best first, each with its reason

Usable is a NIC that has an address and a default route of one family. Among those, as the Zos
text wants it, private addresses go before public ones:

    pinned > RFC 1918 IPv4 > ULA > 100.64/10 > public IPv4 > global IPv6

Ties: both families before one, the lower address, natural order of the names. Addresses are
classified by the lists below; `ipaddress.is_private` also holds documentation and benchmark
prefixes to be private, which a site may well route.
"""

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from msgspec import Struct
from msgspec.structs import replace

PRIVATE4 = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
SHARED4 = IPv4Network("100.64.0.0/10")
UNUSABLE4 = tuple(
    map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))
)
ULA = IPv6Network("fc00::/7")
GLOBAL6 = IPv6Network("2000::/3")


class AddressClass(IntEnum):
    """Best first."""

    PRIVATE4 = 0
    ULA = 1
    SHARED4 = 2
    PUBLIC4 = 3
    GLOBAL6 = 4

    def __str__(self) -> str:
        return _SPOKEN[self]


_SPOKEN = {
    AddressClass.PRIVATE4: "RFC1918 IPv4",
    AddressClass.ULA: "ULA",
    AddressClass.SHARED4: "100.64/10 IPv4",
    AddressClass.PUBLIC4: "public IPv4",
    AddressClass.GLOBAL6: "global IPv6",
}


class Candidate(Struct, frozen=True, kw_only=True):
    """What the probe of one NIC has found.

    `quiet4` and `quiet6` say why a family has nothing, in the words of its probe.
    """

    name: str
    carrier: bool = True
    address4: IPv4Interface | None = None
    gateway4: IPv4Address | None = None
    addresses6: tuple[IPv6Interface, ...] = ()
    gateway6: IPv6Address | None = None
    quiet4: str = "no DHCP answer"
    quiet6: str = "no router advertisement"
    barred: str = ""  # why it could not even be probed
    static: tuple[IPv4Interface | IPv6Interface, ...] = ()  # addresses that the config gives it

    @property
    def class4(self) -> AddressClass | None:
        """The class that IPv4 makes this NIC usable in."""
        if self.address4 is None or self.gateway4 is None or not self.carrier:
            return None
        return classify(self.address4.ip)

    @property
    def best6(self) -> tuple[AddressClass, IPv6Interface] | None:
        """The address, with its class, by which IPv6 makes this NIC usable."""
        if self.gateway6 is None or not self.carrier:
            return None
        known = [(c, a) for a in self.addresses6 if (c := classify(a.ip)) is not None]
        return min(known, default=None)

    @property
    def families(self) -> int:
        return (self.class4 is not None) + (self.best6 is not None)

    @property
    def usable(self) -> bool:
        return self.families > 0


class Ranked(Struct, frozen=True):
    """One NIC's place. `address_class`, `address` and `gateway` are None when it is unusable."""

    name: str
    address_class: AddressClass | None
    address: IPv4Interface | IPv6Interface | None
    gateway: IPv4Address | IPv6Address | None
    pinned: bool
    families: int
    reason: str
    static: bool = False

    @property
    def found(self) -> str:
        """Where it is in the world."""
        origin = "static " if self.static else ""
        return f"{origin}{self.address_class} {self.address} by {self.gateway}"


class Choice(Struct, frozen=True):
    uplink: Ranked | None
    ranking: tuple[Ranked, ...]


def classify(address: IPv4Address | IPv6Address) -> AddressClass | None:
    """The class of an address; None for one that can be no node's address."""
    if isinstance(address, IPv6Address):
        if address in ULA:
            return AddressClass.ULA
        return AddressClass.GLOBAL6 if address in GLOBAL6 else None
    if any(address in network for network in UNUSABLE4):
        return None
    if any(address in network for network in PRIVATE4):
        return AddressClass.PRIVATE4
    return AddressClass.SHARED4 if address in SHARED4 else AddressClass.PUBLIC4


def choose(candidates: Iterable[Candidate], *, pin: str | None = None) -> Choice:
    """Rank every NIC. `pin` goes first when it is usable and changes nothing when it is not."""
    ranked = sorted((_rank(c, pin) for c in candidates), key=_order)
    if not ranked or ranked[0].address_class is None:
        return Choice(None, tuple(ranked))
    best = ranked[0]
    told = (_with_reason(best, _why_best(best, ranked[1:])), *(_told(best, r) for r in ranked[1:]))
    return Choice(told[0], told)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts eth2 before eth10."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", name)
        if part
    )


def _rank(candidate: Candidate, pin: str | None) -> Ranked:
    class4, best6 = candidate.class4, candidate.best6
    pinned = candidate.name == pin
    if class4 is not None and (best6 is None or class4 < best6[0]):
        found: tuple[
            AddressClass | None,
            IPv4Interface | IPv6Interface | None,
            IPv4Address | IPv6Address | None,
        ] = (class4, candidate.address4, candidate.gateway4)
    elif best6 is not None:
        found = (best6[0], best6[1], candidate.gateway6)
    else:
        return Ranked(candidate.name, None, None, None, pinned, 0, why_unusable(candidate))
    static = found[1] in candidate.static
    return Ranked(candidate.name, *found, pinned, candidate.families, "", static)


def _order(ranked: Ranked) -> tuple[bool, bool, int, int, int, tuple[tuple[int, int, str], ...]]:
    usable = ranked.address_class is not None
    return (
        not usable,
        not (usable and ranked.pinned),
        -1 if ranked.address_class is None else ranked.address_class,
        -ranked.families,
        0 if ranked.address is None else int(ranked.address.ip),
        natural(ranked.name),
    )


def why_unusable(candidate: Candidate) -> str:
    """One line for people: what this NIC lacks."""
    if candidate.barred:
        return candidate.barred
    if not candidate.carrier:
        return "no carrier"
    return f"{_lack4(candidate)}; {_lack6(candidate)}"


def _lack4(candidate: Candidate) -> str:
    if candidate.address4 is None:
        return candidate.quiet4
    if candidate.gateway4 is None:
        return f"lease {candidate.address4} without a gateway"
    return f"{candidate.address4.ip} is no address for a node"


def _lack6(candidate: Candidate) -> str:
    if candidate.gateway6 is None:
        return "addresses without an IPv6 router" if candidate.addresses6 else candidate.quiet6
    return "a router advertisement without a usable prefix"


def _why_best(best: Ranked, others: Sequence[Ranked]) -> str:
    if best.pinned:
        return f"pinned by config; {best.found}"
    usable = [o for o in others if o.address_class is not None]
    return f"{best.found}, {'the best of ' + str(len(usable) + 1) if usable else 'the only one usable'}"


def _told(best: Ranked, other: Ranked) -> Ranked:
    """`other` with the reason why `best` goes before it."""
    if other.address_class is None:
        return other
    return _with_reason(other, f"{other.found}: {_why_behind(best, other)}")


def _why_behind(best: Ranked, other: Ranked) -> str:
    if best.pinned:
        return f"{best.name} is pinned"
    if other.address_class != best.address_class:
        return f"{best.name} has {best.address_class}"
    if other.families != best.families:
        return f"{best.name} has both families"
    if other.address != best.address:
        return f"{best.name} has the lower address"
    return f"{best.name} comes first by name"


def _with_reason(ranked: Ranked, reason: str) -> Ranked:
    return replace(ranked, reason=reason)

"""The cable by which ndmz shares the host's IPv4: its two ends and their addresses. Pure.

    pair = choose_pair(taken, held)       # None: the host uses all that may be chosen

The addresses are seen by nobody else: the host translates them before a packet leaves. Each place
to choose from is one that the guard closes anyway, so that no workload misses it, and that no LAN
gives out: the continuity prefix of RFC 7335 behind those that clatd and DS-Lite take; the part of
169.254/16 that no host may pick by itself (RFC 3927, 2.1); the end of the benchmark range.
"""

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network

from msgspec import Struct

from agent.ndmz.guard import SHARED4
from netns.values import IPInterface, IPNetwork

NEAR, FAR = SHARED4, "ndzs4"  # in ndmz, and on the host
METRIC = 1000  # of ndmz's default route by the host: behind that of a lease of its own
PLACES = tuple(
    IPv4Network(text) for text in ("192.0.0.6/31", "169.254.255.252/31", "198.19.255.252/31")
)


class Pair(Struct, frozen=True):
    network: IPv4Network

    @property
    def host(self) -> IPv4Interface:
        return IPv4Interface((self.network[0], self.network.prefixlen))

    @property
    def ndmz(self) -> IPv4Interface:
        return IPv4Interface((self.network[1], self.network.prefixlen))


def choose_pair(taken: Iterable[IPNetwork], held: Iterable[IPInterface]) -> Pair | None:
    """`held`: what the host's end has now, which is kept; `taken`: the host's other prefixes and
    routes, but the default one.
    """
    kept = {interface.network for interface in held}
    others = [net for net in taken if isinstance(net, IPv4Network)]
    for place in PLACES:
        if place in kept:
            return Pair(place)
    free = (place for place in PLACES if not any(place.overlaps(other) for other in others))
    return next(map(Pair, free), None)

"""Where others can reach this node, and what it can send to. Pure.

    surroundings = observe(addresses, routes, link)
    surroundings.endpoints(51820)      # texts for the controller

An endpoint is an address out of which the Internet answers: public IPv4 or global IPv6 on the
uplink. A node behind NAT has none and is hidden; it speaks first. A family can be sent to when
it has a default route and an address that goes with it.
"""

from collections.abc import Iterable

from msgspec import Struct

from agent.boot.uplink import AddressClass, classify
from agent.enrol.actions import Presence
from netns.values import Address, IPAddress, IPNetwork, Link, Route, Scope
from protocol.packing import format_endpoint

MAX_ENDPOINTS = 8
PORT_FIRST, PORT_COUNT = 51820, 1024  # no masquerade of ours maps to these


class Surroundings(Struct, frozen=True):
    public: tuple[IPAddress, ...] = ()
    families: frozenset[int] = frozenset()
    on_link: tuple[IPNetwork, ...] = ()
    mtu: int = 1500
    addresses: frozenset[IPAddress] = frozenset()
    space: str = ""  # the namespace in which WireGuard's sockets belong

    def presence(self, wireguard: bytes, port: int) -> Presence:
        """What we tell a controller we offer to a network."""
        texts = (format_endpoint(address, port) for address in self.public)
        return Presence(wireguard, tuple(texts), tuple(sorted(self.families)), port)


def observe(
    addresses: Iterable[Address], routes: Iterable[Route], *links: Link, space: str = ""
) -> Surroundings:
    """What `links`, which are in `space`, give us; without any, nothing."""
    if not links:
        return Surroundings()
    indexes = {link.index for link in links}
    usable = [
        address
        for address in addresses
        if address.link in indexes
        and address.scope == Scope.UNIVERSE
        and address.usable
        and not address.deprecated
    ]
    classes = {address.interface.ip: classify(address.interface.ip) for address in usable}
    open_to = (AddressClass.PUBLIC4, AddressClass.GLOBAL6)
    public = sorted(
        (ip for ip, found in classes.items() if found in open_to),
        key=lambda ip: (ip.version, ip.packed),
    )
    routed = {r.family for r in routes if r.destination is None and r.link in indexes}
    sources = {
        4: any(ip.version == 4 for ip in classes),
        6: AddressClass.GLOBAL6 in classes.values(),
    }
    return Surroundings(
        public=tuple(public[:MAX_ENDPOINTS]),
        families=frozenset(family for family in (4, 6) if family in routed and sources[family]),
        on_link=tuple(sorted({a.interface.network for a in usable}, key=str)),
        addresses=frozenset(classes),
        mtu=min(link.mtu for link in links),
        space=space,
    )

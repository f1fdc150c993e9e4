"""`static` of agent.yaml: the addresses of one NIC, and of ndmz beside it. Pure.

    static:
      eth0:
        addresses: [198.51.100.130/28, "2001:db8:a:1::130/64"]
        gateways: [198.51.100.129, "2001:db8:a:1::1"]
        dns: [203.0.113.53]
        ndmz: [198.51.100.131/28]

Nobody is asked by DHCP for such a NIC. Router advertisements are heard as on any other: what they
give comes beside what stands here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_interface
from typing import TypeVar

import msgspec
from msgspec import Struct

from netns.values import IPAddress, IPInterface, Link

# Behind ndmz (agent.ndmz.plan): a node outside with one of these could not be told from a workload.
INSIDE = IPv4Network("100.127.0.0/16")
T = TypeVar("T")


class Fixed(Struct, frozen=True):
    """What one link is to have."""

    addresses: tuple[IPInterface, ...]
    gateways: tuple[IPAddress, ...]  # one a family at most
    servers: tuple[IPAddress, ...] = ()

    def gateway(self, version: int) -> IPAddress | None:
        return next((g for g in self.gateways if g.version == version), None)

    def address(self, version: int) -> IPInterface | None:
        """The first of a family."""
        return next((a for a in self.addresses if a.version == version), None)


class StaticNic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A NIC whose addresses stand here."""

    # With the length of their prefix, of one family or both; the first of a family is the node's.
    addresses: tuple[str, ...]
    # The way out, one for each family at most.
    gateways: tuple[str, ...]
    # Servers for the node and, those that are not on the LAN, for the workloads.
    dns: tuple[str, ...] = ()
    # Of ndmz when this NIC is the uplink; for a family that is missing, ndmz asks as ever.
    ndmz: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        own = _parsed("addresses", self.addresses, _interface)
        gateways = _parsed("gateways", self.gateways, ip_address)
        _parsed("dns", self.dns, ip_address)
        behind = _parsed("ndmz", self.ndmz, _interface)
        _need(own, "addresses must name at least one")
        _need(gateways, "gateways must name at least one: without a way out it is no uplink")
        for gateway in gateways:
            _check_gateway(gateway, own)
        _need(
            len({g.version for g in gateways}) == len(gateways),
            "gateways: one for each family is enough",
        )
        for interface in behind:
            _need(
                any(interface.network == o.network for o in own),
                f"ndmz: {interface} is in no network of addresses",
            )
        everybody = [i.ip for i in (*own, *behind)] + list(gateways)
        for address in everybody:
            _need(everybody.count(address) == 1, f"{address} stands there twice")

    @property
    def uplink(self) -> Fixed:
        """For `zos`, while this NIC is its port."""
        return Fixed(_all(self.addresses, ip_interface), self._gateways, self.servers)

    def behind(self, version: int) -> Fixed | None:
        """For ndmz's end of a family; None: it has to ask."""
        own = tuple(a for a in _all(self.ndmz, ip_interface) if a.version == version)
        gateways = tuple(g for g in self._gateways if g.version == version)
        return Fixed(own, gateways, self.servers) if own else None

    @property
    def servers(self) -> tuple[IPAddress, ...]:
        return _all(self.dns, ip_address)

    @property
    def _gateways(self) -> tuple[IPAddress, ...]:
        return _all(self.gateways, ip_address)


Static = Mapping[str, StaticNic]  # by the NIC's name


def check_static(static: Static) -> None:
    """What can only be wrong between several. Raises ValueError."""
    taken: dict[IPAddress, str] = {}
    for name, nic in static.items():
        for interface in _all((*nic.addresses, *nic.ndmz), ip_interface):
            before = taken.setdefault(interface.ip, name)
            _need(before == name, f"static: {interface.ip} is both {before}'s and {name}'s")


def static_port(links: Iterable[Link], name: str, static: Static) -> StaticNic | None:
    """What stands here of link `name` or, when it is a bridge, of its port."""
    known = {link.name: link for link in links}
    bridge = known.get(name)
    ports = [p.name for p in known.values() if bridge is not None and p.master == bridge.index]
    return next((static[n] for n in (name, *sorted(ports)) if n in static), None)


def _need(condition: object, said: str) -> None:
    if not condition:
        raise ValueError(said)


def _parsed(key: str, texts: Sequence[str], parse: Callable[[str], T]) -> tuple[T, ...]:
    try:
        return tuple(parse(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _all(texts: Iterable[str], parse: Callable[[str], T]) -> tuple[T, ...]:
    return tuple(parse(text) for text in texts)


def _interface(text: str) -> IPInterface:
    """An address that a host may have, with its length."""
    _need("/" in text, f"{text!r} has no length, such as /24 or /64")
    interface = ip_interface(text)
    ip, network = interface.ip, interface.network
    _need(
        not (ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local),
        f"{text} is no address for a node",
    )
    ends = network.num_addresses > 2
    _need(not (ends and ip == network[0]), f"{text} is the network itself")
    _need(not (ends and ip.version == 4 and ip == network[-1]), f"{text} is the broadcast address")
    _need(ip.version == 6 or ip not in INSIDE, f"{text} is in {INSIDE}, which is behind ndmz")
    return interface


def _check_gateway(gateway: IPAddress, own: Iterable[IPInterface]) -> None:
    same = [o for o in own if o.version == gateway.version]
    _need(same, f"gateways: {gateway} has no address of its family beside it")
    local = isinstance(gateway, IPv6Address) and gateway.is_link_local
    on_link = any(gateway in o.network for o in same)
    _need(local or on_link, f"gateways: {gateway} is in no network of addresses")

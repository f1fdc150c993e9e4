"""From what the kernel, the config and the controller say to what the guard lets through. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from msgspec import Struct

from agent.ndmz.guard import SHARED4, UPLINK4, UPLINK6, is_internet
from netns.values import Address, IPAddress, IPNetwork, Link, Route, Scope

# Quad9 and Cloudflare, one of each family: used when neither the config nor the site names a
# server that a workload can reach.
PUBLIC_DNS: tuple[IPAddress, ...] = (
    IPv4Address("9.9.9.9"),
    IPv4Address("1.1.1.1"),
    IPv6Address("2620:fe::fe"),
    IPv6Address("2606:4700:4700::1111"),
)
MAX_SITES = 8
MAX_GATEWAYS = 32
MAX_SERVERS = 3  # more are ignored (resolv.conf(5), MAXNS)


class Facts(Struct, frozen=True):
    """The uplinks of ndmz as they are."""

    gateways: frozenset[IPAddress] = frozenset()
    own: frozenset[IPNetwork] = frozenset()
    usable4: tuple[IPv4Address, ...] = ()
    usable6: tuple[IPv6Address, ...] = ()
    # By a lease of its own, whatever is shared beside it.
    own4: bool = False
    # Where it shares the host's IPv4: the next hop to the host, and the host's addresses.
    relays: frozenset[IPAddress] = frozenset()
    lent: tuple[IPv4Address, ...] = ()

    @property
    def ready4(self) -> bool:
        """An address that may be a source, and a way out."""
        ways = any(isinstance(g, IPv4Address) for g in self.gateways)
        return ways and bool(self.usable4 or self.lent)

    @property
    def ready6(self) -> bool:
        return bool(self.usable6) and any(isinstance(g, IPv6Address) for g in self.gateways)


class HostIPv4(Struct, frozen=True):
    """What `zos` has that ndmz may share."""

    mac: str = ""
    addresses: tuple[IPv4Address, ...] = ()
    gateways: frozenset[IPv4Address] = frozenset()
    elsewhere: bool = False  # the host's best default route leaves by another link

    @property
    def usable(self) -> bool:
        return bool(self.addresses and self.gateways)


def read_host(zos: Link | None, addresses: Iterable[Address], routes: Iterable[Route]) -> HostIPv4:
    """`addresses` of zos; `routes` of the host: a packet that ndmz sends it goes by the best."""
    if zos is None:
        return HostIPv4()
    defaults = [r for r in routes if r.destination is None and r.family == 4]
    best = min((route.metric for route in defaults), default=0)
    by_zos = [r for r in defaults if r.link == zos.index and r.metric == best]
    usable = (a.interface.ip for a in addresses if a.usable and a.scope < Scope.LINK)
    return HostIPv4(
        mac=zos.mac,
        addresses=tuple(sorted(ip for ip in usable if isinstance(ip, IPv4Address))),
        gateways=frozenset(r.via for r in by_zos if isinstance(r.via, IPv4Address)),
        elsewhere=bool(defaults) and not by_zos,
    )


def read_facts(
    links: Sequence[Link],
    addresses: Iterable[Address],
    routes: Iterable[Route],
    *,
    host_addresses: Iterable[Address] = (),
    host: HostIPv4 | None = None,
) -> Facts:
    """`host_addresses` are those of zos: its prefixes are the same LAN, also when ndmz has none.
    `host`: what is behind SHARED4, where that is; its gateways are the ones that nobody may reach.

    An address that is still tentative, or failed duplicate detection, closes its prefix as well:
    it says what the LAN is.
    """
    names = (UPLINK4, UPLINK6, SHARED4)
    uplinks = {link.index: link.name for link in links if link.name in names}
    held = [address for address in addresses if address.link in uplinks]
    hops = {
        (uplinks[route.link], route.via)
        for route in routes
        if route.destination is None and route.link in uplinks and route.via is not None
    }
    relays = frozenset(via for name, via in hops if name == SHARED4)
    via = {via for name, via in hops if name != SHARED4}
    if host is not None and relays:
        via |= host.gateways
    # Somebody on the LAN may advertise thousands; through those that are left out nothing leaves.
    gateways = frozenset(sorted(via, key=lambda a: (a.version, a.packed))[:MAX_GATEWAYS])
    own = frozenset(a.interface.network for a in [*held, *host_addresses] if a.scope < Scope.LINK)
    usable = [(uplinks[a.link], a.interface.ip) for a in held if a.usable and a.scope < Scope.LINK]
    usable4 = sorted(ip for name, ip in usable if isinstance(ip, IPv4Address) and name != SHARED4)
    shares = host is not None and relays and any(name == SHARED4 for name, _ in usable)
    return Facts(
        gateways=gateways,
        own=own,
        usable4=tuple(usable4),
        usable6=tuple(sorted(ip for _, ip in usable if isinstance(ip, IPv6Address))),
        own4=bool(usable4) and any(name == UPLINK4 for name, _ in hops),
        relays=relays,
        lent=host.addresses if host is not None and shares else (),
    )


def choose_dns(
    configured: Sequence[IPAddress],
    offered: Iterable[IPAddress],
    facts: Facts,
    *,
    gateway: bool = False,
) -> tuple[IPAddress, ...]:
    """What stands in a workload's resolv.conf.

    `configured` servers if there are any; with `gateway` the current gateways; else those that
    the site offers and the guard lets through, or public ones when none is left. Servers of a
    family that ndmz has not got come last: a resolver waits seconds for each.
    """
    servers: Iterable[IPAddress]
    if configured:
        return tuple(configured)[:MAX_SERVERS]
    if gateway:
        servers = sorted((g for g in facts.gateways if not g.is_link_local), key=str)
    else:
        servers = [s for s in offered if is_reachable(s, facts)] or PUBLIC_DNS
    ready = {4: facts.ready4, 6: facts.ready6}
    in_order = sorted(dict.fromkeys(servers), key=lambda server: not ready[server.version])
    return tuple(in_order)[:MAX_SERVERS]


def is_reachable(address: IPAddress, facts: Facts) -> bool:
    """Whether the guard lets a workload ask `address`."""
    return (
        is_internet(address)
        and address not in facts.gateways
        and not any(address in net for net in facts.own if net.version == address.version)
    )


def add_site(known: Sequence[IPAddress], text: str) -> tuple[IPAddress, ...]:
    """The site's outside addresses with one more, as a controller said it; the newest few.

    What is no address is left out, and so is a scope (`fe80::1%…`): Python takes any text for one,
    and addresses become part of the guard's text.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return tuple(known)
    return (*(a for a in known if a != address), address)[-MAX_SITES:]


def render_resolv_conf(servers: Iterable[IPAddress]) -> str:
    """The text of /etc/netns/<namespace>/resolv.conf."""
    lines = ["# written by zosnet: ndmz closes the home router's own resolver"]
    lines += [f"nameserver {server}" for server in servers]
    return "\n".join([*lines, "options timeout:2 attempts:2"]) + "\n"


def lacking(facts: Facts, ready4: bool, ready6: bool, *, shared: bool = False) -> list[str]:
    """The families that are not there, and why."""
    lacks = []
    if not ready4 and shared:
        lacks.append("no IPv4: the host, which shares its own, has none on zos")
    elif not ready4:
        lacks.append("no IPv4: no lease" if not facts.usable4 else "no IPv4 gateway")
    if not ready6:
        why = "no router advertisement with a prefix"
        lacks.append(f"no IPv6: {why}" if not facts.usable6 else "no IPv6 gateway")
    return lacks

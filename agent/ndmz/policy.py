"""From what the kernel, the config and the controller say to what the guard lets through. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from agent.ndmz.guard import UPLINK4, UPLINK6, is_internet
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


@dataclass(frozen=True, slots=True)
class Facts:
    """The uplinks of ndmz as they are."""

    gateways: frozenset[IPAddress] = frozenset()
    own: frozenset[IPNetwork] = frozenset()
    usable4: tuple[IPv4Address, ...] = ()
    usable6: tuple[IPv6Address, ...] = ()

    @property
    def ready4(self) -> bool:
        """An address that may be a source, and a way out."""
        return bool(self.usable4) and any(isinstance(g, IPv4Address) for g in self.gateways)

    @property
    def ready6(self) -> bool:
        return bool(self.usable6) and any(isinstance(g, IPv6Address) for g in self.gateways)


def read_facts(
    links: Sequence[Link],
    addresses: Iterable[Address],
    routes: Iterable[Route],
    *,
    host_addresses: Iterable[Address] = (),
) -> Facts:
    """`host_addresses` are those of zos: its prefixes are the same LAN, also when ndmz has none.

    An address that is still tentative, or failed duplicate detection, closes its prefix as well:
    it says what the LAN is.
    """
    uplinks = {link.index: link.name for link in links if link.name in (UPLINK4, UPLINK6)}
    held = [address for address in addresses if address.link in uplinks]
    via = {
        route.via
        for route in routes
        if route.destination is None and route.link in uplinks and route.via is not None
    }
    # Somebody on the LAN may advertise thousands; through those that are left out nothing leaves.
    gateways = frozenset(sorted(via, key=lambda a: (a.version, a.packed))[:MAX_GATEWAYS])
    own = frozenset(a.interface.network for a in [*held, *host_addresses] if a.scope < Scope.LINK)
    usable = [a.interface.ip for a in held if a.usable and a.scope < Scope.LINK]
    return Facts(
        gateways=gateways,
        own=own,
        usable4=tuple(sorted(ip for ip in usable if isinstance(ip, IPv4Address))),
        usable6=tuple(sorted(ip for ip in usable if isinstance(ip, IPv6Address))),
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

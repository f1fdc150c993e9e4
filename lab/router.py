"""A site's router: addresses, forwarding, NAT, firewall, and a real dnsmasq for DHCPv4, RA and DNS.

    site = Site("b", 2, Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")))
    r = router(world, inet, site)      # its LAN is the switch "lan-b"; plug nodes into it

`router_script` and `serve_lan` are the same in two steps, for a farm that sets many up at once.
"""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from msgspec import Struct

from lab.host import Process, wait_until
from lab.node import Node
from lab.wiring import Nic
from lab.world import World

DOCUMENTATION4 = IPv4Network("198.51.100.0/25")  # the cables between routers and the Internet
RESOLVER4 = IPv4Address("203.0.113.53")
LINK_LOCAL = "fe80::1"  # of each router on its LAN; none at all would mean no neighbour discovery


class Lan(Struct, frozen=True):
    """A LAN as its router sees it: its own addresses there, and what it tells the others."""

    interface4: IPv4Interface | None = None
    interface6: IPv6Interface | None = None
    dhcp: bool = True
    gateway: bool = True  # False: a lease without option 3, no RA lifetime, no DNS
    lease: str = "1h"
    leases: int | None = None  # how many clients get one, the rest are not answered; None: plenty
    check_address: bool = False  # dnsmasq pings each address before it offers it: 3 s
    authoritative: bool = True
    dns: IPv4Address | None = None  # None: the router itself
    advertise: bool = True  # send RAs
    ra_interval: int = 10  # seconds
    ra_lifetime: int = 60


class Site(Struct, frozen=True):
    """A LAN behind a router that is cable number `number` of the pretend Internet."""

    name: str
    number: int
    lan: Lan
    nat44: bool = True  # masquerade, and drop what comes in unasked
    firewall6: bool = False  # drop IPv6 that comes in unasked

    @property
    def switch(self) -> str:
        return f"lan-{self.name}"

    @property
    def router(self) -> str:
        return f"r-{self.name}"

    @property
    def cable(self) -> str:
        return f"wan-{self.name}"

    @property
    def ends4(self) -> tuple[IPv4Interface, IPv4Interface]:
        """The addresses on the cable: the Internet's and the router's."""
        base = DOCUMENTATION4.network_address + 4 * self.number
        return IPv4Interface((base + 1, 30)), IPv4Interface((base + 2, 30))

    @property
    def ends6(self) -> tuple[IPv6Interface, IPv6Interface]:
        cable = f"2001:db8:0:{self.number:x}::"
        return IPv6Interface(f"{cable}1/64"), IPv6Interface(f"{cable}2/64")

    @property
    def routed(self) -> list[IPv4Network | IPv6Network]:
        """What the Internet routes to this site."""
        networks: list[IPv4Network | IPv6Network] = []
        if self.lan.interface4 and not self.nat44:
            networks.append(self.lan.interface4.network)
        if self.lan.interface6:
            networks.append(self.lan.interface6.network.supernet(new_prefix=48))
        return networks


def router(world: World, inet: Node, site: Site) -> Node:
    """Make the router of one site and connect it; ready to serve when this returns."""
    node = world.node(site.router, disk=False)
    world.plug(*router_nics(site), internet_nic(site, inet.name))
    inet.script(internet_end_script(site))
    node.script(router_script(site))
    serve_lan(node, site.lan)
    await_dnsmasq(node)
    return node


def lone_server(world: World, name: str, switch: str, lan: Lan) -> Node:
    """A DHCP (and RA) server on a LAN that leads nowhere."""
    node = world.node(name, disk=False)
    world.plug(Nic(name, "lan0", switch))
    node.script(lan_script(lan))
    serve_lan(node, lan)
    await_dnsmasq(node)
    return node


def router_nics(site: Site) -> list[Nic]:
    return [Nic(site.router, "lan0", site.switch), Nic(site.router, "wan0", site.cable)]


def internet_nic(site: Site, inet: str) -> Nic:
    return Nic(inet, site.cable, site.cable)


# -- scripts


def internet_end_script(site: Site) -> str:
    """Run on the Internet: its end of the cable, and the routes to the site."""
    near4, far4 = site.ends4
    near6, far6 = site.ends6
    lines = [
        f"link set {site.cable} addrgenmode none up",
        f"addr add {LINK_LOCAL}/64 dev {site.cable} nodad",
        f"addr add {near4} dev {site.cable}",
        f"addr add {near6} dev {site.cable} nodad",
    ]
    for network in site.routed:
        via = far4.ip if network.version == 4 else far6.ip
        lines.append(f"route add {network} via {via}")
    return ip_script(lines)


def router_script(site: Site) -> str:
    """Run on the router: addresses, forwarding, NAT and firewall."""
    near4, far4 = site.ends4
    near6, far6 = site.ends6
    lines = ["link set wan0 addrgenmode none up", f"addr add {far4} dev wan0"]
    lines.append(f"route add default via {near4.ip}")
    if site.lan.interface6:
        lines.append("addr add fe80::2/64 dev wan0 nodad")
        lines += [f"addr add {far6} dev wan0 nodad", f"route add default via {near6.ip}"]
    return FORWARDING + lan_script(site.lan) + ip_script(lines) + nft_script(site)


def lan_script(lan: Lan) -> str:
    lines = ["link set lan0 addrgenmode none up"]
    if lan.interface4:
        lines.append(f"addr add {lan.interface4} dev lan0")
    if lan.interface6:
        lines.append(f"addr add {LINK_LOCAL}/64 dev lan0 nodad")
        lines.append(f"addr add {lan.interface6} dev lan0 nodad")
    return ip_script(lines)


FORWARDING = """
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
"""


def ip_script(lines: list[str]) -> str:
    return "ip -batch - <<'END'\n" + "\n".join(lines) + "\nEND\n"


_ONLY_ANSWERS = """
    chain forward {
        type filter hook forward priority 0; policy accept;
        ct state established,related accept
        iifname "wan0" drop
    }
"""
_MASQUERADE = """
    chain postrouting {
        type nat hook postrouting priority 100; policy accept;
        oifname "wan0" masquerade
    }
"""


def nft_script(site: Site) -> str:
    tables = ""
    if site.nat44:
        tables += f"table ip site {{{_MASQUERADE}{_ONLY_ANSWERS}}}\n"
    if site.firewall6:
        tables += f"table ip6 site {{{_ONLY_ANSWERS}}}\n"
    return f"nft -f - <<'END'\n{tables}END\n" if tables else ""


# -- dnsmasq


def serve_lan(node: Node, lan: Lan) -> Process:
    """Start dnsmasq on `lan0`; its log is `node.log("dnsmasq")`, its leases LEASES."""
    return node.spawn("dnsmasq", *dnsmasq_options(lan), log=node.log("dnsmasq"))


LEASES = "/run/dnsmasq.leases"
STARTED, ENDED = "started, version", "exiting on receipt of SIGTERM"
DNSMASQ = (
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--no-hosts",
    "--no-resolv",
    "--user=root",
    "--group=root",
    "--pid-file=",
    "--bind-interfaces",
    "--log-facility=-",
)


def dnsmasq_options(lan: Lan) -> list[str]:
    options = [
        *DNSMASQ,
        "--interface=lan0",
        "--except-interface=lo",
        f"--dhcp-leasefile={LEASES}",
        "--log-dhcp",
        f"--server={RESOLVER4}",
    ]
    if not lan.check_address:
        options.append("--no-ping")
    if lan.authoritative:
        options.append("--dhcp-authoritative")
    if lan.interface4 and lan.dhcp:
        options += dhcp_options(lan.interface4, lan)
    if lan.interface6 and lan.advertise:
        lifetime = lan.ra_lifetime if lan.gateway else 0
        prefix = lan.interface6.network.network_address
        options += [
            "--enable-ra",
            f"--ra-param=lan0,{lan.ra_interval},{lifetime}",
            f"--dhcp-range={prefix},ra-only,64,{lan.lease}",
        ]
    return options


def dhcp_options(own: IPv4Interface, lan: Lan) -> list[str]:
    """All of a small network but its last, which is for fixed addresses; .100 to .199 of a usual."""
    first, last = own.network[1], own.network[-3]
    if own.network.num_addresses >= 256:
        first, last = own.network[100], own.network[199]
    elif own.ip == first:
        first += 1
    if lan.leases == 0:
        options = [f"--dhcp-range={first},static,{own.netmask},{lan.lease}"]
    else:
        last = last if lan.leases is None else first + lan.leases - 1
        options = [f"--dhcp-range={first},{last},{own.netmask},{lan.lease}"]
    if not lan.gateway:
        options += ["--dhcp-option=3", "--dhcp-option=6"]
    elif lan.dns:
        options.append(f"--dhcp-option=6,{lan.dns}")
    return options


def await_dnsmasq(node: Node) -> None:
    """Its sockets are open once it has said so, and not only the one before it."""
    log = node.log("dnsmasq")
    wait_until(f"dnsmasq on {node.name}", lambda: STARTED in log.read_text().rpartition(ENDED)[2])


def end_lan(node: Node) -> None:
    """Stop serving; the next one finds the ports free."""
    node.script("pkill dnsmasq; while pgrep dnsmasq >/dev/null; do sleep 0.01; done")

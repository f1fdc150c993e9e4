"""The networks that a node may find itself in, each as a small farm, with what it promises there.

    layout = LAYOUTS["cgnat"]
    farm = build_farm(world, layout.plan)
    report = show_layout(farm, layout, progress)     # lab.show

On the site of each is n2 (with n3 where two share it), and somebody else's machine; beside it is
the farm's n1, public in both families. What stands here is data, after the Zos text: home networks
and racks, what a provider gives and withholds, and what comes late. No two sites have a name, a
cable or a public prefix in common, so that they can also stand side by side.
"""

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from lab.farm import FARM, SITE_A, NeighbourPlan, NodePlan, Plan
from lab.router import RESOLVER4, Lan, Site

Late = Literal["", "server", "cable"]


class Layout(Struct, frozen=True):
    """`uplink`, `address_class` and `families` hold for every node of the site once it is up, and
    `carrier`: the NIC of ndmz alone, if it has one.
    """

    name: str
    shows: str
    plan: Plan
    address_class: str
    families: tuple[int, ...]  # in which workloads reach the Internet
    uplink: str = "eth0"
    carrier: str = ""
    late: Late = ""  # what is missing at first, and comes after the node has said so
    waits: str = ""  # what stands in the node's words when a round has ended without an uplink
    comes_up: bool = True  # else it waits for ever

    @property
    def site(self) -> Site:
        """Where ndmz is."""
        return self.plan.sites[-1]

    @property
    def sites(self) -> tuple[Site, ...]:
        """All that its nodes have a cable to."""
        return tuple(site for site in self.plan.sites if site != SITE_A)

    @property
    def neighbours(self) -> tuple[NeighbourPlan, ...]:
        """Everybody's there."""
        names = {site.name for site in self.sites}
        return tuple(n for n in self.plan.neighbours if n.site in names)

    @property
    def nodes(self) -> list[str]:
        """Those on the site."""
        return [n.name for n in self.plan.nodes if self.site.switch in n.cards.values()]


def on_site(
    site: Site,
    *names: str,
    cards: Mapping[str, str | None] | None = None,
    config: str = "",
    late: bool = False,
    alone: bool = False,
) -> Plan:
    """On `site` these nodes and a neighbour, and n1 on the farm's public site unless they are `alone`."""
    cards = {"eth0": site.switch} if cards is None else cards
    nodes = [NodePlan(name, site.name, cards, config) for name in names or ("n2",)]
    own = Plan(
        sites=(site,),
        nodes=tuple(nodes),
        neighbours=(neighbour(site),),
        late=frozenset({site.switch} if late else ()),
    )
    if alone:
        return own
    return replace(
        own,
        sites=(SITE_A, site),
        nodes=(FARM.nodes[0], *nodes),
        neighbours=(FARM.neighbours[0], *own.neighbours),
    )


def with_oob(plan: Plan, oob: Site) -> Plan:
    """And out of band a LAN of their own."""
    return replace(
        plan,
        sites=(*plan.sites[:-1], oob, plan.sites[-1]),
        neighbours=(*plan.neighbours[:-1], neighbour(oob), plan.neighbours[-1]),
    )


def neighbour(site: Site) -> NeighbourPlan:
    """Out of the range that the server gives from."""
    addresses: list[IPv4Interface | IPv6Interface] = []
    if four := site.lan.interface4:
        number = 50 if four.network.num_addresses >= 256 else -2
        addresses.append(IPv4Interface(f"{four.network[number]}/{four.network.prefixlen}"))
    if six := site.lan.interface6:
        addresses.append(IPv6Interface(f"{six.network[0x50]}/64"))
    return NeighbourPlan(f"nb-{site.name}", site.name, tuple(addresses))


STATIC = """\
static:
  eth0:
    addresses: [198.51.100.198/28, "2001:db8:b5:1::150/64"]
    gateways: [198.51.100.193, "2001:db8:b5:1::1"]
    dns: [203.0.113.53]
    ndmz: [198.51.100.199/28, "2001:db8:b5:1::151/64"]
"""


def public4(number: int) -> IPv4Interface:
    """The router's address; a /28 behind the farm's own, for a number of 2 to 7."""
    return IPv4Interface(f"198.51.100.{113 + 16 * number}/28")


def global6(number: int) -> IPv6Interface:
    return IPv6Interface(f"2001:db8:b{number:x}:1::1/64")


def home(name: str, number: int, *, ipv6: bool = False, firewall6: bool = False) -> Site:
    lan = Lan(IPv4Interface("192.168.7.1/24"), global6(number) if ipv6 else None)
    return Site(name, number, lan, firewall6=firewall6)


def rack(
    name: str, number: int, *, ipv4: bool = True, ipv6: bool = True, serves: bool = True
) -> Site:
    """Public addresses, no NAT; without `serves` neither DHCP nor RA."""
    lan = Lan(
        public4(number) if ipv4 else None,
        global6(number) if ipv6 else None,
        dns=RESOLVER4,
        dhcp=serves,
        advertise=serves,
    )
    return Site(name, number, lan, nat44=False)


def eight(switch: str) -> dict[str, str | None]:
    return {f"eth{n}": switch if n == 5 else None for n in range(8)}


PRIVATE, SHARED, PUBLIC = "RFC1918 IPv4", "100.64/10 IPv4", "public IPv4"
IPV6 = "global IPv6"
CGN = Site("cgn", 9, Lan(IPv4Interface("100.64.7.1/24")))
HOTEL = Site("hotel", 13, Lan(IPv4Interface("10.77.0.1/24"), gateway=False))
ROW = home("row", 10)
OOB = home("oob", 16)
WORK = Site("work", 15, Lan(public4(6), global6(15), dns=RESOLVER4), nat44=False)
ONE = Site("one", 14, Lan(IPv4Interface("192.168.7.1/24"), leases=1))

_ALL = (
    Layout(
        "public-ipv4",
        "public IPv4 for the node and another one for ndmz, no IPv6",
        on_site(rack("v4", 2, ipv6=False)),
        PUBLIC,
        (4,),
    ),
    Layout(
        "ipv6-only",
        "IPv6 by RA, no IPv4",
        on_site(rack("v6", 3, ipv4=False)),
        IPV6,
        (6,),
    ),
    Layout(
        "dual-stack",
        "public IPv4 and IPv6",
        on_site(rack("dual", 4)),
        PUBLIC,
        (4, 6),
    ),
    Layout(
        "nat44",
        "two nodes behind one IPv4 NAT, no IPv6: n1 relays them",
        on_site(home("nat", 6), "n2", "n3"),
        PRIVATE,
        (4,),
    ),
    Layout(
        "nat44-ra",
        "IPv4 behind NAT, IPv6 by RA that can be reached",
        on_site(home("ra", 7, ipv6=True)),
        PRIVATE,
        (4, 6),
    ),
    Layout(
        "nat44-ra-firewall",
        "the same, and the router lets no IPv6 in",
        on_site(home("wall", 8, ipv6=True, firewall6=True)),
        PRIVATE,
        (4, 6),
    ),
    Layout(
        "cgnat",
        "an address out of 100.64/10, which the provider translates",
        on_site(CGN),
        SHARED,
        (4,),
    ),
    Layout(
        "eight-nics",
        "eight NICs, a cable in the sixth",
        on_site(ROW, cards=eight(ROW.switch)),
        PRIVATE,
        (4,),
        uplink="eth5",
    ),
    Layout(
        "late-dhcp",
        "the DHCP server comes after the node",
        on_site(home("dhcp", 11), late=True),
        PRIVATE,
        (4,),
        late="server",
        waits="eth0: no offer; no router advertisement; next try",
    ),
    Layout(
        "late-lan",
        "the cable comes after the node",
        on_site(home("cable", 12, ipv6=True)),
        PRIVATE,
        (4, 6),
        late="cable",
        waits="eth0: no carrier; next try",
    ),
    Layout(
        "captive",
        "a lease without a gateway: the node waits and says so",
        on_site(HOTEL, alone=True),
        "",
        (),
        waits="without a gateway; no router advertisement; next try",
        comes_up=False,
    ),
    Layout(
        "one-lease",
        "the router gives one lease: ndmz goes through the host",
        on_site(ONE),
        PRIVATE,
        (4,),
    ),
    Layout(
        "static",
        "no DHCP, no RA: the addresses of the node and of ndmz stand in agent.yaml",
        on_site(rack("fixed", 5, serves=False), config=STATIC),
        PUBLIC,
        (4, 6),
    ),
    Layout(
        "oob",
        "two NICs: the node on a private LAN out of band, its workloads on a public one",
        with_oob(on_site(WORK, cards={"eth0": OOB.switch, "eth1": WORK.switch}), OOB),
        PRIVATE,
        (4, 6),
        carrier="eth1",
    ),
)
LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in _ALL}

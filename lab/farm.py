"""The farm: three sites around a pretend Internet, a controller on it, a node at each site.

                    pretend Internet (inet) ─── backbone ─── ctl  203.0.113.10
              ┌────────────────┼────────────────────┐
            r-a              r-b                   r-c
      public IPv4, IPv6   NAT, IPv6               NAT
              │                │                    │
      n1 eth0 ─┤        n2 eth0 ─┤ nb-b             n3 eth0
         nb-a ─┘        n2 eth1 ── quiet, no gateway
                        n2 eth2 ── no cable

    farm = build_farm(world)                    # FARM, or a plan made from it by `replace`
    farm.nodes["n2"].boot(programs=True)

What stands here is data; `build_farm` makes all of it at once, in well under a second.
"""

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface

from msgspec import Struct, field
from msgspec.structs import replace

from lab import internet, router
from lab.host import run_together
from lab.internet import CONTROLLER4, CONTROLLER6
from lab.node import Node
from lab.router import RESOLVER4, Lan, Site
from lab.wiring import Nic
from lab.world import World

CONTROLLER = "ctl"


class NodePlan(Struct, frozen=True):
    """A node, and for each of its cards the switch that its cable goes to (None: no cable)."""

    name: str
    layout: str
    cards: Mapping[str, str | None]
    config: str = ""  # more lines of its agent.yaml


class NeighbourPlan(Struct, frozen=True):
    """Somebody else's machine on a site's LAN, with fixed addresses; it answers on ports 7 and 80."""

    name: str
    site: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]


class Plan(Struct, frozen=True):
    sites: tuple[Site, ...]
    nodes: tuple[NodePlan, ...]
    neighbours: tuple[NeighbourPlan, ...] = ()
    # Switches with nothing but a DHCP server that knows no gateway, and its LAN.
    quiet: Mapping[str, Lan] = field(default_factory=dict)
    # Switches whose server is not started yet: `router.serve_lan` does when it shall come.
    late: frozenset[str] = frozenset()

    def with_lan(self, site: str, **changes: object) -> "Plan":
        """The same, but for the named site's Lan: `FARM.with_lan("b", check_address=True)`."""
        sites = tuple(
            replace(s, lan=replace(s.lan, **changes))  # checked by Lan
            if s.name == site
            else s
            for s in self.sites
        )
        return replace(self, sites=sites)


SITE_A = Site(
    "a",
    1,
    Lan(
        IPv4Interface("198.51.100.129/28"),
        IPv6Interface("2001:db8:a:1::1/64"),
        dns=RESOLVER4,
    ),
    nat44=False,
)
SITE_B = Site(
    "b",
    2,
    Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")),
)
SITE_C = Site("c", 3, Lan(IPv4Interface("192.168.1.1/24")))

FARM = Plan(
    sites=(SITE_A, SITE_B, SITE_C),
    nodes=(
        NodePlan("n1", "public IPv4, routed IPv6", {"eth0": SITE_A.switch}),
        NodePlan(
            "n2",
            "IPv4 behind NAT, routed IPv6; a LAN without gateway; no cable",
            {"eth0": SITE_B.switch, "eth1": "lan-quiet", "eth2": None},
        ),
        NodePlan("n3", "IPv4 behind NAT only", {"eth0": SITE_C.switch}),
    ),
    neighbours=(
        NeighbourPlan(
            "nb-a",
            "a",
            (IPv4Interface("198.51.100.142/28"), IPv6Interface("2001:db8:a:1::50/64")),
        ),
        NeighbourPlan(
            "nb-b",
            "b",
            (IPv4Interface("192.168.7.50/24"), IPv6Interface("2001:db8:b:1::50/64")),
        ),
    ),
    quiet={"lan-quiet": Lan(IPv4Interface("10.77.0.1/24"), gateway=False)},
)

# A lab's cards are veth ends, which no node takes for its uplink unless it is told to.
AGENT_CONFIG = "nics:\n  kinds: [veth]\n"


class Farm(Struct, frozen=True):
    world: World
    plan: Plan
    inet: Node
    controller: Node
    routers: Mapping[str, Node]
    neighbours: Mapping[str, Node]
    nodes: Mapping[str, Node]

    @property
    def machines(self) -> dict[str, Node]:
        """Every machine by its name."""
        site_routers = {node.name: node for node in self.routers.values()}
        return {
            self.inet.name: self.inet,
            self.controller.name: self.controller,
            **site_routers,
            **self.neighbours,
            **self.nodes,
        }


def build_farm(world: World, plan: Plan = FARM) -> Farm:
    """Make it: every server answers, every node has power and its cards, and runs nothing yet."""
    farm = make_machines(world, plan)
    world.plug(*all_cards(plan))
    run_together((node, script, node.log("setup")) for node, script in setup_scripts(farm))
    start_servers(farm)
    for node in plan.nodes:
        farm.nodes[node.name].write("/etc/zosnet/agent.yaml", AGENT_CONFIG + node.config)
    return farm


def make_machines(world: World, plan: Plan) -> Farm:
    kept = [CONTROLLER, *(node.name for node in plan.nodes)]
    others = [internet.NAME, *(site.router for site in plan.sites), *quiet_servers(plan)]
    neighbours = [neighbour.name for neighbour in plan.neighbours]
    bare = dict(zip(others, world.nodes(*others, disk=False), strict=True))
    with_disk = world.nodes(*kept, *neighbours)
    named = {node.name: node for node in with_disk}
    return Farm(
        world=world,
        plan=plan,
        inet=bare.pop(internet.NAME),
        controller=named[CONTROLLER],
        routers=dict(zip(lans(plan), bare.values(), strict=True)),
        neighbours={name: named[name] for name in neighbours},
        nodes={node.name: named[node.name] for node in plan.nodes},
    )


def lans(plan: Plan) -> dict[str, Lan]:
    """Every LAN by its switch."""
    return {site.switch: site.lan for site in plan.sites} | dict(plan.quiet)


def quiet_servers(plan: Plan) -> list[str]:
    return [switch.removeprefix("lan-") for switch in plan.quiet]


def all_cards(plan: Plan) -> list[Nic]:
    by_name = {site.name: site for site in plan.sites}
    cards = [internet.internet_nic(), Nic(CONTROLLER, "eth0", internet.BACKBONE)]
    for site in plan.sites:
        cards += [*router.router_nics(site), router.internet_nic(site, internet.NAME)]
    for name, switch in zip(quiet_servers(plan), plan.quiet, strict=True):
        cards.append(Nic(name, "lan0", switch))
    for neighbour in plan.neighbours:
        cards.append(Nic(neighbour.name, "eth0", by_name[neighbour.site].switch))
    for node in plan.nodes:
        cards += [Nic(node.name, card, switch) for card, switch in node.cards.items()]
    return cards


def setup_scripts(farm: Farm) -> list[tuple[Node, str]]:
    """What each machine runs once: addresses, routes, forwarding, NAT."""
    plan = farm.plan
    ends = "".join(router.internet_end_script(site) for site in plan.sites)
    scripts = [
        (farm.inet, internet.internet_script() + ends),
        (farm.controller, internet.host_script(CONTROLLER4, CONTROLLER6)),
    ]
    scripts += [(farm.routers[s.switch], router.router_script(s)) for s in plan.sites]
    scripts += [(farm.routers[s], router.lan_script(lan)) for s, lan in plan.quiet.items()]
    sites = {site.name: site.lan for site in plan.sites}
    for neighbour in plan.neighbours:
        script = neighbour_script(neighbour, sites[neighbour.site])
        scripts.append((farm.neighbours[neighbour.name], script))
    return scripts


def neighbour_script(neighbour: NeighbourPlan, lan: Lan) -> str:
    lines = ["link set eth0 up"]
    for address in neighbour.addresses:
        nodad = " nodad" if address.version == 6 else ""
        lines.append(f"addr add {address} dev eth0{nodad}")
    if lan.interface4:
        lines.append(f"route add default via {lan.interface4.ip}")
    if lan.interface6:
        lines.append(f"route add default via {router.LINK_LOCAL} dev eth0")
    return router.ip_script(lines)


def start_servers(farm: Farm) -> None:
    """All at once; then wait until each has said that it serves."""
    internet.serve_internet(farm.inet)
    serving = {s: lan for s, lan in lans(farm.plan).items() if s not in farm.plan.late}
    for switch, lan in serving.items():
        router.serve_lan(farm.routers[switch], lan)
    for neighbour in farm.neighbours.values():
        internet.start_answering(neighbour)
    for switch in serving:
        router.await_dnsmasq(farm.routers[switch])
    internet.await_internet(farm.inet)
    for neighbour in farm.neighbours.values():
        internet.await_answering(neighbour)

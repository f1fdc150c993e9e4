"""All layouts side by side in one world, for their tests: each on its own site, with n1 in common.

A layout's nodes are called after its site here: `nat-n2`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from lab import checks
from lab.farm import FARM, SITE_A, NodePlan, Plan
from lab.internet import BEYOND, WEB4, WEB6, await_answering, start_answering
from lab.knock import Answer, Question, knock_all
from lab.layouts import LAYOUTS, Layout
from lab.node import Node
from lab.router import Site
from lab.view import NodeView
from tests.lab.living import Living

WITH_NDMZ = [layout.name for layout in LAYOUTS.values() if layout.comes_up]
WEB = {4: str(WEB4), 6: str(WEB6)}


def moved(layout: Layout) -> Layout:
    """With names that no other layout's nodes have: `nat-n2`."""
    nodes = [node for node in layout.plan.nodes if node.name in layout.nodes]
    named = tuple(replace(n, name=f"{layout.site.name}-{n.name}") for n in nodes)
    return replace(layout, plan=replace(layout.plan, nodes=named))


BESIDE = {name: moved(layout) for name, layout in LAYOUTS.items()}


def side_by_side() -> Plan:
    plans = [layout.plan for layout in BESIDE.values()]
    nodes: list[NodePlan] = [FARM.nodes[0]]
    for plan in plans:
        nodes += plan.nodes
    return Plan(
        sites=(SITE_A, *(site for layout in BESIDE.values() for site in layout.sites)),
        nodes=tuple(nodes),
        neighbours=(FARM.neighbours[0], *(n for x in BESIDE.values() for n in x.neighbours)),
        late=frozenset().union(*(plan.late for plan in plans)),
    )


@dataclass
class Side(Living):
    """What each waiting node said while it waited, and how all of it came out."""

    said: dict[str, str] = field(default_factory=dict)

    def layout(self, name: str) -> Layout:
        return BESIDE[name]

    def view(self, name: str) -> NodeView:
        """Of the first node of a layout."""
        return self.views()[self.first(name)]

    def first(self, name: str) -> str:
        return BESIDE[name].nodes[0]


def seen_by_the_internet(side: Side, name: str) -> dict[str, str]:
    """By target, as whom the web server saw a workload of the layout's first node."""
    layout, view = side.layout(name), side.view(name)
    targets = [f"http{family}/web.example" for family in layout.families]
    question = Question(side.node(view.name), targets, view.namespace)
    return {target: a.detail for target, a in knock_all([question], seconds=5)[0].items()}


def answers_both_ways(side: Side, one: str, other: str) -> bool:
    """Overlay pings in both families."""
    views = {name: view for name, view in side.views().items() if name in (one, other)}
    pairs = checks.ping_matrix(side.farm, views, seconds=5)
    return checks.check_matrix(pairs, views).ok


def uplink(side: Side, name: str) -> tuple[str, str]:
    """The first node's, and why."""
    found = side.view(name).boot.uplink
    assert found is not None
    return found.nic, found.reason


def zos_addresses(side: Side, name: str) -> list[str]:
    shown = side.node(side.first(name)).output(
        "ip", "-o", "addr", "show", "dev", "zos", "scope", "global"
    )
    return [line.split()[3] for line in shown.splitlines()]


def one_begins(side: Side, name: str) -> bool:
    """Both ends can be spoken to: exactly one of them begins, and there is no relay."""
    ways = side.peer(name, "n1"), side.peer("n1", name)
    assert [way["path"] for way in ways] == ["direct", "direct"]
    return bool(ways[0]["initiator"] != ways[1]["initiator"])


@dataclass(frozen=True)
class Isolation:
    near: dict[str, Answer]  # from the workload
    web: dict[str, Answer]  # from there as well, in both families
    allowed: dict[str, Answer]  # what is near, from the node itself or from its ndmz
    inward: dict[str, Answer]  # ndmz's addresses, from each LAN and from the Internet
    control: dict[str, Answer]  # the node's own addresses, from its LAN


def isolations(side: Side) -> dict[str, Isolation]:
    """All layouts are asked at once."""
    answering: list[Node] = [
        *side.farm.routers.values(),
        *(side.node(side.first(name)) for name in WITH_NDMZ),
    ]
    for node in answering:
        start_answering(node)
    for node in answering:
        await_answering(node)
    asked = {name: questions(side, name) for name in WITH_NDMZ}
    told = iter(knock_all([q for each in asked.values() for qs in each for q in qs], seconds=4))
    return {
        name: Isolation(*(answers_of([(q, next(told)) for q in qs]) for qs in each))
        for name, each in asked.items()
    }


def answers_of(told: list[tuple[Question, Mapping[str, Answer]]]) -> dict[str, Answer]:
    """By who was asked, and by whom when that were several."""
    several = len(told) > 1
    return {
        f"{question.node.name} {target}" if several else target: answer
        for question, answers in told
        for target, answer in answers.items()
    }


def questions(side: Side, name: str) -> list[list[Question]]:
    """A list for each field of Isolation."""
    layout, view = side.layout(name), side.view(name)
    node, farm = side.node(view.name), side.farm
    beside = [farm.neighbours[neighbour.name] for neighbour in layout.neighbours]
    own = [a.partition("/")[0] for a in zos_addresses(side, name)]
    ndmz = [a.partition("/")[0] for a in view.ndmz.addresses]
    near = {site: beyond_the_gateway(layout, site) for site in layout.sites}
    on_br_pub = {layout.site: "ndmz"} if layout.carrier else {}
    everything = [address for addresses in near.values() for address in addresses]
    return [
        [Question(node, checks.doors([*everything, *own, *ndmz]), view.namespace)],
        [Question(node, checks.doors(WEB.values()), view.namespace)],
        [Question(node, checks.doors(near[s]), on_br_pub.get(s, "")) for s in layout.sites],
        [Question(who, checks.doors(ndmz)) for who in (*beside, farm.inet)],
        [Question(beside[0], checks.doors(own))],
    ]


def beyond_the_gateway(layout: Layout, site: Site) -> list[str]:
    """Everything near that no workload may reach, but for the node's own and ndmz's addresses."""
    found = [str(a.ip) for n in layout.neighbours if n.site == site.name for a in n.addresses]
    found += [str(a.ip) for a in (site.lan.interface4, site.lan.interface6) if a]
    if site.lan.interface4:
        found.append(str(BEYOND))
    if site.nat44:
        found.append(str(site.ends4[1].ip))  # where replies to its workloads go
    return found

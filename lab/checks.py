"""What the demo holds true of a farm that has converged; each check asks, and asks a control too.

    checks = run_checks(farm, views)
    all(check.ok for check in checks)

A check that something does not get through also shows that the same question is answered from
where it should be: silence alone would prove nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_interface

from msgspec import Struct

from lab.farm import Farm, NeighbourPlan
from lab.internet import WEB4, WEB6
from lab.knock import Answer, Question, knock_all
from lab.view import NodeView
from runtime.failure import CannotError

KINDS = ("icmp", "tcp", "udp")
Views = Mapping[str, NodeView]


class Check(Struct, frozen=True):
    name: str
    ok: bool
    detail: str


class Pair(Struct, frozen=True):
    """One way of a pair of nodes over the overlay."""

    source: str
    target: str
    address: str
    answer: Answer
    via: str = ""  # who relays it


def run_checks(farm: Farm, views: Views) -> list[Check]:
    asked: list[tuple[str, Callable[[Farm, Views], tuple[bool, str]]]] = [
        ("a workload behind ndmz resolves a name and reaches the Internet", reaches_the_internet),
        ("a workload reaches no LAN neighbour", reaches_no_neighbour),
        ("nothing comes in to ndmz", nothing_comes_in),
    ]
    return [run_check(name, partial(ask, farm, views)) for name, ask in asked]


def run_check(name: str, ask: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, detail = ask()
    except CannotError as error:
        ok, detail = False, error.message
    return Check(name, ok, detail)


# -- the overlay


def ping_matrix(farm: Farm, views: Views, *, seconds: float = 3) -> list[Pair]:
    """Each node pings each other node's overlay addresses, from its own network resource."""
    questions, wanted = [], []
    for view in views.values():
        others = [
            (o.name, address) for o in views.values() if o is not view for address in o.overlay
        ]
        if view.namespace:
            targets = [f"icmp/{address}" for _, address in others]
            questions.append(Question(farm.nodes[view.name], targets, view.namespace))
            wanted.append((view.name, others))
    pairs = []
    for (source, others), answers in zip(
        wanted, knock_all(questions, seconds=seconds), strict=True
    ):
        for target, address in others:
            answer = answers.get(f"icmp/{address}", Answer("silent"))
            via = views[source].relay_to(address)
            pairs.append(Pair(source, target, address, answer, via))
    return pairs


def check_matrix(pairs: Sequence[Pair], views: Views) -> Check:
    """All pairs, both ways, both families: two addresses a node are expected."""
    nodes = len(views)
    expected = nodes * (nodes - 1) * 2
    silent = [f"{p.source} → {p.target} {p.address}" for p in pairs if not p.answer.answered]
    answered = len(pairs) - len(silent)
    detail = f"{answered} of {expected} pings answered"
    if silent:
        detail += f"; silent: {', '.join(silent)}"
    return Check(
        "overlay pings: all pairs, both families", answered == expected and not silent, detail
    )


# -- workloads


def reaches_the_internet(farm: Farm, views: Views) -> tuple[bool, str]:
    """By a name, in each family that the node's ndmz has; the server says whom it saw."""
    questions = []
    for view in views.values():
        families = [f for f, there in (("4", view.ndmz.ready4), ("6", view.ndmz.ready6)) if there]
        targets = [f"http{family}/web.example" for family in families]
        questions.append(Question(farm.nodes[view.name], targets, _workload(view)))
    answers = knock_all(questions, seconds=5)
    ok = all(told and all(a.answered for a in told.values()) for told in answers)
    seen = [
        f"{question.node.name} as {' and '.join(_seen(told[t]) for t in question.targets)}"
        for question, told in zip(questions, answers, strict=True)
    ]
    return ok, f"web.example saw {'; '.join(seen)}"


def _seen(answer: Answer) -> str:
    return answer.detail if answer.answered else f"NOBODY ({answer})"


def reaches_no_neighbour(farm: Farm, views: Views) -> tuple[bool, str]:
    """Nor the node itself; the site's router, which may, is the control."""
    questions, controls = [], []
    for neighbour in farm.plan.neighbours:
        view = _node_at(farm, views, neighbour)
        targets = doors(str(address.ip) for address in neighbour.addresses)
        node = farm.nodes[view.name]
        questions.append(Question(node, [*targets, *doors(_own(view))], _workload(view)))
        controls.append(Question(farm.routers[f"lan-{neighbour.site}"], targets))
    return _closed(questions, controls)


def nothing_comes_in(farm: Farm, views: Views) -> tuple[bool, str]:
    """From the Internet and from the LAN to each address of ndmz; neighbours are the control."""
    questions, controls = [], []
    for neighbour in farm.plan.neighbours:
        view = _node_at(farm, views, neighbour)
        targets = doors(a.partition("/")[0] for a in view.ndmz.addresses)
        questions.append(Question(farm.neighbours[neighbour.name], targets))
        questions.append(Question(farm.inet, targets))
        reachable = [a.ip for a in neighbour.addresses if _is_open(farm, neighbour, a.ip.version)]
        controls.append(Question(farm.inet, doors(str(a) for a in reachable)))
    controls.append(Question(farm.controller, [f"icmp/{WEB4}", f"icmp/{WEB6}"]))
    return _closed(questions, controls)


def _is_open(farm: Farm, neighbour: NeighbourPlan, version: int) -> bool:
    """Whether the neighbour's site lets in what comes from the Internet unasked."""
    site = next(site for site in farm.plan.sites if site.name == neighbour.site)
    return not (site.nat44 if version == 4 else site.firewall6)


def doors(addresses: Iterable[str]) -> list[str]:
    """Every kind of knock at each address; TCP and UDP at port 7."""
    return [f"{kind}/{address}" for address in addresses for kind in KINDS]


def _closed(questions: Sequence[Question], controls: Sequence[Question]) -> tuple[bool, str]:
    answers = knock_all([*questions, *controls])
    asked, control = answers[: len(questions)], answers[len(questions) :]
    through = _list(questions, asked, lambda answer: answer.verdict != "silent")
    unanswered = _list(controls, control, lambda answer: not answer.answered)
    probes = sum(len(told) for told in asked)
    detail = f"{len(through)} of {probes} probes got through"
    if through:
        detail += f": {', '.join(through)}"
    if unanswered:
        detail += f"; controls failed: {', '.join(unanswered)}"
    return bool(probes) and not through and not unanswered, detail


def _list(
    questions: Sequence[Question],
    answers: Sequence[Mapping[str, Answer]],
    matters: Callable[[Answer], bool],
) -> list[str]:
    return [
        f"{question.node.name} {target} ({answer})"
        for question, told in zip(questions, answers, strict=True)
        for target, answer in told.items()
        if matters(answer)
    ]


def _workload(view: NodeView) -> str:
    if not view.namespace:
        raise CannotError(f"cannot look from a workload: {view.name} has no network yet")
    return view.namespace


def _node_at(farm: Farm, views: Views, neighbour: NeighbourPlan) -> NodeView:
    switch = f"lan-{neighbour.site}"
    name = next(n.name for n in farm.plan.nodes if switch in n.cards.values())
    return views[name]


def _own(view: NodeView) -> list[str]:
    """The node's own addresses on its LAN."""
    found = (view.nic.ipv4, *view.nic.ipv6)
    return [str(ip_interface(address).ip) for address in found if address]

"""The demo: a farm from power-on to an overlay that works, watched, checked and reported.

    report = run_demo(farm, Progress(sys.stderr))

Nothing is faked on the way: the farm's programs are the real ones, and what is shown is read from
the nodes themselves.
"""

from collections.abc import Mapping
from functools import partial
from time import monotonic, sleep
from typing import Any

from lab import checks, programs, tamper
from lab.checks import Check
from lab.farm import Farm
from lab.host import Process
from lab.progress import Progress
from lab.report import make_report
from lab.view import NodeView, look

CONVERGE_S = 45.0
LATE_IPV6_S = 20.0
LOOK_EACH = 0.02
TRANSIT = "n1"  # public: the hidden nodes reach each other through it


def run_demo(farm: Farm, progress: Progress) -> dict[str, Any]:
    controller = prepare(farm, progress)
    power_on(farm, progress)
    found = [converged(watch(farm, progress))]
    progress.say("the overlay is up; IPv6 joins ndmz when its addresses are known to be unique")
    views = await_ipv6(farm)
    progress.say("asking everybody: overlay pings, workloads, doors that must be closed")
    pairs = checks.ping_matrix(farm, views)
    found += [checks.check_matrix(pairs, views), ipv6_came(farm, views)]
    found += checks.run_checks(farm, views)
    progress.say("n3 loses its power and boots with an altered certificate and no controller")
    forged = partial(tamper.altered_certificate_is_refused, farm, views, controller)
    found.append(checks.run_check("an altered certificate is refused", forged))
    progress.finish()
    return make_report(views, pairs, found)


def prepare(farm: Farm, progress: Progress) -> Process:
    """A controller that serves, a network, and all that the nodes need on their disks to join it."""
    controller = programs.start_controller(farm.controller)
    progress.say("the controller serves on 203.0.113.10")
    programs.create_network(farm.controller, programs.NETWORK)
    for node in farm.nodes.values():
        programs.give_join_string(
            farm.controller, node, programs.NETWORK, transit=node.name == TRANSIT
        )
        programs.install_agent(node)
    progress.say(f"network {programs.NETWORK.name}, and a join string on each node's disk")
    return controller


def power_on(farm: Farm, progress: Progress) -> None:
    for node in farm.nodes.values():
        node.start_programs()
    progress.say(f"power on: {', '.join(farm.nodes)}")


def watch(farm: Farm, progress: Progress, *, timeout: float = CONVERGE_S) -> dict[str, NodeView]:
    """Show the nodes until each has been through all phases, or time is up."""
    deadline = monotonic() + timeout
    while True:
        views = look_at_all(farm)
        progress.show(views)
        if not any(view.missing for view in views.values()) or monotonic() > deadline:
            return views
        sleep(LOOK_EACH)


def look_at_all(farm: Farm) -> dict[str, NodeView]:
    layouts = {plan.name: plan.layout for plan in farm.plan.nodes}
    return {name: look(node.path("/"), name, layouts[name]) for name, node in farm.nodes.items()}


def await_ipv6(farm: Farm, *, timeout: float = LATE_IPV6_S) -> dict[str, NodeView]:
    """IPv6 joins ndmz late (duplicate detection takes 2 s), and nothing waited for it so far."""
    deadline = monotonic() + timeout
    while True:
        views = look_at_all(farm)
        if not lacks_ipv6(farm, views) or monotonic() > deadline:
            return views
        sleep(LOOK_EACH)


def lacks_ipv6(farm: Farm, views: Mapping[str, NodeView]) -> list[str]:
    """Nodes on a site with IPv6 whose ndmz has none."""
    with_ipv6 = {site.switch for site in farm.plan.sites if site.lan.interface6}
    return [
        plan.name
        for plan in farm.plan.nodes
        if with_ipv6 & set(plan.cards.values()) and not views[plan.name].ndmz.ready6
    ]


def ipv6_came(farm: Farm, views: Mapping[str, NodeView]) -> Check:
    lacking = lacks_ipv6(farm, views)
    have = [view.name for view in views.values() if view.ndmz.ready6]
    detail = f"without: {', '.join(lacking)}" if lacking else f"in {', '.join(have)}"
    return Check("ndmz has IPv6 where the site has it", not lacking and bool(have), detail)


def converged(views: Mapping[str, NodeView]) -> Check:
    missing = [f"{view.name}: {phase}" for view in views.values() for phase in view.missing]
    slowest = max((s for view in views.values() for s in view.seconds.values()), default=0)
    return Check(
        "every node has been through all phases",
        not missing,
        f"missing: {', '.join(missing)}" if missing else f"the last after {slowest:.2f} s",
    )

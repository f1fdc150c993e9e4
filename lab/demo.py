"""The demo: a farm from power-on to an overlay that works, watched, checked and reported.

    report = run_demo(farm, Progress(sys.stderr))

Nothing is faked on the way: the farm's programs are the real ones, and what is shown is read from
the nodes themselves.
"""

from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any

from lab import checks, programs
from lab.checks import Check
from lab.farm import Farm
from lab.progress import Progress
from lab.report import PHASES, make_report
from lab.view import NodeView, look

CONVERGE_S = 45.0
LOOK_EACH = 0.02
TRANSIT = "n1"  # public: the hidden nodes reach each other through it


def run_demo(farm: Farm, progress: Progress) -> dict[str, Any]:
    programs.start_controller(farm.controller)
    progress.say("the controller serves on 203.0.113.10")
    programs.create_network(farm.controller, programs.NETWORK)
    for node in farm.nodes.values():
        programs.give_join_string(
            farm.controller, node, programs.NETWORK, transit=node.name == TRANSIT
        )
        programs.install_agent(node)
    progress.say(f"network {programs.NETWORK.name}, and a join string on each node's disk")
    for node in farm.nodes.values():
        node.start_programs()
    progress.say(f"power on: {', '.join(farm.nodes)}")
    views = watch(farm, progress)
    pairs = checks.ping_matrix(farm, views)
    found = [
        converged(views),
        checks.check_matrix(pairs, views),
        *checks.run_checks(farm, views),
    ]
    progress.finish()
    return make_report(views, pairs, found)


def watch(farm: Farm, progress: Progress, *, timeout: float = CONVERGE_S) -> dict[str, NodeView]:
    """Show the nodes until each has been through all phases, or time is up."""
    deadline = monotonic() + timeout
    while True:
        views = look_at_all(farm)
        progress.show(views)
        if all(is_done(view) for view in views.values()) or monotonic() > deadline:
            return views
        sleep(LOOK_EACH)


def look_at_all(farm: Farm) -> dict[str, NodeView]:
    layouts = {plan.name: plan.layout for plan in farm.plan.nodes}
    return {name: look(node.path("/"), name, layouts[name]) for name, node in farm.nodes.items()}


def is_done(view: NodeView) -> bool:
    return all(phase in view.seconds for phase in PHASES)


def converged(views: Mapping[str, NodeView]) -> Check:
    missing = [
        f"{view.name}: {phase}"
        for view in views.values()
        for phase in PHASES
        if phase not in view.seconds
    ]
    slowest = max((s for view in views.values() for s in view.seconds.values()), default=0)
    return Check(
        "every node has been through all phases",
        not missing,
        f"missing: {', '.join(missing)}" if missing else f"the last after {slowest:.2f} s",
    )

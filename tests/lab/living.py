"""A farm that has converged, for tests of its life: outages, deaths, reboots."""

import io
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import monotonic
from typing import Any

from lab import checks, programs
from lab.demo import look_at_all, prepare, watch
from lab.farm import FARM, Farm, Plan, build_farm
from lab.host import Process, wait_until
from lab.node import Node
from lab.progress import Progress
from lab.view import NodeView
from lab.world import World

Way = tuple[str, str]  # who asks whom


@dataclass
class Living:
    farm: Farm
    controller: Process

    def node(self, name: str) -> Node:
        return self.farm.nodes[name]

    def views(self) -> dict[str, NodeView]:
        return look_at_all(self.farm)

    def status(self, name: str) -> dict[str, Any]:
        """networkd's, whole."""
        text = self.node(name).path("/run/zosnet/networkd.json").read_text()
        status: dict[str, Any] = json.loads(text)
        return status

    def peer(self, name: str, other: str) -> dict[str, Any]:
        networks = self.status(name)["networks"]
        return next(peer for n in networks for peer in n["peers"] if peer["name"] == other)

    def silent(self, views: dict[str, NodeView], *, seconds: float) -> set[Way]:
        """The ways on which an overlay ping of either family is not answered."""
        pairs = checks.ping_matrix(self.farm, views, seconds=seconds)
        assert {pair.address for pair in pairs} == {a for v in views.values() for a in v.overlay}
        return {(pair.source, pair.target) for pair in pairs if not pair.answer.answered}

    def await_answers(self, within: float) -> float:
        """Seconds until each node answers each other in both families."""
        began = monotonic()
        await_that(
            "an overlay everywhere",
            lambda: all(set(view.missing) <= {"admitted"} for view in self.views().values()),
            within,
        )
        while silent := self.silent(self.views(), seconds=0.3):
            assert monotonic() - began < within, f"no answer on {sorted(silent)}"
        return monotonic() - began

    def kill_controller(self) -> None:
        self.controller.kill()
        self.controller.wait(5)

    def serve(self) -> None:
        self.controller = programs.serve(self.farm.controller)


def make_living(world: World, plan: Plan = FARM) -> Living:
    """Every node has been through all phases, and the controller serves."""
    return power_on(build_farm(world, plan))


def power_on(farm: Farm) -> Living:
    return converge(Living(farm, prepare(farm, Progress(io.StringIO()))))


def converge(living: Living) -> Living:
    """Start the nodes of a farm that was prepared, and wait until all is well."""
    farm = living.farm
    for node in farm.nodes.values():
        node.start_programs()
    views = watch(farm, Progress(io.StringIO()), timeout=60)
    assert not any(view.missing for view in views.values()), views
    living.await_answers(30)
    return living


def pid_of(node: Node, words: str) -> int:
    """As the machine counts it, of the one process of `node` whose command line ends so. One that it
    forked is called the same until it becomes another program.
    """

    def found() -> list[int]:
        lines = processes(node).items()
        return [p for p, line in lines if line.removesuffix(" --keep-trying").endswith(words)]

    seen: list[int] = []

    def is_one() -> bool:
        seen[:] = found()
        return len(seen) == 1

    wait_until(f"one process {words}", is_one, timeout=20)
    return seen[0]


def processes(node: Node) -> dict[int, str]:
    """Command lines by the node's own pids."""
    lines = node.output("ps", "-e", "-o", "pid=,args=").splitlines()
    return {int(pid): args for pid, args in (line.split(None, 1) for line in lines)}


def kill(node: Node, pid: int) -> None:
    node.run("kill", "-9", str(pid))


def await_that(what: str, true: Callable[[], object], within: float = 40) -> float:
    """Seconds until it was true."""
    began = monotonic()
    wait_until(what, lambda: bool(true()), timeout=within)
    return monotonic() - began


def both_ways(one: str, others: Collection[str]) -> set[Way]:
    return {way for other in others for way in ((one, other), (other, one))}

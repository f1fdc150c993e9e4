"""A node that vanishes without a word: the controller's kernel finds out, and the connection ends."""

import pytest

from tests.lab.test_enrolment import Agent, Controller, farm
from tests.lab.test_overlay import await_that

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]
__all__ = ["farm"]  # a fixture

WITHIN = 40  # seconds; asked after 10, and given up 10 later


def connections(controller: Controller) -> int:
    """That nodes have to it."""
    argv = ("ss", "-Htn", "state", "established", "sport = :9930")
    return len(controller.node.output(*argv).splitlines())


def test_the_connection_of_a_node_that_vanished_ends(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    for agent in (n1, n2):
        agent.start(controller.token())
    await_that(lambda: [a.farm().get("connection") for a in (n1, n2)] == ["online"] * 2)
    await_that(lambda: connections(controller) == 2)
    n2.node.pull_cable("eth0")
    seconds = await_that(lambda: connections(controller) == 1, WITHIN)
    print(f"ended after {seconds:.1f} s")

    assert n1.farm()["connection"] == "online"

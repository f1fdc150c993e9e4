"""Networks as operators change them, on real nodes: a route that carries, a network that goes."""

import pytest

from agent.nr.plan import Names
from lab.world import World
from tests.lab.test_enrolment import Agent, Controller
from tests.lab.test_enrolment import farm as farm_of
from tests.lab.test_overlay import await_that

pytestmark = pytest.mark.lab

Farm = tuple[Controller, Agent, Agent]
BEHIND = "10.50.0.0/24"


@pytest.fixture
def farm(world: World) -> Farm:
    controller, first, second = farm_of.__wrapped__(world)  # type: ignore[attr-defined]
    first.start(controller.token())
    second.start(controller.token())
    await_that(lambda: first.reaches(second) and second.reaches(first), what="no overlay")
    return controller, first, second


def space(agent: Agent) -> str:
    return Names.of(agent.network()["network"]).space


def reaches(agent: Agent, target: str) -> bool:
    return agent.node.ok(*agent.node.inside(space(agent), "ping", "-c1", "-W1", "-q", target))


def test_a_prefix_behind_a_member_answers_through_the_overlay_until_it_is_taken_away(
    farm: Farm,
) -> None:
    controller, first, second = farm
    before = reaches(second, "10.50.0.1")
    controller._admin("network", "set", "home", "--route", f"{BEHIND} via n1")
    await_that(lambda: reaches(second, "10.50.0.1"), what="no answer from behind n1")
    workload = first.node.inside(space(first), "ip", "address", "add", "10.50.0.7/24", "dev", "lo")
    first.node.run(*workload)
    beyond = reaches(second, "10.50.0.7")
    controller._admin("network", "set", "home", "--route", "none")
    await_that(lambda: not reaches(second, "10.50.0.7"), what="still an answer from behind n1")

    assert (before, beyond) == (False, True)
    assert second.pings(first)


def test_a_deleted_network_is_gone_from_its_nodes_now_and_from_one_that_was_off(
    farm: Farm,
) -> None:
    controller, first, second = farm
    spaces = space(first), space(second)
    assert second.program is not None
    second.program.kill()
    second.program.wait(5)
    controller._admin("network", "delete", "home", "--yes")
    await_that(lambda: not first.network(), what="n1 still has it")
    await_that(
        lambda: spaces[0] not in first.node.output("ip", "netns", "list"),
        what="its namespace is still there",
    )
    still = spaces[1] in second.node.output("ip", "netns", "list")
    second.run_program()
    await_that(
        lambda: spaces[1] not in second.node.output("ip", "netns", "list"),
        what="n2 has not taken it away",
    )

    for agent in (first, second):
        await_that(lambda: agent.farm().get("networks") == [])  # noqa: B023  # called at once

    assert still

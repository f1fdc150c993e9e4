"""S6: a node's key gives way to another while its tunnels carry packets, also when it is killed on the way."""

import re
import time
from itertools import pairwise

import pytest

from agent.nr.plan import Names
from lab.host import Process
from tests.lab.test_enrolment import Agent, Controller, farm
from tests.lab.test_overlay import await_that

pytestmark = pytest.mark.lab
__all__ = ["farm"]  # a fixture

EACH = 0.02  # seconds between two packets
AFTER = 3.0  # for what comes late


def key(agent: Agent) -> str:
    """Empty while one gives way to another."""
    enrol = agent.status().get("enrol", {})
    online = agent.farm().get("connection") == "online"
    return str(enrol.get("key", "")) if online and not enrol.get("next_key") else ""


def packets(agent: Agent, other: Agent) -> Process:
    """Through the overlay, all the time."""
    space = Names.of(agent.network()["network"]).space
    address = other.network()["addresses"][0].partition("/")[0]
    words = ("ping", "-n", "-i", str(EACH), address)
    return agent.node.spawn(*agent.node.inside(space, *words), log=agent.node.log("ping"))


def gap(agent: Agent) -> float:
    """The longest time without an answer, in seconds."""
    log = agent.node.log("ping").read_text()
    numbers = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", log)]
    assert len(numbers) > 20, log[-500:]  # the faster the rotations, the fewer
    return max(b - a for a, b in pairwise(numbers)) * EACH


@pytest.fixture
def members(farm: tuple[Controller, Agent, Agent]) -> tuple[Controller, Agent, Agent]:
    controller, n1, n2 = farm
    n1.start(controller.token())
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    return farm


def test_no_packet_is_lost_and_everything_but_the_key_stays(
    members: tuple[Controller, Agent, Agent],
) -> None:
    _, n1, n2 = members
    before, addresses = key(n1), n1.network()["addresses"]
    there, back = packets(n1, n2), packets(n2, n1)
    n1.node.write("/run/rotate", "")
    seconds = await_that(lambda: key(n1) not in ("", before))
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    time.sleep(AFTER)
    for program in (there, back):
        program.kill()
    print(f"rotated after {seconds:.2f} s; longest gaps {gap(n1):.2f} s and {gap(n2):.2f} s")

    assert n1.network()["addresses"] == addresses
    assert max(gap(n1), gap(n2)) < 1.0
    assert n2.network()["refusals"] == []


def test_killed_on_the_way_it_ends_at_the_next_start_and_the_tunnel_carries_on(
    members: tuple[Controller, Agent, Agent],
) -> None:
    _, n1, n2 = members
    there = packets(n2, n1)
    for number in range(4):
        before = key(n1)
        n1.node.write("/run/rotate", "")
        await_that(lambda: not n1.node.path("/run/rotate").exists())
        assert n1.program is not None
        n1.program.kill()
        n1.program.wait(5)
        n1.run_program()
        seconds = await_that(lambda: key(n1) not in ("", before), 30)  # noqa: B023
        print(f"kill {number}: rotated after {seconds:.2f} s")
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    there.kill()
    print(f"longest gap {gap(n2):.2f} s")

    assert gap(n2) < 1.0

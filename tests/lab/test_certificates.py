"""Certificates against live WireGuard devices: who is put out loses its packets, who stays none."""

import json
from signal import SIGINT
from time import monotonic, sleep
from typing import Any

import pytest

from agent.nr.plan import Names
from lab.world import World
from tests.lab.pings import answered, lost, sent
from tests.lab.test_enrolment import Agent, Controller, make_farm
from tests.lab.test_overlay import await_that

pytestmark = pytest.mark.lab


PING = ("ping", "-n", "-i", "0.02")


def place(agent: Agent) -> str:
    return Names.of(agent.network()["network"]).space


def address(agent: Agent) -> str:
    first: str = agent.network()["addresses"][0]
    return first.partition("/")[0]


def peers(agent: Agent) -> list[str]:
    return [peer["name"] for peer in agent.network()["peers"]]


@pytest.fixture
def joined(world: World) -> tuple[Controller, Agent, Agent]:
    """A controller, and two nodes that reach each other."""
    controller, n1, n2 = make_farm(world)
    for agent in (n1, n2):
        agent.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    return controller, n1, n2


@pytest.mark.timeout(400)
def test_who_is_banned_is_off_the_devices_of_those_that_are_there_and_of_those_that_come_back(
    joined: tuple[Controller, Agent, Agent],
) -> None:
    """S4, S5"""
    controller, n1, n2 = joined
    space, target = place(n1), address(n2)
    flow = n1.node.spawn(*n1.node.inside(space, *PING, target), log=n1.node.log("ping"))
    sleep(0.5)
    start = monotonic()
    controller._admin("member", "ban", "home", "n2", "--yes")
    await_that(lambda: peers(n1) == [])
    seconds = monotonic() - start
    sleep(1.0)
    flow.send_signal(SIGINT)
    flow.wait(5)
    said = n1.node.log("ping").read_text()
    print(f"banned: off n1's device after {seconds:.2f} s;", said.strip().splitlines()[-2:])
    assert not n1.node.ok(*n1.node.inside(space, "ping", "-c1", "-W1", "-q", target))

    controller._admin("member", "unban", "home", "n2")
    controller._admin("member", "authorize", "home", "n2")
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1), 60)
    n1.node.script("ip link set eth0 down")
    await_that(lambda: n1.farm()["connection"] != "online")
    controller._admin("member", "ban", "home", "n2", "--yes")
    await_that(lambda: n2.farm()["connection"] != "online" and peers(n2) == [])  # it knows
    n1.node.script("ip link set eth0 up; ip route replace default via 192.0.2.254 dev eth0")
    answered = 0
    while n1.farm()["connection"] != "online" or peers(n1):
        answered += n1.node.ok(*n1.node.inside(space, "ping", "-c1", "-W1", "-q", target))
    print(f"came back: {answered} answers before the revocation was known")

    assert answered == 0
    assert peers(n1) == []


@pytest.mark.timeout(400)
def test_no_packet_is_lost_while_the_signer_is_replaced(
    joined: tuple[Controller, Agent, Agent],
) -> None:
    """S7"""
    controller, n1, n2 = joined
    flow = n1.node.spawn(*n1.node.inside(place(n1), *PING, address(n2)), log=n1.node.log("ping"))
    sleep(0.5)
    before = shown(controller)["signing"]
    for turn in range(2):
        controller._admin("key", "rotate")
        await_that(lambda: shown(controller)["rotation"] == "old signer believed")
        await_that(lambda: controller._admin("key", "retire", "--yes", check=False), 20)
        sleep(3.0 + turn)  # longer than a node is patient
    sleep(0.5)
    flow.send_signal(SIGINT)
    flow.wait(5)
    said = n1.node.log("ping").read_text()
    print(f"two rotations: {sent(said)} packets, {len(answered(said))} answers")

    now = shown(controller)
    assert now["signing"] != before
    assert (now["keyset"], len(now["signers"]), now["holding"]) == (5, 1, 2)
    assert len(answered(said)) > 300
    assert lost(said) == set()
    assert sent(said) - max(answered(said)) < 25  # half a second's, under way at the end
    assert n1.network()["problem"] == ""


def shown(controller: Controller) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(controller._admin("key", "show", "-o", "json"))
    item: dict[str, Any] = found["items"][0]
    return item

"""A NIC that waits: what one look at its LAN finds, the moment its cable comes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.host import PYTHON, wait_until
from lab.node import Node
from lab.wiring import Nic
from lab.world import World
from tests.lab.home import PROGRAMS
from tests.lab.test_oob import DEAF

pytestmark = pytest.mark.lab

SPACE = "waits"
RARE = """
interface lan0 {
    AdvSendAdvert on;
    MinRtrAdvInterval 400;
    MaxRtrAdvInterval 600;
    prefix 2001:db8:5:1::/64 { };
};
"""


@pytest.fixture
def router(world: World) -> Node:
    """It answers who asks, and hardly ever speaks by itself; its LAN has no DHCP server."""
    node = world.node("r")
    world.plug(Nic("r", "lan0", "lan"))
    node.script("ip link set lan0 up; ip addr add 2001:db8:5:1::1/64 dev lan0 nodad")
    node.write("/run/radvd.conf", RARE)
    node.script("sleep 2; radvd -C /run/radvd.conf -p /run/radvd.pid -m none; sleep 4")
    return node


@pytest.fixture
def waiting(world: World) -> Iterator[Node]:
    """A node whose only NIC waits without a cable, and is looked at."""
    node = world.node("n")
    world.plug(Nic("n", "eth0", "lan"))
    node.pull_cable("eth0")
    node.script(f"ip netns add {SPACE}; ip link set dev eth0 netns {SPACE}")
    program = node.spawn(PYTHON, PROGRAMS / "standby.py", SPACE, log=node.log("standby"))
    wait_until("no cable", lambda: len(found(node)) > 0)
    yield node
    program.kill()


def found(node: Node) -> list[dict[str, Any]]:
    return [json.loads(line) for line in node.log("standby").read_text().splitlines()]


def first_look(node: Node) -> dict[str, Any]:
    """What is told after the cable came."""
    node.plug_cable("eth0")
    wait_until("a look", lambda: found(node)[-1]["carrier"])
    return next(one for one in found(node) if one["carrier"])


def test_one_look_finds_a_router_that_speaks_only_when_asked(router: Node, waiting: Node) -> None:
    assert first_look(waiting)["gateway6"]


def test_it_goes_on_asking_as_long_as_for_ipv4(router: Node, waiting: Node) -> None:
    """A switch that looks for loops first passes nothing on for a while."""
    router.run("nft", "-f", "-", input=DEAF)
    router.spawn("sh", "-c", "sleep 5; nft delete table netdev deaf", log=router.log("deaf"))

    assert first_look(waiting)["gateway6"]

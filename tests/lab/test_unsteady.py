"""Links that are not what one wishes: a cable that flaps, a NIC that negotiates for seconds."""

from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

import lab.farm
from lab.host import wait_until
from lab.router import lone_server
from lab.world import World
from tests.lab.boot_node import addresses, known_status, links, ports, start_internet
from tests.lab.living import Living, make_living
from tests.lab.test_boot import HOME4, booting_node
from tests.lab.test_failover import PLAN, port_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SLOW_LINK = Path(__file__).parent / "programs/slow_link.py"
NEGOTIATION = 3.0  # seconds
DEAD = 4.0


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    with pytest.MonkeyPatch.context() as patch:
        config = f"{lab.farm.AGENT_CONFIG}uplink: {{dead: {DEAD}, back: 60}}\n"
        patch.setattr(lab.farm, "AGENT_CONFIG", config)
        living = make_living(shared_world, PLAN)
        yield living
        living.kill_controller()


def test_a_cable_that_flaps_each_second_is_left_once_for_one_that_does_not(farm: Living) -> None:
    n2 = farm.node("n2")
    first = port_of(n2)
    log = n2.path("/var/log/zosnet/networkd.log")
    for _ in range(int(4 * DEAD)):
        n2.pull_cable(first)
        sleep(0.5)
        n2.plug_cable(first)
        sleep(0.5)
    other, answered = port_of(n2), farm.await_answers(30)
    print(f"all pings {answered:.1f} s after the last flap")

    assert {first, other} == {"eth0", "eth1"}
    assert log.read_text().count("uplink moves") == 1


def test_a_nic_that_negotiates_after_every_move_boots_with_two_negotiations(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"), ("eth1", None))
    log = world.log_path("slow-link")
    switch_port = world.spawn("/usr/bin/python3", SLOW_LINK, "n.eth0", str(NEGOTIATION), log=log)
    wait_until("the far end", lambda: "ready" in log.read_text())
    start_internet(node)
    wait_until("zos", lambda: "zos" in links(node), timeout=60)
    wait_until("a lease", lambda: addresses(node, "zos", family=4) != [])
    switch_port.kill()

    assert ports(node) == ["eth0"]
    assert known_status(node).uplink is not None
    assert log.read_text().count("negotiates") <= 2  # into the probe, and home

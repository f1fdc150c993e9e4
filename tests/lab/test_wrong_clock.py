"""A node whose system clock stands in 1970 or years ahead, and jumps, as its networkd reads it.

Only what n2's networkd asks is another: the machine's clock is not touched, and that of wireguard-go
is right.
"""

import io
from collections.abc import Iterator

import pytest

from agent.boot.supervise import agent_program
from lab.demo import prepare
from lab.farm import FARM, build_farm
from lab.host import PYTHON, wait_until
from lab.node import Node
from lab.programs import NETWORK, ncadm
from lab.progress import Progress
from lab.world import World
from runtime.clock import wall_ms
from tests.lab.home import PROGRAMS
from tests.lab.living import Living, converge, kill, pid_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

WALL, UNIT = "/var/lib/wall", "/etc/zinit/networkd.yaml"
YEAR = 365 * 86_400_000  # ms
LIFE = "30d"  # of a membership that is not renewed
FIRST = 2 * 86_400_000  # ms since 1970: where a clock without a battery starts


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = Living(made := build_farm(shared_world, FARM), prepare(made, Progress(io.StringIO())))
    ncadm(made.controller, "network", "set", NETWORK.name, "--life", LIFE)
    n2 = living.node("n2")
    unit = n2.path(UNIT).read_text()
    program = f"{PYTHON} {PROGRAMS / 'agent_elsewhen.py'} {WALL} networkd"
    n2.write(UNIT, unit.replace(f"{agent_program()} networkd", program))
    assert program in n2.path(UNIT).read_text()
    start_in_1970(n2)
    yield converge(living)
    living.kill_controller()


def set_off(node: Node, milliseconds: int) -> None:
    node.write(f"{WALL}.new", f"{milliseconds}\n")
    node.path(f"{WALL}.new").replace(node.path(WALL))  # it is read at any time


def start_in_1970(node: Node) -> None:
    set_off(node, FIRST - wall_ms())


def said(farm: Living) -> list[str]:
    reasons: list[str] = farm.status("n2")["reasons"]
    return [why for why in reasons if why.startswith("the system clock is ")]


def floor_ms(node: Node) -> int:
    return int(node.path("/var/lib/zosnet/clock").read_text().split()[0])


def test_a_node_in_1970_is_in_its_overlay_and_says_so(farm: Living) -> None:
    start_in_1970(farm.node("n2"))
    wait_until("the reason", lambda: bool(said(farm)))
    farm.await_answers(30)

    assert "behind the controller's time" in said(farm)[0]
    assert "date -s" in farm.node("n2").output("zosnet-agent", "status")


def test_a_clock_that_jumps_ten_years_ends_no_membership(farm: Living) -> None:
    """Neither while networkd runs, nor when it starts so, nor when it was saved so."""
    n2 = farm.node("n2")
    set_off(n2, 10 * YEAR)
    wait_until("the reason", lambda: "ahead of" in "".join(said(farm)))
    farm.await_answers(30)
    kill(n2, pid_of(n2, f"{WALL} networkd"))
    wait_until("its start", lambda: n2.run("zosnet-agent", "status", check=False).returncode == 0)
    farm.await_answers(30)
    wait_until("the reason again", lambda: "ahead of" in "".join(said(farm)))
    kill(n2, pid_of(n2, f"{WALL} networkd"))
    start_in_1970(n2)
    farm.await_answers(30)

    wait_until("the time in its file", lambda: abs(floor_ms(n2) - wall_ms()) < 300_000)


def test_without_the_controller_a_node_in_1970_goes_on_from_its_cache(farm: Living) -> None:
    n2 = farm.node("n2")
    farm.kill_controller()
    start_in_1970(n2)
    n2.power_cut()
    n2.boot(programs=True)
    farm.await_answers(30)

    assert said(farm) == []  # nobody has told it the time
    farm.serve()

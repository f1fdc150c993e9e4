"""The agent works with what its units of systemd leave to it, and needs all of that."""

import io

import pytest
from msgspec.structs import replace

from agent.systemd import CAPABILITIES
from lab.demo import prepare
from lab.farm import FARM, build_farm
from lab.host import PYTHON, TREE
from lab.node import SUPERVISOR, UNIT_LOGS, Node
from lab.progress import Progress
from lab.world import World
from tests.lab.living import Living, converge, pid_of

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CONFINED = TREE / "tests/fakes/confined.py"


def start_confined(node: Node, capabilities: tuple[str, ...]) -> None:
    """As `start_programs`; all that the supervisor starts has these capabilities at most."""
    supervisor = (PYTHON, SUPERVISOR, "--socket", "/run/zinit.sock", "--units", "/etc/zinit")
    words = (PYTHON, CONFINED, ",".join(capabilities), *supervisor, "--log-dir", UNIT_LOGS)
    node.supervisor = node.spawn(*words, log=node.log("zinitd"))


def test_two_nodes_with_the_units_capabilities_have_an_overlay(world: World) -> None:
    farm = build_farm(world, replace(FARM, nodes=FARM.nodes[:2]))
    controller = prepare(farm, Progress(io.StringIO()))
    for node in farm.nodes.values():
        start_confined(node, CAPABILITIES)
        node.start_programs = lambda: None  # type: ignore[method-assign]

    converge(Living(farm, controller))

    pid = pid_of(farm.nodes["n1"], "zosnet-agent networkd")
    assert "NoNewPrivs:\t1" in farm.nodes["n1"].output("cat", f"/proc/{pid}/status")


@pytest.mark.parametrize(
    ("missing", "works"),
    [("", True), ("CAP_NET_ADMIN", False), ("CAP_NET_RAW", False), ("CAP_SYS_ADMIN", False)],
)
def test_without_one_of_them_a_node_has_no_ipv4(world: World, missing: str, works: bool) -> None:
    """NET_BIND_SERVICE is for the port that renews a lease."""
    node = build_farm(world, replace(FARM, nodes=FARM.nodes[:1])).nodes["n1"]
    node.run("zosnet-agent", "install", "--no-start")
    start_confined(node, tuple(name for name in CAPABILITIES if name != missing))
    seconds = 40 if works else 8  # it ends sooner when there is one
    wait = ("zosnet-agent", "wait", "uplink", "--timeout", str(seconds))
    node.run(*wait, check=False, timeout=60)
    shown = node.run("ip", "-4", "-br", "address", "show", "dev", "zos", check=False).stdout

    assert ("198.51.100." in shown) is works, shown

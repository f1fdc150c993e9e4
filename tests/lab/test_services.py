"""`install` and `uninstall` of the agent and the controller, under zinit and for systemd."""

import pytest

from controller.systemd import USER
from lab.host import wait_until
from lab.node import Node
from lab.world import World
from runtime.failure import Exit

pytestmark = pytest.mark.lab

UNITS = "/etc/systemd/system"
AGENT = {"zosnet-internet.service", "zosnet-dhcp-zos.service", "zosnet-networkd.service"}
CONTROLLER = {"zosnet-controller.service"}
# An /etc of its own, with the node's mounts in it: users are made, and units are enabled.
OWN = f"""
    mkdir -p /run/own
    cp -ax /etc /run/own
    for place in zosnet zinit netns; do mount --bind /etc/$place /run/own/etc/$place; done
    mount --rbind /run/own/etc /etc
    mount -t tmpfs none {UNITS}
"""


@pytest.fixture
def node(world: World) -> Node:
    made = world.node("n")
    made.script(OWN)
    return made


def files(node: Node, directory: str) -> dict[str, str]:
    """Every file below, and where a link leads."""
    place = node.path(directory)
    return {
        str(path.relative_to(place)): path.read_text() if not path.is_symlink() else "->"
        for path in place.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def list_units(node: Node) -> set[str]:
    return set(node.output("find", UNITS, "-type", "f", "-printf", "%f\n").split())


def enabled(node: Node) -> set[str]:
    found = node.output("find", UNITS, "-type", "l", "-printf", "%f\n").split()
    return set(found)


@pytest.mark.parametrize(
    ("program", "names"), [("zosnet-agent", AGENT), ("zosnet-controller", CONTROLLER)]
)
def test_units_of_systemd_are_written_enabled_and_taken_away(
    node: Node, program: str, names: set[str]
) -> None:
    if program == "zosnet-controller":
        node.run(program, "init", "--endpoint", "tcp://203.0.113.10:9930")
    install = (program, "install", "--supervisor", "systemd")
    shown = node.output(*install, "--dry-run")
    untouched = list_units(node)
    first, second = node.output(*install), node.output(*install)
    there, on = list_units(node), enabled(node)
    text = node.output("cat", f"{UNITS}/{min(names)}")
    removed, again = node.output(program, "uninstall"), node.output(program, "uninstall")

    assert untouched == set()
    assert text in shown
    assert first == second
    assert "with the next boot of systemd" in first
    assert (there, on) == (names, names)
    assert (list_units(node), enabled(node)) == (set(), set())
    assert "removed" in removed
    assert again.startswith("no unit of ")


def test_the_controllers_unit_has_a_user(node: Node) -> None:
    node.run("zosnet-controller", "init", "--endpoint", "tcp://203.0.113.10:9930")
    before = node.run("id", USER, check=False).returncode
    node.run("zosnet-controller", "install", "--supervisor", "systemd")
    shell = node.output("getent", "passwd", USER).strip().rpartition(":")[2]

    assert before != 0
    assert shell.endswith("nologin")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("data: /srv/zosnet", "there is no controller in /srv/zosnet"),
        ("log: {directory: /srv/log}", "cannot write to log.directory: /srv/log"),
    ],
)
def test_what_the_controllers_unit_could_not_do_is_said_first(
    node: Node, config: str, reason: str
) -> None:
    node.run("zosnet-controller", "init", "--endpoint", "tcp://203.0.113.10:9930")
    node.write("/etc/zosnet/controller.yaml", f"{config}\n")
    refused = node.run("zosnet-controller", "install", "--supervisor", "systemd", check=False)

    assert refused.returncode == Exit.USAGE
    assert reason in refused.stderr
    assert list_units(node) == set()


def test_under_zinit_the_controller_runs_and_is_ready_when_it_answers(node: Node) -> None:
    node.run("zosnet-controller", "init", "--endpoint", "tcp://203.0.113.10:9930")
    node.start_programs()
    wait_until("the supervisor", node.path("/run/zinit.sock").exists)
    install = ("zosnet-controller", "install", "--supervisor", "zinit")
    first, second = node.output(*install), node.output(*install)
    log = node.path("/var/log/zosnet/zosnet-controller.log")
    wait_until("its answer", lambda: log.exists() and "server key" in log.read_text())
    pid = node.output("pgrep", "-f", "zosnet-controller serve")
    removed = node.output("zosnet-controller", "uninstall")

    assert "it runs now" in first
    assert first == second
    assert pid
    assert removed == "unit zosnet-controller removed\n"
    wait_until("its end", lambda: not node.ok("pgrep", "-f", "zosnet-controller serve"))
    assert files(node, "/etc/zinit") == {}


def test_the_agents_units_of_zinit_are_taken_away(node: Node) -> None:
    node.run("zosnet-agent", "install", "--no-start")
    written = files(node, "/etc/zinit").keys()
    removed, again = (node.output("zosnet-agent", "uninstall") for _ in range(2))

    assert written == {"internet.yaml", "networkd.yaml"}
    assert removed.startswith("unit networkd deleted\nunit internet deleted\n")
    assert again == "no unit of zosnet was here\n"
    assert files(node, "/etc/zinit") == {}


def test_without_a_supervisor_there_is_nothing_to_install(node: Node) -> None:
    node.write("/etc/zosnet/agent.yaml", "supervisor: none\n")
    refused = node.run("zosnet-agent", "install", check=False)

    assert refused.returncode == Exit.USAGE
    assert "agent.yaml says `supervisor: none`" in refused.stderr

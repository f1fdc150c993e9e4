"""networkd is killed in its start, after named steps and at random moments; the next one leaves what a
clean start leaves.
"""

import json
import random
import signal
import time
from collections import Counter
from difflib import unified_diff
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from agent.ndmz.counts import without_counts
from lab.host import PYTHON, Process, wait_until
from lab.internet import internet
from lab.network import switch
from lab.node import Node
from lab.router import Lan, Site, router
from lab.world import World
from tests.lab.boot_node import configure, kernel_state
from tests.lab.boot_node import internet as boot
from tests.lab.home import PROGRAMS
from tests.lab.programs.agent_dies import STEPS

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

SITE = Site("b", 2, Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")))
SPACES = ("ndmz", "n-blue")
MOMENTS = 8
FEW = 4
OWN_MAC = {"eth0", "zos", "npub4", "npub6", "tonrs", "public"}


@pytest.fixture
def node(world: World) -> Node:
    """A dual stack home, and a network resource that is kept over reboots."""
    router(world, internet(world), SITE)
    made = world.node("n")
    switch(world, SITE.switch, (made, "eth0"))
    configure(made)
    boot(made)
    daemon = networkd(made)
    wait_until("ndmz", lambda: is_ready(made, resource=False))
    made.output("zosnet-agent", "nr", "create", "blue", "--ipv4", "10.1.1.0/24")
    end(daemon)
    return made


def networkd(node: Node) -> Process:
    return node.spawn("zosnet-agent", "networkd", log=node.log("networkd"))


def end(daemon: Process) -> None:
    daemon.kill()
    daemon.wait(5)


def is_ready(node: Node, *, resource: bool = True) -> bool:
    path = node.path("/run/zosnet/ndmz.json")
    if not path.exists():
        return False
    said = json.loads(path.read_bytes())
    if not (said["ready4"] and said["ready6"]):
        return False
    listed = node.run("zosnet-agent", "nr", "list", "-o", "json", check=False)
    items = json.loads(listed.stdout)["items"] if listed.returncode == 0 else []
    return not resource or [(one["name"], one["state"]) for one in items] == [("blue", "up")]


def state(node: Node) -> list[str]:
    """With the rules; without the MACs that are the kernel's own choice each time. In lines."""
    whole = kernel_state(node)
    for space in whole["spaces"].values():
        for name, link in space["links"].items():
            if name not in OWN_MAC:
                link.pop("mac")
    listed = {space: node.output(*node.inside(space, "nft", "list", "ruleset")) for space in SPACES}
    rules = {space: without_counts(text) for space, text in listed.items()}
    lines = json.dumps({**whole, "rules": rules}, indent=1, sort_keys=True)
    return lines.replace("\\n", "\n").splitlines()


def power_cycle(node: Node) -> None:
    node.power_cut()
    node.boot()
    boot(node)


def clean_start(node: Node) -> list[str]:
    """What a start that nobody kills leaves; the steps that it took are in the log."""
    power_cycle(node)
    daemon = networkd_until(node, "", 0)
    wait_until("all of it", lambda: is_ready(node))
    left = settled(node)
    end(daemon)
    return left


def settled(node: Node) -> list[str]:
    """Its state, when that is the same for a second."""
    found: list[str] = []

    def stays() -> bool:
        found[:] = state(node)
        time.sleep(1)
        return state(node) == found

    wait_until("a state that stays", stays, timeout=60)
    return found


def assert_made_good(node: Node, clean: list[str], what: str) -> None:
    """The next networkd leaves what a clean start leaves."""
    daemon = networkd(node)
    wait_until(f"all of it, {what}", lambda: is_ready(node), timeout=60)
    until, after = time.monotonic() + 20, state(node)
    while after != clean and time.monotonic() < until:
        time.sleep(0.2)
        after = state(node)
    end(daemon)
    differs = "\n".join(unified_diff(clean, after, n=1, lineterm=""))
    assert not differs, f"{what}:\n{differs}"


def networkd_until(node: Node, step: str, number: int) -> Process:
    words = (PYTHON, PROGRAMS / "agent_dies.py", step, str(number), "networkd")
    return node.spawn(*words, log=node.log("steps"))


@pytest.mark.timeout(900)
def test_networkd_killed_after_any_step_is_made_good_by_the_next(node: Node) -> None:
    """Each of a kind that has few, each third of one that has many."""
    clean = clean_start(node)
    lines = node.log("steps").read_text().splitlines()
    steps = Counter(line.removeprefix("step ") for line in lines if line.startswith("step "))
    points = [
        (name, number)
        for name, count in steps.items()
        for number in range(1, count + 1, 1 if count <= FEW else 3)
    ]
    print(steps)
    for name, number in points:
        power_cycle(node)
        killed = networkd_until(node, name, number)
        code = killed.wait(60)
        assert_made_good(node, clean, f"killed after {name} {number}")
        assert code == -signal.SIGKILL

    assert set(steps) == set(STEPS)


def test_networkd_killed_at_any_moment_is_made_good_by_the_next(node: Node) -> None:
    power_cycle(node)
    begun = time.monotonic()
    daemon = networkd(node)
    wait_until("all of it", lambda: is_ready(node))
    took, clean = time.monotonic() - begun, settled(node)
    end(daemon)
    chance = random.Random()
    for _ in range(MOMENTS):
        power_cycle(node)
        killed = networkd(node)
        moment = chance.uniform(0.2, took)
        time.sleep(moment)
        end(killed)
        assert_made_good(node, clean, f"killed after {moment:.3f} s of {took:.3f}")

"""`internet` is killed, at each named step and at random moments; the next start makes it good.

The step is read from the boot's own status file, which is written before a step does anything.
Whether the kill came in time is read there too, afterwards: if the boot had gone on, again.
"""

import random
import time
from ipaddress import IPv4Interface
from typing import Any

import pytest

from agent.boot.status import Step
from lab.host import TREE, Process, wait_until
from lab.node import Node
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from tests.lab.boot_node import (
    boot_status,
    configure,
    internet,
    kernel_state,
    known_status,
    nics,
    start_internet,
)
from zinit.client import Client, State
from zinit.units import internet as internet_unit
from zinit.units import render

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

AGENT = TREE / ".venv/bin/zosnet-agent"
NICS = ["eth0", "eth1", "eth2"]
TRIES = 20  # until a kill falls into the step that it is meant for; a step may last 1 ms
MOMENTS = 20


@pytest.fixture
def node(world: World) -> Node:
    """A LAN, a LAN without gateway, no cable; and a short grace, as it is waited for each time."""
    lone_server(world, "r", "home", Lan(IPv4Interface("192.168.7.1/24")))
    lone_server(world, "q", "quiet", Lan(IPv4Interface("10.77.0.1/24"), gateway=False))
    made = world.node("n")
    world.plug(Nic("n", "eth0", "quiet"), Nic("n", "eth1", "home"), Nic("n", "eth2", None))
    configure(made, "probe: {grace: 0.05}")
    return made


def power_cycle(node: Node) -> None:
    node.power_cut()
    node.boot()


def clean_boot(node: Node) -> tuple[dict[str, Any], float]:
    """What a boot that nobody kills leaves, and how long it took."""
    began = time.monotonic()
    ended = internet(node)
    took = time.monotonic() - began

    assert ended.returncode == 0, ended.stderr

    return kernel_state(node), took


def kill_in(node: Node, step: Step) -> bool:
    """Start a boot and kill it in `step`; whether that was where it died."""
    running = start_internet(node)
    while running.poll() is None:
        found = boot_status(node)
        if found is not None and found.step is step:
            break
    running.kill()
    running.wait(5)
    found = boot_status(node)
    return found is not None and found.step is step and not (step is Step.DONE and found.stands)


def assert_made_good(node: Node, clean: dict[str, Any], how: str) -> None:
    """The next start leaves what a clean boot leaves, and every NIC is there."""
    assert nics(node) == NICS, how

    ended = internet(node)

    assert ended.returncode == 0, f"{how}: {ended.stderr}"
    assert kernel_state(node) == clean, how

    status = known_status(node)

    assert status.step is Step.DONE, how
    assert status.uplink is not None, how
    assert (status.uplink.nic, status.uplink.address_class) == ("eth1", "RFC1918 IPv4"), how
    assert [nic.name for nic in status.nics] == ["eth1", "eth0", "eth2"], how


def test_a_boot_killed_at_any_step_is_made_good_by_the_next(node: Node) -> None:
    """B11: after kill -9 too."""
    clean, _ = clean_boot(node)
    missed = []
    for step in Step:
        for _ in range(TRIES):
            power_cycle(node)
            hit = kill_in(node, step)
            assert_made_good(node, clean, f"killed at {step}")
            if hit:
                break
        else:
            missed.append(step)

    assert missed == []


def test_a_boot_killed_at_any_moment_is_made_good_by_the_next(node: Node) -> None:
    clean, took = clean_boot(node)
    chance = random.Random()
    for _ in range(MOMENTS):
        power_cycle(node)
        moment = chance.uniform(0.3 * took, took)  # before, it is Python that starts
        killed = killed_after(node, moment)
        found = boot_status(node)
        assert_made_good(
            node, clean, f"killed after {moment:.4f} s at {found.step if found else 'nothing'}"
        )
        killed.wait(0)


def killed_after(node: Node, seconds: float) -> Process:
    running = start_internet(node)
    time.sleep(seconds)
    running.kill()
    running.wait(5)
    return running


def test_a_boot_killed_again_and_again_is_made_good_too(node: Node) -> None:
    """Recovery itself is killed: each run meets what several others left."""
    clean, took = clean_boot(node)
    power_cycle(node)
    chance = random.Random()
    for _ in range(10):
        killed_after(node, chance.uniform(0.5 * took, took))

    assert_made_good(node, clean, "killed ten times")


def test_under_zinit_a_boot_that_is_killed_five_times_completes(node: Node) -> None:
    """zinit starts no oneshot again: the unit's own loop does."""
    node.pull_cable("eth1")
    node.write("/etc/zosnet/agent.yaml", "nics: {kinds: [veth]}\nprobe: {grace: 0.05}\n")
    node.write("/etc/zinit/internet.yaml", render(internet_unit(AGENT)))
    node.start_programs()
    killed: list[int] = []
    while len(killed) < 5:
        killed.append(next_probing(node, besides=killed))
        node.run("kill", "-9", str(killed[-1]))
    states = known_states(node)
    node.plug_cable("eth1")
    wait_until("the boot", lambda: known_states(node).get("dhcp-zos") == State.RUNNING)

    assert states == {"internet": State.RUNNING}
    assert known_states(node)["internet"] == State.SUCCESS
    assert known_status(node).stands
    assert nics(node) == NICS


def probing(node: Node) -> int:
    """The pid of the boot that probes now, else 0."""
    found = boot_status(node)
    return found.pid if found is not None and found.step is Step.PROBE else 0


def next_probing(node: Node, *, besides: list[int]) -> int:
    """The pid of another boot that probes, as it was seen once: it may rest by now."""
    seen = 0

    def probes() -> bool:
        nonlocal seen
        seen = probing(node)
        return seen not in (0, *besides)

    wait_until("a boot that probes", probes)
    return seen


def known_states(node: Node) -> dict[str, State]:
    return Client(node.path("/run/zinit.sock")).list()

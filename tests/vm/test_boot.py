"""From power-on to the overlay: PID 1 is the supervisor, the rest is what it starts."""

from ipaddress import ip_address
from time import monotonic
from typing import Any

import pytest

from lab.farm import SITE_A, SITE_B
from lab.host import wait_until
from lab.world import World
from tests.vm.farm import SLOW, make_farm, node_files, overlay
from tests.vm.image import Image
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]


def test_two_nodes_boot_into_an_overlay_of_kernel_devices(
    world: World, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    farm = make_farm(world)
    nodes = [
        Machine(world, image, "n1", node_files(farm), SITE_A.switch),
        Machine(world, image, "n2", node_files(farm), SITE_B.switch),
    ]
    for node in nodes:
        node.start()
    first = await_first(nodes)
    reports = [overlay(node) for node in nodes]

    for report in reports:
        assert {ip_address(address).version for address in report["answered"]} == {4, 6}
        assert report["kinds"] == ["wireguard"]
    with capsys.disabled():
        print("".join(f"\n{line}" for line in (first, *map(phases, nodes, reports))))


def await_first(nodes: list[Machine]) -> str:
    """When one of them had an answer through the overlay, and whose time that was."""
    wait_until("an overlay ping", lambda: any("ping" in n.marks() for n in nodes), timeout=SLOW)
    node = next(node for node in nodes if "ping" in node.marks())
    seconds, cpu = monotonic() - node.started, node.cpu_seconds
    pinged, kernel = (float(node.marks()[mark].split()[-1]) for mark in ("ping", "init"))
    agent = 100 * (pinged - kernel) / seconds
    return (
        f"first overlay ping of {node.name} {seconds:.1f} s after power-on, {cpu:.0f} s of CPU: "
        f"{100 - agent:.0f} % QEMU, kernel and drivers, {agent:.0f} % supervisor and agent"
    )


def phases(node: Machine, report: dict[str, Any]) -> str:
    """When zosnet was how far, since its first program began."""
    seconds = ", ".join(f"{phase} {after:.1f}" for phase, after in report["seconds"].items())
    return f"{node.name}: kernel and drivers {node.marks()['init']} s, then zosnet: {seconds}"

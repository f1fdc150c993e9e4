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
        print(f"\nfirst overlay ping {first:.1f} s after power-on")
        print("\n".join(map(shares, nodes, reports)))


def await_first(nodes: list[Machine]) -> float:
    """Seconds from power-on until one of them has had an answer through the overlay."""
    wait_until("an overlay ping", lambda: any("ping" in n.marks() for n in nodes), timeout=SLOW)
    return monotonic() - min(node.started for node in nodes)


def shares(node: Machine, report: dict[str, Any]) -> str:
    """How much of it was the kernel's, and when zosnet was how far since its first program began."""
    phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in report["seconds"].items())
    return f"{node.name}: kernel and drivers {node.marks()['init']} s, then zosnet: {phases}"

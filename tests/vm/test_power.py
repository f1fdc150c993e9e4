"""The power goes at any moment of a boot, again and again; then it stays, and the node comes up."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import pytest

from lab.farm import SITE_A, SITE_B
from lab.world import World
from tests.vm.farm import SLOW, make_farm, node_files, overlay
from tests.vm.image import Image
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

CUTS = 5  # of each of two nodes
REST = 5  # from the first program to the overlay, in times of what the kernel took before it


def test_boots_that_lose_their_power_ten_times_come_up(
    world: World, image: Image, tmp_path: Path
) -> None:
    farm = make_farm(world, "n3")
    nodes = [
        Machine(
            world, image, name, node_files(farm), site.switch, disk=tmp_path / f"disk-of-{name}"
        )
        for name, site in (("n1", SITE_A), ("n2", SITE_B))
    ]
    with ThreadPoolExecutor(len(nodes)) as pool:
        cuts = sum(pool.map(cut_often, nodes))
        came_up = list(pool.map(overlay, nodes))

    assert cuts == CUTS * len(nodes)
    assert all(report["answered"] for report in came_up)


def cut_often(node: Machine) -> int:
    """Start it, and cut its power, CUTS times; then it is started for good. Returns the cuts."""
    chance = random.Random()
    for _ in range(CUTS):
        node.start()
        node.await_mark("init", SLOW)
        kernel_s = monotonic() - node.started
        sleep(chance.uniform(0, REST * kernel_s))
        node.power_cut()
    node.start()
    return CUTS

"""The power goes at any moment of a boot, again and again; then it stays, and the node comes up."""

import random
from pathlib import Path
from time import monotonic, sleep

import pytest

from lab.farm import SITE_A
from lab.world import World
from tests.vm.farm import SLOW, make_farm, node_files, overlay
from tests.vm.image import Image
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

CUTS = 10
REST = 5  # from the first program to the overlay, in times of what the kernel took before it


def test_a_boot_that_loses_its_power_ten_times_comes_up(
    world: World, image: Image, tmp_path: Path
) -> None:
    farm = make_farm(world, "n3")
    files = node_files(farm)
    node = Machine(world, image, "n1", files, SITE_A.switch, disk=tmp_path / "disk")
    chance = random.Random()
    for _ in range(CUTS):
        node.start()
        node.await_mark("init", SLOW)
        kernel_s = monotonic() - node.started
        sleep(chance.uniform(0, REST * kernel_s))
        node.power_cut()
    node.start()
    overlay(node)

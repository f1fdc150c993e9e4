"""The kernel's WireGuard devices: the tests that wireguard-go passes, on a kernel that has them."""

import pytest

from lab.world import World
from tests.vm.image import Image
from tests.vm.inside import passed, pytest_scenario
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

SCENARIO = pytest_scenario(
    "--confcutdir=tests/netns", "tests/netns/wireguard/test_backend.py", "-k", "kernel]"
)


def test_the_kernels_devices_do_what_those_of_wireguard_go_do(world: World, image: Image) -> None:
    machine = Machine(world, image, "guest", {"/scenario": SCENARIO})
    machine.start()

    assert passed(machine) >= 14

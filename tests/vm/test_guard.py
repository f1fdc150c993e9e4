"""The guard of ndmz on another kernel: who reaches what, and who is reached."""

import pytest

from lab.world import World
from tests.vm.image import Image
from tests.vm.inside import passed, pytest_scenario
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

TESTS = ("nothing_near", "everything_near", "comes_in", "forged")
SCENARIO = pytest_scenario(
    "--confcutdir=tests/lab", "tests/lab/test_isolation.py", "-k", f"own and ({' or '.join(TESTS)})"
)
FLOOD = "export ZOSNET_FLOOD=100 ZOSNET_RELOADS=20"  # what a machine without KVM carries
FLOODED = f"{FLOOD}\n" + pytest_scenario(
    "-s", "--confcutdir=tests/lab", "tests/lab/test_isolation.py", "-k", "own and reloads_under"
)


def test_the_guard_holds_on_this_kernel_too(world: World, image: Image) -> None:
    machine = Machine(world, image, "guest", {"/scenario": SCENARIO})
    machine.start()

    assert passed(machine) == len(TESTS)


def test_reloads_under_a_flood_let_no_packet_out_on_this_kernel_either(
    world: World, image: Image
) -> None:
    """6.1 looks into sets while they are filled (decision 39)."""
    machine = Machine(world, image, "flooded", {"/scenario": FLOODED})
    machine.start()

    assert passed(machine) == 1

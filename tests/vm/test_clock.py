"""A node without a battery: it starts in 1970, and its peers remember later handshakes of its."""

from pathlib import Path

import pytest

from lab.farm import SITE_A
from lab.world import World
from tests.vm.farm import SUPERVISOR, make_farm, node_files, overlay
from tests.vm.image import Image
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

IN_1970 = ("-rtc", "base=1970-01-02T00:00:00")


def test_a_node_in_1970_comes_back_by_its_floor_and_by_its_controllers_time(
    world: World, image: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    farm = make_farm(world, "n3")
    files = {**node_files(farm), "/etc/zosnet/agent.yaml": "clock: step\n"}
    node = Machine(world, image, "n1", files, SITE_A.switch, disk=tmp_path / "disk")
    node.start()
    first = overlay(node)
    node.power_cut()

    farm.controller.pull_cable("eth0")
    node.start(*IN_1970)
    by_floor = overlay(node)
    node.power_cut()
    farm.controller.plug_cable("eth0")

    assert "admitted" not in by_floor["seconds"]

    node.files["/scenario"] = f"rm /var/lib/zosnet/clock\n{SUPERVISOR}"
    node.start(*IN_1970)
    by_controller = overlay(node)

    with capsys.disabled():
        seconds = by_controller["seconds"]
        late = seconds["first_ping"] - seconds["admitted"]
        print(f"\nfirst overlay ping {late:.1f} s after the controller's answer")
    assert first["clock"] < by_floor["clock"]
    assert first["clock"] < by_controller["clock"]

"""Physical NICs outlive what is done to them: the kernel sends them home, sometimes renamed."""

import json
import re
from ipaddress import IPv4Interface

import pytest

from lab.router import Lan, lone_server
from lab.wiring import stable_mac
from lab.world import World
from tests.vm.image import PACKAGES, Image
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

SCENARIO = f"""
cd {PACKAGES}
python -m tests.vm.guest.nics
echo "@@ ended $?"
poweroff -f
"""


@pytest.fixture
def machine(world: World, image: Image) -> Machine:
    """eth0 leads to a DHCP server, eth1 to a LAN where nobody answers."""
    lone_server(world, "r", "home", Lan(IPv4Interface("192.168.7.1/24")))
    return Machine(world, image, "guest", {"/scenario": SCENARIO}, "home", "quiet")


def test_no_nic_is_lost_when_a_boot_is_killed_while_it_probes(machine: Machine) -> None:
    machine.start()
    assert machine.await_mark("ended", 300) == "0"
    said = {name: json.loads(text) for name, text in machine.marks().items()}
    macs = sorted(stable_mac(f"guest.{card}") for card in ("eth0", "eth1"))

    assert said["killed"] == ["eth0", "eth1"]
    new = said["renamed"]["eth0"]
    assert said["renamed"] == {"eth0": new}
    assert re.fullmatch(r"dev\d+", new)
    assert said["killed-again"] == [new, "eth1"]
    assert said["made-good"] == {"code": 0, "port": [new], "nics": macs}

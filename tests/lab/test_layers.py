"""A bond and VLANs under a boot, as far as this kernel goes: it has neither; tests of VMs have."""

from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

import pytest

from lab.host import PYTHON, wait_until
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from runtime.failure import Exit
from tests.lab.boot_node import (
    addresses,
    configure,
    internet,
    known_status,
    links,
    nics,
    ports,
    spaces,
)

pytestmark = pytest.mark.lab

HOME = Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64"))
AT_HOME = Path(__file__).parent / "programs/boot_at_home.py"


@pytest.mark.parametrize(
    ("layer", "said", "module"),
    [
        ("vlan: 12", "cannot add VLAN eth0.12: ", "8021q"),
        ("bond: {nics: [eth0]}", "cannot add bond zbond: ", "bonding"),
    ],
)
def test_a_kernel_without_them_is_named_and_no_nic_is_lost(
    world: World, layer: str, said: str, module: str
) -> None:
    node = world.node("n")
    world.plug(Nic("n", "eth0", "home"))
    if node.run("modprobe", module, check=False).returncode == 0:
        pytest.skip(f"this kernel has {module}")
    configure(node, f"uplink: {{{layer}}}")
    ended = internet(node)

    assert ended.returncode == Exit.USAGE, ended.stderr
    assert said in ended.stderr
    assert f"hint: this kernel needs the module {module}" in ended.stderr
    assert known_status(node).error.startswith(said)
    assert (nics(node), spaces(node)) == (["eth0"], [])


def test_what_cannot_be_moved_is_probed_at_home(world: World) -> None:
    lone_server(world, "r", "home", HOME)
    lone_server(world, "q", "quiet", Lan(IPv4Interface("10.77.0.1/24"), gateway=False))
    node = world.node("n")
    world.plug(Nic("n", "eth0", "home"), Nic("n", "eth1", "quiet"))
    configure(node, "probe: {grace: 0.2}")
    ended = node.run(PYTHON, AT_HOME, check=False)
    status = known_status(node)

    assert ended.returncode == 0, ended.stderr
    assert status.uplink is not None
    assert status.uplink.nic == "eth0"
    assert (ports(node), spaces(node)) == (["eth0"], [])
    assert addresses(node, "eth0", family=4) == addresses(node, "eth1", family=4) == []
    assert "UP" not in links(node)["eth1"]["flags"]
    assert addresses(node, "zos", family=4)[0].startswith("192.168.7.")
    wait_until("IPv6 on zos", lambda: bool(addresses(node, "zos", family=6)))
    routes = node.output("ip", "-6", "route", "show", "default").splitlines()
    assert routes
    assert node.output("cat", "/proc/sys/net/ipv6/conf/default/dad_transmits").strip() == "1"
    assert all(" dev zos " in route for route in routes)

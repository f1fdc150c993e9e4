"""A node that has nothing but the kernel's command line and a join string beside the kernel."""

import pytest
from msgspec.structs import replace

from lab import programs
from lab.farm import FARM, build_farm
from lab.world import World
from protocol.joinstring import JoinString, render_join_string
from protocol.keys import VerifyKey, new_curve_pair

pytestmark = pytest.mark.lab

JOIN = "/run/boot/join"


def test_the_kernels_command_line_brings_a_node_into_its_farm(world: World) -> None:
    farm = build_farm(world, replace(FARM, nodes=FARM.nodes[:1]))
    node, controller = farm.nodes["n1"], farm.controller
    programs.start_controller(controller)
    programs.create_network(controller, programs.NETWORK)
    programs.give_join_string(controller, node, programs.NETWORK, transit=True)
    (status,) = programs.ncadm(controller, "status")
    node.write(JOIN, node.path(programs.JOIN_FILE).read_text(), mode=0o600)
    words = f"zosnet.nics.kinds=[veth] zosnet.join={JOIN} zosnet.farm='{status['controller']}'"
    node.write("/run/cmdline", f"root=/dev/ram0 {words} quiet\n")
    node.script("mount --bind /run/cmdline /proc/cmdline; rm /etc/zosnet/*")
    node.run("zosnet-agent", "install")
    node.start_programs()
    overlay = node.output("zosnet-agent", "wait", "overlay", "--timeout", "50")
    public, token = new_curve_pair()
    stranger = JoinString(VerifyKey(bytes(32)), token, (("tcp://192.0.2.1:9930", public),))
    other = node.run("zosnet-agent", "join", "-", input=render_join_string(stranger), check=False)

    assert overlay.startswith("overlay after ")
    assert "this node is for farm" in other.stderr

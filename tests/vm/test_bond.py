"""Several NICs as one link to the site: one dies and nothing is lost; and LACP with the other end."""

from ipaddress import IPv4Interface

import pytest

from lab.router import Lan, lone_server
from lab.world import World
from tests.vm.image import Image
from tests.vm.machine import Machine
from tests.vm.site import BOOT, SLOW, TELL

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

BOND = "zosnet.uplink.bond.nics=[eth0,eth1]"


def test_a_link_of_a_bond_dies_and_the_lease_stays(world: World, image: Image) -> None:
    server = lone_server(world, "r", "home", Lan(IPv4Interface("192.168.7.1/24")))
    node = Machine(world, image, "n", {"/scenario": f"{BOOT}{TELL}"}, "home", "home", words=BOND)
    node.start()
    assert node.await_mark("internet", SLOW) == "0"
    node.await_news("bond", lambda said: said == "eth0 eth0+eth1", SLOW)
    first = node.await_news("zos", answered, SLOW)
    asked = server.log("dnsmasq").read_text()

    node.pull_cable("eth0")
    node.await_news("bond", lambda said: said == "eth1 eth1", SLOW)
    second = node.await_news("zos", answered, SLOW)
    node.plug_cable("eth0")
    node.await_news("bond", lambda said: said == "eth1 eth0+eth1", SLOW)
    node.pull_cable("eth1")
    node.await_news("bond", lambda said: said == "eth0 eth0", SLOW)
    third = node.await_news("zos", answered, SLOW)
    node.pull_cable("eth0")
    node.await_news("zos", lambda said: said.endswith("silent"), SLOW)

    assert first.startswith("zbond 192.168.7.1")
    assert first == second == third
    assert server.log("dnsmasq").read_text() == asked


def answered(said: str) -> bool:
    return said.endswith(" answered")

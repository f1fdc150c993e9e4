"""Several NICs as one link to the site: one dies and nothing is lost; and LACP with the other end."""

from ipaddress import IPv4Interface

import pytest

from lab.router import Lan, lone_server
from lab.world import World
from tests.vm.image import Image
from tests.vm.machine import Machine
from tests.vm.site import BOOT, SLOW, TAG, TAGGED, TELL, answered, other_end

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

BOND = "zosnet.uplink.bond.nics=[eth0,eth1]"
LACP = f"{BOND} zosnet.uplink.bond.mode=802.3ad zosnet.uplink.vlan={TAG}"


def test_a_link_of_a_bond_dies_and_the_lease_stays(world: World, image: Image) -> None:
    server = lone_server(world, "r", "home", Lan(IPv4Interface("192.168.7.1/24")))
    node = Machine(world, image, "n", {"/scenario": f"{BOOT}{TELL}"}, "home", "home", words=BOND)
    node.start()
    assert node.await_mark("internet", SLOW) == "0"
    assert node.marks()["nics"] == "zbond"  # and not the bond0 that the module makes
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


def test_lacp_with_the_other_end_carries_a_tagged_uplink(world: World, image: Image) -> None:
    end = Machine(world, image, "end", {"/scenario": other_end(bonded=True)}, "c0", "c1")
    node = Machine(world, image, "n", {"/scenario": f"{BOOT}{TELL}"}, "c0", "c1", words=LACP)
    end.start()
    node.start()
    assert node.await_mark("internet", SLOW) == "0"
    partner = end.await_mark("ready", SLOW)
    both = node.await_news("lacp", lambda said: said.startswith("2 "), SLOW)
    first = node.await_news("zos", answered, SLOW)
    # At both ends: Linux 6.1 there was once seen to send into a half dead one for ever.
    for machine in (node, end):
        machine.pull_cable("eth0")
    one = node.await_news("lacp", lambda said: said.startswith("1 "), SLOW)
    second = node.await_news("zos", answered, SLOW)

    port, address, _ = first.split()
    assert (both, one) == (f"2 {partner}", f"1 {partner}")
    assert port == "zbond.12"
    assert IPv4Interface(address).network == TAGGED.network
    assert first == second

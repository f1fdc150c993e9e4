"""What the console of a node shows while it boots."""

import re
from ipaddress import IPv4Interface

import pytest

from agent.boot.supervise import agent_program
from lab.host import wait_until
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from zinit.units import internet, render

pytestmark = pytest.mark.lab

LINE = re.compile(r"zosnet +\d+\.\d\d s  (.*)")


def test_under_zinit_the_console_has_a_line_for_each_phase_and_why_it_waits(world: World) -> None:
    lone_server(world, "r", "home", Lan(IPv4Interface("192.168.7.1/24")))
    node = world.node("n")
    world.plug(Nic("n", "eth0", "home"), Nic("n", "eth1", None))
    node.pull_cable("eth0")
    node.write("/etc/zosnet/agent.yaml", "nics: {kinds: [veth]}\nprobe: {carrier: 1}\n")
    node.write("/etc/zinit/internet.yaml", render(internet(agent_program())))
    node.start_programs()

    def console() -> list[str]:
        return LINE.findall(node.log("zinitd").read_text())

    wait_until("a rest", lambda: any("no uplink yet" in line for line in console()))
    node.plug_cable("eth0")
    wait_until("the end", lambda: any("done" in line for line in console()))
    said = console()
    rests = [line for line in said if line.startswith("no uplink yet: ")]

    assert re.fullmatch(
        r"no uplink yet: eth0: no carrier; eth1: no carrier; asking again in \d s", rests[0]
    )
    uplink, *end = said[1 + len(rests) :]
    assert said[0] == "asking for a network on eth0, eth1"
    assert uplink.startswith("uplink eth0: RFC1918 IPv4 192.168.7.")
    assert end == ["zos stands on eth0", "done: dhcp zos keeps the lease"]


def test_a_boot_that_tries_again_and_again_says_it_once(world: World) -> None:
    """There is no zinit to give the lease keeper to."""
    lone_server(world, "r", "home", Lan(IPv4Interface("192.168.7.1/24")))
    node = world.node("n")
    world.plug(Nic("n", "eth0", "home"))
    node.write("/etc/zosnet/agent.yaml", "nics: {kinds: [veth]}\nlog: {level: debug}\n")
    log = node.log("internet")
    node.spawn("zosnet-agent", "internet", "--keep-trying", log=log)
    wait_until("three tries", lambda: log.read_text().count("step=unit") > 2)
    text = log.read_text()

    assert text.count("zos stands on eth0") == 1
    assert text.count("cannot reach zinit") == 1

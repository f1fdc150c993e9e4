"""`reset` gives the leases back: the server's file has them no more. What else ends does not."""

import signal

import pytest

from lab.host import Process, wait_until
from lab.node import Node
from lab.router import LEASES, lone_server
from lab.wiring import Nic
from lab.world import World
from runtime.failure import Exit
from tests.lab.boot_node import addresses, configure, internet, nics, spaces
from tests.lab.test_dhcp import HOME, UDHCPD, acquired, said

pytestmark = pytest.mark.lab


# The first ARP request is not answered; the kernel asks again after a second.
DEAF = """
    nft add table arp deaf
    nft 'add chain arp deaf input { type filter hook input priority 0; }'
    nft add rule arp deaf input arp operation request counter drop
"""
HEAR = """
    until nft list table arp deaf | grep -q 'packets [1-9]'; do sleep 0.02; done
    nft delete table arp deaf
"""


def leases(server: Node) -> list[str]:
    """The MACs that hold one."""
    return sorted(line.split()[1] for line in server.path(LEASES).read_text().splitlines())


def node_with_two_leases(world: World, server: Node) -> tuple[Node, Process]:
    """zos has one, and ndmz."""
    node = world.node("n1")
    world.plug(Nic("n1", "eth0", "lan"))
    configure(node)
    assert internet(node).returncode == Exit.OK
    networkd = node.spawn("zosnet-agent", "networkd", log=node.log("networkd"))
    wait_until("two leases", lambda: len(leases(server)) == 2)
    wait_until("ndmz", lambda: node.ok("zosnet-agent", "wait", "ndmz", "--timeout", "0"))
    return node, networkd


def test_a_reset_gives_the_leases_of_the_host_and_of_ndmz_back(world: World) -> None:
    server = lone_server(world, "srv", "lan", HOME)
    node, networkd = node_with_two_leases(world, server)
    networkd.terminate()
    networkd.wait(10)
    kept = leases(server)
    node.script("ip neigh flush dev zos; ip -n ndmz neigh flush dev npub4")
    server.script(DEAF)
    server.spawn("sh", "-c", HEAR)
    done = node.output("zosnet-agent", "reset", "--yes")
    wait_until("the end of both", lambda: leases(server) == [])

    assert len(kept) == 2  # networkd's end costs nothing
    assert len(said(server, "DHCPRELEASE")) == 2
    assert done.count("given back") == 2
    assert nics(node) == ["eth0"]
    assert spaces(node) == []


def test_a_reset_without_the_server_ends_all_the_same(world: World) -> None:
    server = lone_server(world, "srv", "lan", HOME)
    node, networkd = node_with_two_leases(world, server)
    networkd.terminate()
    networkd.wait(10)
    node.pull_cable("eth0")
    node.script("ip neigh flush dev zos; ip -n ndmz neigh flush dev npub4")
    node.run("zosnet-agent", "reset", "--yes")

    assert nics(node) == ["eth0"]
    assert spaces(node) == []
    assert len(leases(server)) == 2


def test_another_make_of_server_gives_renews_and_takes_back(world: World) -> None:
    """busybox udhcpd, which writes its leases down when it is asked to."""
    server = world.node("srv", disk=False)
    world.plug(Nic("srv", "lan0", "lan"))
    server.script("ip link set lan0 up; ip addr add 192.168.9.1/24 dev lan0; touch /run/leases")
    server.write("/run/udhcpd.conf", f"{UDHCPD}opt 0x3a 00000006\n")  # T1: 6 s
    udhcpd = server.spawn("busybox", "udhcpd", "-f", "/run/udhcpd.conf", log=server.log("udhcpd"))
    node = world.node("n1")
    world.plug(Nic("n1", "eth0", "lan"))
    configure(node)
    assert internet(node).returncode == Exit.OK
    wait_until("a lease", lambda: acquired(node, "zos") > 0)
    first = acquired(node, "zos")
    wait_until("its renewal", lambda: acquired(node, "zos") > first + 5)
    (address,) = (a.partition("/")[0] for a in addresses(node, "zos", family=4))
    wait_until("what the server has", lambda: address in dumped(server, udhcpd))
    held = dumped(server, udhcpd).get(address, "")
    node.run("zosnet-agent", "reset", "--yes")
    wait_until("its end", lambda: "expired" in dumped(server, udhcpd).get(address, ""))

    assert "expired" not in held
    assert addresses(node, "eth0", family=4) == []


def dumped(server: Node, udhcpd: Process) -> dict[str, str]:
    """By address, what the server knows of its lease; nothing while it writes that down."""
    udhcpd.send_signal(signal.SIGUSR1)
    said = server.output("busybox", "dumpleases", "-f", "/run/leases").splitlines()[1:]
    return {line.split()[1]: line for line in said if len(line.split()) > 1}

"""A node's way to its uplink: from `internet` to a default route, from `networkd` to both families.

Each round is a boot of the same lab node, with the same cards and the same disk. What the kernel
alone needs for IPv6 on the same LAN, router solicitation and duplicate address detection, is measured
in turns with it.
"""

import json
import statistics
import time
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface

from bench.figure import Figure
from lab.host import PYTHON, wait_until
from lab.internet import internet
from lab.network import leave_unplugged, switch
from lab.node import Node
from lab.router import Lan, Site, lone_server, router
from lab.world import World

HOME = Lan(IPv4Interface("192.168.7.1/24"))
SITE = Site("b", 2, Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")))
CONFIG = "nics: {kinds: [physical, veth]}\nsupervisor: none\n"
FIRST_ROUTE = (PYTHON, "-m", "bench.node.first_route", "zos")
NDMZ = "/run/zosnet/ndmz.json"
# In a namespace of its own on the same LAN; up when its first packet may leave.
BARE = """
    ip netns add bare
    ip link add bare0 type veth peer name bare1 netns bare
    ip link set bare0 master zos up
    ip -n bare link set lo up
"""


def first_route(rounds: int) -> Iterable[Figure]:
    """`internet`: process start → default route on zos, IPv4 LAN, 1 cabled of 8 NICs."""
    with World() as world:
        lone_server(world, "server", "lan", HOME)
        node = world.node("n")
        switch(world, "lan", (node, "eth3"))
        leave_unplugged(world, *((node, f"eth{n}") for n in range(8) if n != 3))
        node.write("/etc/zosnet/agent.yaml", CONFIG)
        boots, starts = [], []
        for counted in range(rounds + 1):
            boot = float(node.output(*FIRST_ROUTE, "zosnet-agent", "internet", timeout=120))
            begun = time.monotonic()
            node.run("zosnet-agent", "--version")
            start = time.monotonic() - begun
            if counted:  # the first finds nothing in the page cache
                boots.append(boot)
                starts.append(start)
            node.power_cut()
            node.boot()
    yield Figure("internet → default route, 1 cabled of 8 NICs", statistics.median(boots), "s", 0.7)
    yield Figure("  of it the start of the program", statistics.median(starts), "s")


def both_families(rounds: int) -> Iterable[Figure]:
    """Dual stack: networkd's start → both families in ndmz, by the kernel's own SLAAC and DAD."""
    with World() as world:
        router(world, internet(world), SITE)
        node = world.node("n")
        switch(world, SITE.switch, (node, "eth0"))
        node.write("/etc/zosnet/agent.yaml", CONFIG)
        ours, kernels = [], []
        for counted in range(rounds + 1):
            node.run("zosnet-agent", "internet", timeout=60)
            kernel = slaac(node)
            own = ndmz(node)
            if counted:
                ours.append(own)
                kernels.append(kernel)
            node.power_cut()
            node.boot()
    ratio = statistics.median(ours) / statistics.median(kernels)
    yield Figure("networkd → both families in ndmz ÷ the kernel's SLAAC + DAD", ratio, "", 1.3)
    yield Figure("  networkd → both families", statistics.median(ours), "s")
    yield Figure("  the kernel's SLAAC + DAD", statistics.median(kernels), "s")


def slaac(node: Node) -> float:
    """Seconds from a link that goes up to an address that may be used and a route."""
    node.script(BARE)
    said = node.output(*node.inside("bare", PYTHON, "-m", "bench.node.slaac", "bare1"), timeout=60)
    node.script("ip netns delete bare")
    return float(said)


def ndmz(node: Node) -> float:
    """Seconds from the start of networkd to both families."""
    path = node.path(NDMZ)
    begun = time.monotonic()
    daemon = node.spawn("zosnet-agent", "networkd", log=node.log("networkd"))

    def ready() -> bool:
        if not path.exists():
            return False
        said = json.loads(path.read_bytes())
        return bool(said["ready4"] and said["ready6"])

    wait_until("both families in ndmz", ready)
    taken = time.monotonic() - begun
    daemon.kill()
    daemon.wait(5)
    return taken

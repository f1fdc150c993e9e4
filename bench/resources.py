"""`script/bench resources`: network resources on a node, by the real networkd in a lab world.

A hundred are made by one command, then nothing is done for a while: what networkd needs beyond an idle
one is what looking at all of them costs. Then each kind of drift, and the end of networkd under pings.
Seconds depend on the machine and on what else it does; CPU time does less.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from bench.figure import Figure, report
from lab.host import Process, wait_until
from lab.internet import WEB4, internet
from lab.network import switch
from lab.node import Node
from lab.router import Lan, Site, router
from lab.world import World

MANY, FEW, IDLE = 100, 10, 20.0
RANGES = ("--ipv4", "10.1.1.0/24", "--ipv6", "fd12:3456:789a::/64")
LOOK = 5.0  # seconds in which networkd looks at each of them, at its cable too, once at least
SITE = Site("b", 2, Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")))
DRIFT = {
    "a route": "ip -n web route flush default",
    "a rule": "ip netns exec n-r0 nft flush chain inet zosnet_nr through",
    "a veth": "ip -n n-r0 link delete public",
    "the bridge": "ip -n n-r0 link delete b-r0",
}
PINGS = 400


def main() -> int:
    parser = argparse.ArgumentParser(description="network resources: what they cost on a node")
    parser.add_argument("--quick", action="store_true", help="a few of them, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    with World() as world:
        _, _, node = make_site(world)
        figures = [*(measure(node, 6, 3, 5.0) if arguments.quick else measure(node))]
    return report(figures, arguments.json)


def measure(node: Node, many: int = MANY, few: int = FEW, idle: float = IDLE) -> Iterator[Figure]:
    daemon, names = start(node), [f"r{number}" for number in range(many)]
    create(node, names[:few])
    yield Figure(f"networkd resident with {few} network resources", resident(daemon), "MiB", 50.0)
    node.output("zosnet-agent", "nr", "delete", *names[:few])
    alone = cpu_of_idling(daemon, idle)
    yield Figure("idle networkd", 100 * alone / idle, "% CPU", 0.2)
    before, begun = cpu(daemon), time.monotonic()
    create(node, names)
    yield Figure(f"{many} network resources made", time.monotonic() - begun, "s", 5.0)
    yield Figure("  CPU of networkd for it", cpu(daemon) - before, "s")
    looking = cpu_of_idling(daemon, idle) - alone
    yield Figure(f"a look at all {many}", looking / idle * LOOK * 1000, "ms CPU", 100.0)
    node.script("ip netns add web")
    node.output("zosnet-agent", "nr", "attach", "r0", "web")
    for what, command in DRIFT.items():
        yield Figure(f"{what} that was deleted is back after", repair(node, command), "s", 5.0)
    yield Figure(f"of {PINGS} pings lost while networkd is killed", lost(node, daemon), "", 0.0)


def make_site(world: World) -> tuple[Node, Node, Node]:
    """The pretend Internet, a router, and a node on its LAN."""
    inet = internet(world)
    gateway = router(world, inet, SITE)
    node = world.node("n1")
    switch(world, SITE.switch, (node, "eth0"))
    node.script("""
        ip link add zos type bridge forward_delay 0 mcast_snooping 0
        ip link set eth0 master zos up
        ip link set zos up
        ip addr add 192.168.7.20/24 dev zos
        ip route add default via 192.168.7.1
    """)
    return inet, gateway, node


def start(node: Node) -> Process:
    status = node.path("/run/zosnet/ndmz.json")
    status.unlink(missing_ok=True)
    process = node.spawn("zosnet-agent", "networkd", log=node.log("networkd"))
    wait_until("ndmz", lambda: status.exists() and json.loads(status.read_text())["ready4"])
    return process


def create(node: Node, names: list[str]) -> None:
    said = node.output("zosnet-agent", "nr", "create", *names, *RANGES, "-o", "json", timeout=120)
    made: list[dict[str, Any]] = json.loads(said)["items"]
    if [one["name"] for one in made if one["state"] == "up" and one["outside"]] != names:
        raise RuntimeError(f"not all of them are there: {said}")


def repair(node: Node, command: str) -> float:
    """Seconds from the damage to the next answer that the workload gets."""
    wait_until("an answer", lambda: answers(node))
    node.script(command)
    begun = time.monotonic()
    wait_until("the repair", lambda: answers(node))
    return time.monotonic() - begun


def answers(node: Node) -> bool:
    ping = ("ping", "-c1", "-W0.2", "-q", str(WEB4))
    return node.ok(*node.inside("web", *ping))


def lost(node: Node, daemon: Process) -> int:
    ping = ("ping", "-q", "-i", "0.005", "-c", str(PINGS), str(WEB4))
    log = node.log("pings")
    pinging = node.spawn(*node.inside("web", *ping), log=log)
    daemon.kill()
    daemon.wait(5)
    start(node)
    pinging.wait(30)
    return PINGS - int(log.read_text().split("packets transmitted, ")[1].split()[0])


def cpu_of_idling(daemon: Process, seconds: float) -> float:
    time.sleep(LOOK)  # what was begun is over
    before = cpu(daemon)
    time.sleep(seconds)
    return cpu(daemon) - before


def cpu(daemon: Process) -> float:
    """Seconds that its threads have had."""
    files = Path(f"/proc/{daemon.pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def resident(daemon: Process) -> float:
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("networkd is gone")


if __name__ == "__main__":
    sys.exit(main())

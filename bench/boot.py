"""`script/bench boot [FIGURE …] [--json FILE] [--quick]`: what a node needs to come up, and to stay up.

Each figure stands beside its floor or its peers, measured in turns with it; see bench/node. `--quick`
takes few rounds: its figures show that the bench works, not how fast a node is.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable

from agent.dhcp.status import status_path
from agent.phases import BOOT
from bench import resources, startup
from bench.figure import Figure, parse_figures, report
from bench.node import flows, leases, uplink
from lab.host import wait_until
from lab.network import switch
from lab.router import lone_server
from lab.world import World
from runtime.failure import CannotError

CLIENTS = ("udhcpc", "dhclient", "dhcpcd")
LIGHT = ("zosnet-agent --help", "zosnet-agent wait")


def main() -> int:
    parser = argparse.ArgumentParser(description="what a node needs to come up, and to stay up")
    arguments = parse_figures(parser, FIGURES)
    figures: list[Figure] = []
    try:
        for name in arguments.figures or FIGURES:
            print(f"{name} …", file=sys.stderr, flush=True)
            figures += FIGURES[name](arguments.quick)
    except CannotError as error:
        report(figures, arguments.json)  # what was measured before it failed
        print(f"error: {error.message}", file=sys.stderr)
        return int(error.code)
    return report(figures, arguments.json)


def dhcp(quick: bool) -> Iterable[Figure]:
    """link up → address, 1, 4 and 16 NICs, beside a raw exchange and other clients"""
    for nics, rounds in ((1, 1), (2, 1)) if quick else ((1, 25), (4, 15), (16, 9)):
        times = leases.in_world(nics, rounds)
        medians = {name: statistics.median(one.up) for name, one in times.items()}
        what = f"link up → address, {nics} NIC{'s' * (nics > 1)}"
        yield Figure(f"{what}, ÷ a raw exchange", medians["ours"] / medians["raw"], "", 1.5)
        for client in medians.keys() & CLIENTS:
            yield Figure(f"{what}, ÷ {client}", medians["ours"] / medians[client], "", 1.0)
        for name in ("floor", "raw", "ours", "process"):
            if name in medians:
                yield Figure(f"  {name}, {nics}", medians[name], "ms")


def route(quick: bool) -> Iterable[Figure]:
    """`internet`: process start → default route on zos, 1 cabled of 8 NICs"""
    return uplink.first_route(2 if quick else 11)


def families(quick: bool) -> Iterable[Figure]:
    """dual stack: networkd → both families in ndmz, beside the kernel's own SLAAC and DAD"""
    return uplink.both_families(1 if quick else 7)


def guard(quick: bool) -> Iterable[Figure]:
    """throughput and CPU a packet through ndmz, with and without the guard"""
    return flows.cost_of_the_guard(2 if quick else 15)


def nr(quick: bool) -> Iterable[Figure]:
    """network resources: made, looked at, mended; networkd's memory and what it costs when idle"""
    with World() as world:
        _, _, node = resources.make_site(world)
        yield from resources.measure(node, 6, 3, 5.0) if quick else resources.measure(node)


def light(quick: bool) -> Iterable[Figure]:
    """memory of the lease keeper; start of commands on a node, beside a bare interpreter"""
    with World() as world:
        lone_server(world, "server", "lan", uplink.HOME)
        node = world.node("n")
        switch(world, "lan", (node, "eth0"))
        keeper = node.spawn("zosnet-agent", "dhcp", "eth0", "--no-dns", log=node.log("dhcp"))
        told = node.path(str(status_path("eth0")))
        wait_until("a lease", lambda: told.exists() and "bound" in told.read_text())
        yield Figure("the lease keeper resident", resources.resident(keeper), "MiB", 36.0)
        # where the uplink stands, so that `wait` has nothing to explain
        node.script("ip link add zos type bridge")
        node.path(str(BOOT)).write_text(json.dumps({"stands": True, "seconds": {"done": 0.5}}))
        node.output("zosnet-agent", "wait", "uplink", "--timeout", "0")
        rounds = "5" if quick else "25"
        programs = (sys.executable, "-m", "bench.startup", "--json", "--rounds", rounds)
        times: startup.Figures = json.loads(node.output(*programs, timeout=300))["ms"]
    bare = statistics.median(times[startup.BARE])
    for name in LIGHT:
        ratio = statistics.median(times[name]) / bare
        yield Figure(f"start of {name} ÷ a bare interpreter", ratio, "", 4.0)


FIGURES: dict[str, Callable[[bool], Iterable[Figure]]] = {
    measure.__name__: measure for measure in (dhcp, route, families, guard, nr, light)
}


if __name__ == "__main__":
    sys.exit(main())

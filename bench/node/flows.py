"""What the guard costs a workload's packets: the same way with it and without, in turns.

A workload in a network resource, ndmz with its uplink, a router, a host on the pretend Internet.
networkd is ended before: what it made stays, and nobody repairs what is taken away here.

guarded   the rules as networkd loads them
open      of them only the translation is left: ndmz and the resource as they forward, unguarded
plain     no rule at all, nor connection tracking; the others know the way back

What the guard adds is guarded ÷ open: without translation there is no way out of a resource, and none is
translated without being tracked. What that costs stands beside it. Whatever else the machine does
only slows, so each of a round's figures is the best of some.
"""

import json
import random
import re
import statistics
from collections.abc import Iterable

from bench import resources
from bench.figure import Figure
from lab.host import PYTHON, wait_until
from lab.internet import WEB4
from lab.node import Node
from lab.world import World

PACKETS, BYTES = 20_000, 32 << 20
TRIES = 2  # a round
SPACES = ("ndmz", "n-r0")
WAYS = ("guarded", "open", "plain")
SENDER = (PYTHON, "-m", "bench.node.sender")


def cost_of_the_guard(rounds: int) -> Iterable[Figure]:
    """Medians over the rounds of one way ÷ another, each round's three in a new order."""
    with World() as world:
        inet, gateway, node = resources.make_site(world)
        make_workload(node)
        teach_the_way_back(node, gateway)
        sink = inet.spawn(*SENDER, "sink", log=inet.log("sink"))
        wait_until("the sink", lambda: "ready" in inet.log("sink").read_text())
        rules = {way: saved(node, way) for way in WAYS}
        speed: dict[str, list[float]] = {way: [] for way in WAYS}
        cpu: dict[str, list[float]] = {way: [] for way in WAYS}
        for counted in range(rounds + 1):
            for way in random.sample(WAYS, len(WAYS)):
                load(node, rules[way])
                measured = [
                    (send(node, "tcp", BYTES), send(node, "udp", PACKETS)) for _ in range(TRIES)
                ]
                if counted:
                    speed[way].append(max(bytes_a_second for bytes_a_second, _ in measured))
                    cpu[way].append(min(nanoseconds for _, nanoseconds in measured))
        sink.kill()
    yield Figure(
        "throughput, guarded ÷ unguarded", ratio(speed, "guarded", "open"), "", 0.95, least=True
    )
    yield Figure("CPU a packet, guarded ÷ unguarded", ratio(cpu, "guarded", "open"), "", 1.1)
    for way, name in (("guarded", "guarded"), ("open", "unguarded")):
        beside = f"{name} ÷ no translation, no tracking"
        yield Figure(f"  throughput, {beside}", ratio(speed, way, "plain"), "")
        yield Figure(f"  CPU a packet, {beside}", ratio(cpu, way, "plain"), "")
    yield Figure(
        "  CPU a packet, no translation, no tracking", statistics.median(cpu["plain"]) / 1000, "µs"
    )
    yield Figure("  throughput, the same", statistics.median(speed["plain"]) * 8e-9, "Gbit/s")


def ratio(figures: dict[str, list[float]], one: str, other: str) -> float:
    pairs = zip(figures[one], figures[other], strict=True)
    return statistics.median(upper / lower for upper, lower in pairs)


def make_workload(node: Node) -> None:
    """`web` in network resource r0, by a networkd that then is no more."""
    daemon = resources.start(node)
    resources.create(node, ["r0"])
    node.script("ip netns add web")
    node.output("zosnet-agent", "nr", "attach", "r0", "web")
    wait_until("the workload's Internet", lambda: resources.answers(node))
    daemon.kill()
    daemon.wait(5)


def teach_the_way_back(node: Node, gateway: Node) -> None:
    """For when nothing is translated on the node."""
    inside = "10.1.1.0/24"
    node.output("ip", "-n", "ndmz", "route", "add", inside, "via", address(node, "n-r0", "public"))
    gateway.output("ip", "route", "add", inside, "via", address(node, "ndmz", "npub4"))


def address(node: Node, space: str, link: str) -> str:
    shown = json.loads(node.output("ip", "-n", space, "-4", "-j", "addr", "show", "dev", link))
    return str(shown[0]["addr_info"][0]["local"])


def saved(node: Node, way: str) -> dict[str, str]:
    """What `load` takes, by namespace."""
    listed = {space: node.output(*node.inside(space, "nft", "list", "ruleset")) for space in SPACES}
    if way == "guarded":
        return listed
    return {space: translation(text) if way == "open" else "" for space, text in listed.items()}


def translation(rules: str) -> str:
    """Of a listed ruleset the chains of type nat."""
    kept: list[str] = []
    for table in re.findall(r"^table .*?^}", rules, re.DOTALL | re.MULTILINE):
        head, _, body = table.partition("\n")
        chains = re.findall(r"^\tchain .*?^\t}\n", body, re.DOTALL | re.MULTILINE)
        kept += [head, *(chain for chain in chains if "type nat" in chain), "}"]
    return "\n".join(kept) + "\n"


def load(node: Node, rules: dict[str, str]) -> None:
    for space, text in rules.items():
        node.run(*node.inside(space, "nft", "-f", "-"), input="flush ruleset\n" + text)


def send(node: Node, what: str, amount: int) -> float:
    return float(
        node.output(*node.inside("web", *SENDER, what, str(WEB4), str(amount)), timeout=120)
    )

"""The uplink for life: a cable that is pulled, a router that dies, and the way home."""

from collections.abc import Iterator
from time import monotonic, sleep

import pytest
from msgspec.structs import replace

import lab.farm
from lab import checks
from lab.farm import FARM, SITE_A, SITE_B, SITE_C, NodePlan
from lab.node import Node
from lab.world import World
from tests.lab.living import Living, await_that, kill, make_living, pid_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

DEAD, BACK = 4.0, 12.0
PLAN = replace(
    FARM,
    nodes=(
        NodePlan("n1", "public IPv4, routed IPv6", {"eth0": SITE_A.switch}),
        NodePlan("n2", "two LANs", {"eth0": SITE_C.switch, "eth1": SITE_B.switch}),
    ),
)


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lab.farm,
            "AGENT_CONFIG",
            f"{lab.farm.AGENT_CONFIG}uplink: {{dead: {DEAD}, back: {BACK}}}\n",
        )
        living = make_living(shared_world, PLAN)
        yield living
        living.kill_controller()


def uplink(node: Node) -> str:
    return node.output("zosnet-agent", "why", "uplink")


def port_of(node: Node) -> str:
    names = node.output("ls", "/sys/class/net/zos/brif").split()
    return " ".join(name for name in names if name.startswith("eth"))


def test_a_node_moves_to_another_nic_and_goes_home(farm: Living) -> None:
    n2 = farm.node("n2")
    first = port_of(n2)
    other = "eth1" if first == "eth0" else "eth0"
    before = n2.output(*ON_ZOS)
    began = monotonic()
    n2.pull_cable(first)
    await_that("the other NIC", lambda: port_of(n2) == other, within=DEAD + 30)
    moved = monotonic() - began
    answered = farm.await_answers(30)
    print(
        f"moved after {moved:.1f} s, all pings {answered:.1f} s later ({monotonic() - began:.1f})"
    )
    workloads = await_that(
        "workloads outside", lambda: checks.reaches_the_internet(farm.farm, farm.views())[0]
    )
    await_that(
        "the old LAN's addresses to go",
        lambda: set(addresses(before)).isdisjoint(addresses(n2.output(*ON_ZOS))),
    )
    why = uplink(n2)
    print(f"workloads reach the Internet {workloads:.1f} s after that")

    assert moved >= DEAD
    assert f"{other}: {first} is dead for" in why

    began = monotonic()
    n2.plug_cable(first)
    await_that("home", lambda: port_of(n2) == first, within=BACK + 60)
    home = monotonic() - began
    answered = farm.await_answers(30)
    print(f"home after {home:.1f} s, all pings {answered:.1f} s later")
    await_that("the addresses that it had", lambda: ipv4(n2.output(*ON_ZOS)) == ipv4(before))

    assert home >= BACK


ON_ZOS = ("ip", "-o", "address", "show", "dev", "zos")


def ipv4(text: str) -> list[str]:
    return [address for address in addresses(text) if "." in address]


def addresses(text: str) -> list[str]:
    """Of more than the link."""
    found = [line.split()[3] for line in text.splitlines()]
    return sorted(address for address in found if not address.startswith("fe80"))


def test_a_router_that_falls_silent_is_as_good_as_no_cable(farm: Living) -> None:
    n2 = farm.node("n2")
    first = port_of(n2)
    other = "eth1" if first == "eth0" else "eth0"
    router = farm.farm.routers[str(PLAN.nodes[1].cards[first])]
    began = monotonic()
    router.script("ip link set lan0 down")
    await_that("the other NIC", lambda: port_of(n2) == other, within=DEAD + 40)
    moved = monotonic() - began
    why, carrier = uplink(n2), n2.output("cat", "/sys/class/net/zos/carrier").strip()
    answered = farm.await_answers(30)
    print(f"moved after {moved:.1f} s, all pings {answered:.1f} s later")
    router.script("ip link set lan0 up")
    await_that("home", lambda: port_of(n2) == first, within=BACK + 60)
    farm.await_answers(30)

    assert "silent" in why
    assert carrier == "1"
    assert moved >= DEAD


@pytest.mark.parametrize("wait", [0.0, 0.01, 0.03, 0.06])
def test_networkd_killed_in_the_middle_of_a_move_ends_it_or_does_it_again(
    farm: Living, wait: float
) -> None:
    n2 = farm.node("n2")
    first = port_of(n2)
    other = "eth1" if first == "eth0" else "eth0"
    n2.pull_cable(first)
    log = n2.path("/var/log/zosnet/networkd.log")
    said = log.read_text().count("uplink moves")
    await_that("the move", lambda: log.read_text().count("uplink moves") > said, DEAD + 40)
    sleep(wait)
    kill(n2, pid_of(n2, "zosnet-agent networkd"))
    moved = await_that("the other NIC", lambda: port_of(n2) == other, within=60)
    answered = farm.await_answers(30)
    print(f"killed {wait} s into the move: there {moved:.1f} s later, pings {answered:.1f} s later")
    links = n2.output("ip", "-o", "link")
    n2.plug_cable(first)
    await_that("home", lambda: port_of(n2) == first, within=BACK + 60)
    farm.await_answers(30)

    await_that("one probe namespace", lambda: probe_spaces(n2) == 1)

    assert "master zos" in next(line for line in links.splitlines() if f" {other}@" in line)


def probe_spaces(node: Node) -> int:
    return sum(name.startswith("znp-") for name in node.output("ls", "/run/netns").split())

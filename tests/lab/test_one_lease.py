"""Nodes at sites that have one lease to give, from power-on to reset."""

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

import lab.farm
from lab import checks
from lab.farm import FARM, SITE_A, SITE_B, SITE_C, NodePlan
from lab.host import wait_until
from lab.internet import WEB4
from lab.node import Node
from lab.router import LEASES, await_dnsmasq, dnsmasq_options, end_lan
from lab.world import World
from tests.lab.living import Living, await_that, kill, make_living, pid_of

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

DEAD, BACK = 4.0, 12.0
ONE_LEASE = FARM.with_lan("a", leases=1).with_lan("b", leases=1).with_lan("c", leases=1)
PLAN = replace(
    ONE_LEASE,
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
        wait_until("IPv4 in every ndmz", lambda: all(lent(living, name) for name in ("n1", "n2")))
        yield living
        living.kill_controller()


def lent(farm: Living, name: str) -> list[str]:
    """The node's addresses by which its workloads leave."""
    status = json.loads(farm.node(name).path("/run/zosnet/ndmz.json").read_text())
    found: list[str] = status["lent"]
    return found


def outside(farm: Living) -> bool:
    """Whether every workload has the Internet."""
    return checks.reaches_the_internet(farm.farm, farm.views())[0]


def leases(node: Node) -> list[str]:
    return [line.split()[2] for line in node.path(LEASES).read_text().splitlines() if "." in line]


def test_workloads_have_the_internet_and_nothing_near_and_both_commands_say_how(
    farm: Living,
) -> None:
    views = farm.views()
    found = checks.run_checks(farm.farm, views)
    why = farm.node("n1").output("zosnet-agent", "why", "ndmz")
    site = farm.farm.routers[SITE_A.switch]

    assert [check for check in found if not check.ok] == []
    assert leases(site) == lent(farm, "n1")
    assert "shared with the host: this site gives ndmz no lease of its own" in why
    both = f"IPv4 through the host and IPv6 ({leases(site)[0]}, 2001:db8:a:1:"
    await_that(
        "both families in status", lambda: both in farm.node("n1").output("zosnet-agent", "status")
    )


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_a_killed_networkd_costs_no_packet(farm: Living, name: str) -> None:
    node, space = farm.node(name), farm.views()[name].namespace
    ping = ("ping", "-q", "-i", "0.02", "-c", "400", str(WEB4))
    log = node.log("ping")
    pinging = node.spawn(*node.inside(space, *ping), log=log)
    before = pid_of(node, "zosnet-agent networkd")
    kill(node, before)
    await_that("another", lambda: farm.status(name)["pid"] not in (0, before))
    pinging.wait(30)

    assert "400 packets transmitted, 400 received" in log.read_text()
    assert outside(farm)


def test_another_address_of_the_node_costs_workloads_a_moment(farm: Living) -> None:
    n1, site = farm.node("n1"), farm.farm.routers[SITE_A.switch]
    before = lent(farm, "n1")
    options = [o.replace("100.130,198.51.100.130", "100.135,198.51.100.135") for o in LAN_A]
    end_lan(site)
    site.script(f"rm {LEASES}")
    site.spawn("dnsmasq", *options, log=site.log("dnsmasq"))
    await_dnsmasq(site)
    kill(n1, pid_of(n1, "zosnet-agent dhcp zos"))  # the next one asks whether it is still good
    moved = await_that("the lease", lambda: lent(farm, "n1") == ["198.51.100.135"], within=60)
    reached = await_that("workloads outside", lambda: outside(farm))
    print(f"the lease after {moved:.1f} s, workloads {reached:.1f} s later")

    assert before == ["198.51.100.130"]
    assert leases(site) == ["198.51.100.135"]


LAN_A = dnsmasq_options(PLAN.sites[0].lan)


def test_workloads_move_with_the_node_to_another_nic_and_home(farm: Living) -> None:
    n2 = farm.node("n2")
    first = lent(farm, "n2")
    other = "eth1" if first[0].startswith("192.168.1.") else "eth0"
    n2.pull_cable("eth0" if other == "eth1" else "eth1")
    await_that("the other NIC", lambda: lent(farm, "n2") not in ([], first), within=DEAD + 30)
    reached = await_that("workloads outside", lambda: outside(farm))
    second, closed = lent(farm, "n2"), checks.reaches_no_neighbour(farm.farm, farm.views())
    n2.plug_cable("eth0" if other == "eth1" else "eth1")
    await_that("home", lambda: lent(farm, "n2") == first, within=BACK + 60)
    await_that("workloads outside", lambda: outside(farm))
    print(f"workloads reach the Internet {reached:.1f} s after the move")

    assert first[0].rpartition(".")[0] != second[0].rpartition(".")[0]
    assert closed[0], closed[1]


def test_reset_leaves_nothing_of_it(farm: Living) -> None:
    n1 = farm.node("n1")
    n1.script("sysctl -qw net.ipv4.conf.default.forwarding=0")
    said = n1.output("zosnet-agent", "reset", "--yes")
    forwarding = n1.script("grep . /proc/sys/net/ipv4/conf/*/forwarding")

    assert "table ip zosnet_shared is gone" in said
    assert "link ndzs4 is gone" in said
    assert "net/ipv4/conf/zos/forwarding is 0 again" in said
    assert "zosnet" not in n1.output("nft", "list", "tables")
    assert set(n1.output("ls", "/sys/class/net").split()) == {"lo", "eth0"}
    assert {line.rpartition(":")[2] for line in forwarding.splitlines()} == {"0"}

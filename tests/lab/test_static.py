"""Static addresses: a boot that asks the gateway, a keeper that keeps them, an uplink that moves."""

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface

import pytest
from msgspec.structs import replace

from lab import checks
from lab.farm import FARM, SITE_A, SITE_C, NodePlan
from lab.host import wait_until
from lab.network import switch
from lab.node import Node
from lab.router import Lan, Site, lone_server
from lab.wiring import Nic
from lab.world import World
from tests.lab.boot_node import (
    addresses,
    boot_status,
    configure,
    internet,
    ip_json,
    kernel_state,
    known_status,
    reasons,
    start_internet,
)
from tests.lab.living import Living, await_that, make_living

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

LAN = Lan(
    IPv4Interface("192.168.7.1/24"),
    IPv6Interface("2001:db8:b:1::1/64"),
    dhcp=False,
    advertise=False,
)
OWN4, OWN6 = "192.168.7.20/24", "2001:db8:b:1::20/64"
CONFIG = f"""
static:
  eth0:
    addresses: [{OWN4}, "{OWN6}"]
    gateways: [192.168.7.1, "2001:db8:b:1::1"]
    dns: [203.0.113.53]
"""


def node_on(world: World, *cards: str, config: str = CONFIG) -> Node:
    node = world.node("n")
    world.plug(*(Nic("n", f"eth{number}", card) for number, card in enumerate(cards)))
    configure(node, config)
    return node


def defaults(node: Node) -> list[tuple[str, int]]:
    """Gateway and metric of each default route."""
    routes = [*ip_json(node, "route", "show", "default")]
    routes += ip_json(node, "-6", "route", "show", "default")
    return [(route["gateway"], route["metric"]) for route in routes]


def test_a_lan_without_any_server_boots_a_node_with_static_addresses(world: World) -> None:
    lone_server(world, "r", "lan", LAN)
    node = node_on(world, "lan")
    ended = internet(node)
    keeper = node.path("/run/zosnet/dhcp-zos.json")

    assert ended.returncode == 0, ended.stderr
    assert known_status(node).nics[0].reason == (
        f"static RFC1918 IPv4 {OWN4} by 192.168.7.1, the only one usable"
    )
    assert addresses(node, "zos", family=4) == [OWN4]
    assert defaults(node) == [("192.168.7.1", 100), ("2001:db8:b:1::1", 100)]

    wait_until("IPv6", lambda: addresses(node, "zos", family=6) == [OWN6])
    wait_until("the keeper", lambda: keeper.exists() and '"static"' in keeper.read_text())
    wait_until("servers", lambda: "203.0.113.53" in node.path("/etc/resolv.conf").read_text())
    was = kernel_state(node)

    assert internet(node).returncode == 0
    assert kernel_state(node) == was


def test_a_gateway_that_is_silent_is_waited_for_with_the_reason(world: World) -> None:
    node = node_on(world, "lan", config=CONFIG + "probe: {dhcp: 1}")
    running = start_internet(node)

    def rests() -> bool:
        status = boot_status(node)
        return status is not None and status.resting_until is not None

    wait_until("a rest", rests)
    said = reasons(node)["eth0"]

    assert said == (
        "static: 192.168.7.1 and 2001:db8:b:1::1 silent; addresses without an IPv6 router"
    )
    assert running.poll() is None

    lone_server(world, "r", "lan", LAN)

    assert running.wait(20) == 0
    assert addresses(node, "zos", family=4) == [OWN4]


def test_static_ipv4_goes_beside_ipv6_by_router_advertisements(world: World) -> None:
    lone_server(world, "r", "lan", replace(LAN, advertise=True))
    config = "static: {eth0: {addresses: [192.168.7.20/24], gateways: [192.168.7.1]}}"
    node = node_on(world, "lan", config=config)

    assert internet(node).returncode == 0
    assert addresses(node, "zos", family=4) == [OWN4]

    wait_until("IPv6", lambda: bool(addresses(node, "zos", family=6)))

    assert ("fe80::1", 100) not in defaults(node)
    assert "fe80::1" in [gateway for gateway, _ in defaults(node)]


def test_an_address_that_somebody_else_has_is_named_and_stays(world: World) -> None:
    lone_server(world, "r", "lan", LAN)
    node, other = node_on(world, "lan"), world.node("other")
    switch(world, "lan", (other, "eth0"))
    other.script(f"ip addr add {OWN4} dev eth0; ip link set eth0 up")
    mac = ip_json(other, "link", "show", "eth0")[0]["address"]

    assert internet(node).returncode == 0

    keeper = node.path("/run/zosnet/dhcp-zos.json")
    said = f"192.168.7.20 is also {mac}'s"
    wait_until("the conflict", lambda: keeper.exists() and said in keeper.read_text())

    assert addresses(node, "zos", family=4) == [OWN4]


# -- one NIC with static addresses, one with DHCP

DEAD, BACK = 4.0, 12.0
RACK = Site("r", 4, Lan(IPv4Interface("10.1.1.1/24"), dhcp=False))
RACK4, RACK_NDMZ = "10.1.1.20/24", "10.1.1.21/24"
STATIC = f"""
static:
  eth0: {{addresses: [{RACK4}], gateways: [10.1.1.1], ndmz: [{RACK_NDMZ}]}}
uplink: {{dead: {DEAD}, back: {BACK}}}
"""
CARDS = {"eth0": RACK.switch, "eth1": SITE_C.switch}
PLAN = replace(
    FARM,
    sites=(SITE_A, SITE_C, RACK),
    nodes=(FARM.nodes[0], NodePlan("n2", "a static NIC, one with DHCP", CARDS, STATIC)),
    neighbours=FARM.neighbours[:1],
    quiet={},
)


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world, PLAN)
    yield living
    living.kill_controller()


def on_zos(node: Node) -> list[str]:
    return addresses(node, "zos", family=4)


def on_npub4(node: Node) -> list[str]:
    return addresses(node, "npub4", family=4, space="ndmz")


def test_an_uplink_moves_from_static_addresses_to_dhcp_and_home_with_nothing_left_behind(
    farm: Living,
) -> None:
    n2 = farm.node("n2")
    assert (on_zos(n2), on_npub4(n2)) == ([RACK4], [RACK_NDMZ])
    n2.pull_cable("eth0")
    await_that("the other NIC", lambda: "eth1: eth0 is dead" in why(n2), within=DEAD + 20)
    await_that("leases", lambda: len(on_zos(n2)) == len(on_npub4(n2)) == 1)
    await_that("static ones to go", lambda: RACK4 not in on_zos(n2))
    await_that("of ndmz too", lambda: RACK_NDMZ not in on_npub4(n2))
    outside = lambda: checks.reaches_the_internet(farm.farm, farm.views())[0]  # noqa: E731
    await_that("workloads outside", outside)
    away = (on_zos(n2), on_npub4(n2))

    n2.plug_cable("eth0")
    await_that("home", lambda: "eth0: eth0 is ready again" in why(n2), within=BACK + 60)
    await_that("static ones", lambda: on_zos(n2) == [RACK4])
    await_that("of ndmz", lambda: on_npub4(n2) == [RACK_NDMZ])
    await_that("workloads outside", outside)

    assert all(len(found) == 1 for found in away)
    assert farm.await_answers(30) < 30


def why(node: Node) -> str:
    return node.output("zosnet-agent", "why", "uplink")

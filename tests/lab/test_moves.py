"""Nodes that get another address: their peers find them again at once."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface

import pytest
from msgspec.structs import replace

from lab import router
from lab.farm import FARM, SITE_C, NodePlan
from lab.host import wait_until
from lab.node import Node
from lab.router import RESOLVER4, Lan, Site
from lab.world import World
from tests.lab.living import (
    Living,
    Way,
    await_that,
    both_ways,
    kill,
    make_living,
    pid_of,
    processes,
)
from zinit.client import Client

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

WITHIN = 10.0  # seconds; without a word from who moved, a session takes 15 s to be found dead
# Its server gives addresses up to .137; those above are for nodes that are moved.
PUBLIC = Site("a", 1, Lan(IPv4Interface("198.51.100.129/28"), dns=RESOLVER4, leases=8), nat44=False)
HOME = Site("b", 2, Lan(IPv4Interface("192.168.7.1/24")))
# Without IPv6, which would go on over a change of the other family's address.
PLAN = replace(
    FARM,
    sites=(PUBLIC, HOME, SITE_C),
    nodes=(
        NodePlan("n1", "public IPv4", {"eth0": PUBLIC.switch}),
        NodePlan("n2", "IPv4 behind NAT", {"eth0": HOME.switch}),
        NodePlan(
            "n3",
            "IPv4 behind NAT, and on n2's LAN too",
            {"eth0": SITE_C.switch, "eth1": HOME.switch},
            config="uplink: {dead: 2, back: 600}\n",
        ),
        NodePlan("n4", "public IPv4", {"eth0": PUBLIC.switch}),
    ),
    neighbours=(),
    quiet={},
)


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world, PLAN)
    yield living
    living.kill_controller()


def move(farm: Living, name: str, site: Site, address: str) -> None:
    """The site's server gives the node that address from now on, and refuses the one before."""
    node, server = farm.node(name), farm.farm.routers[site.switch]
    mac = node.output("cat", "/sys/class/net/zos/address").strip()
    router.end_lan(server)
    fixed = f"--dhcp-host={mac},{IPv4Address(address)}"
    log = server.log(f"dnsmasq-{address}")
    server.spawn("dnsmasq", *router.dnsmasq_options(site.lan), fixed, log=log)
    wait_until("dnsmasq", lambda: "started, version" in log.read_text())
    kill(node, pid_of(node, "zosnet-agent dhcp zos"))  # the next one asks whether it still holds
    await_that("the other address", lambda: zos_addresses(node) == [address])


def zos_addresses(node: Node) -> list[str]:
    shown = node.output("ip", "-4", "-o", "address", "show", "dev", "zos")
    return [line.split()[3].partition("/")[0] for line in shown.splitlines()]


def await_ways(farm: Living, ways: set[Way]) -> float:
    """Seconds until none of `ways` is silent."""
    views = farm.views()
    return await_that(
        f"an answer on {sorted(ways)}",
        lambda: not ways & farm.silent(views, seconds=0.3),
        WITHIN,
    )


def test_a_public_node_with_another_lease_is_found_by_those_behind_nat(farm: Living) -> None:
    """They cannot hear it from where it is now, and are told by the controller."""
    move(farm, "n1", PUBLIC, "198.51.100.142")
    print(f"n1 has another address: all pings after {farm.await_answers(WITHIN):.2f} s")


def test_a_node_that_moves_to_another_nic_is_heard_at_once(farm: Living) -> None:
    n3 = farm.node("n3")
    n3.pull_cable("eth0")
    await_that("an address on the other LAN", lambda: "192.168.7." in " ".join(zos_addresses(n3)))
    print(f"n3 has moved to n2's LAN: all pings after {farm.await_answers(WITHIN):.2f} s")


def test_without_a_controller_a_node_that_moves_is_heard_by_all_who_can_hear_it(
    farm: Living,
) -> None:
    """n2 by the public ones, and by n3 through n1; of those, each by the other: one of them begins."""
    farm.kill_controller()
    took = {}
    for name, site, address, hearing in (
        ("n2", HOME, "192.168.7.50", ["n1", "n3", "n4"]),
        ("n4", PUBLIC, "198.51.100.141", ["n1"]),
        ("n1", PUBLIC, "198.51.100.140", ["n4"]),
    ):
        move(farm, name, site, address)
        took[name] = await_ways(farm, both_ways(name, hearing))
    print("another address:", ", ".join(f"{n} heard after {s:.2f} s" for n, s in took.items()))


def test_an_address_that_goes_while_networkd_is_away_is_not_spoken_from_after(farm: Living) -> None:
    """wireguard-go goes on meanwhile, and answers from where it was spoken to."""
    n1 = farm.node("n1")
    zinit = Client(n1.path("/run/zinit.sock"))
    zinit.stop("networkd")
    await_that("its end", lambda: not any("agent networkd" in p for p in processes(n1).values()))
    move(farm, "n1", PUBLIC, "198.51.100.139")
    zinit.start("networkd")
    print(f"n1 heard {await_ways(farm, both_ways('n1', ['n4'])):.2f} s after its networkd started")

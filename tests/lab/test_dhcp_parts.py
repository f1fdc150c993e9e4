"""A lease as kernel state, and the probe, on a real kernel."""

import json
from ipaddress import IPv4Interface
from typing import Any

import pytest

from lab.host import PYTHON
from lab.node import Node
from lab.router import lone_server
from lab.world import World
from tests.lab.test_dhcp import (
    HOME,
    PROGRAM,
    address,
    addresses,
    client_on_lan,
    default_routes,
)

pytestmark = pytest.mark.lab


def program(node: Node, *words: str) -> dict[str, Any]:
    return dict(json.loads(node.output(PYTHON, PROGRAM, *words)))


def test_a_new_address_in_the_same_subnet_outlives_the_old_one(world: World) -> None:
    """The kernel takes a subnet's later addresses off with its first, unless it is told not to."""
    node = client_on_lan(world)
    node.script("cd /proc/sys/net/ipv4/conf; echo 0 >all/promote_secondaries")
    node.script("cd /proc/sys/net/ipv4/conf; echo 0 >eth0/promote_secondaries")
    node.run(PYTHON, PROGRAM, "swap", "eth0", "10.1.0.5/24", "10.1.0.6/24")

    assert address(node) == "10.1.0.6"
    assert default_routes(node) == [("10.1.0.1", 100)]


@pytest.mark.parametrize(
    ("old", "new"), [("10.1.0.5/24", "10.2.0.5/16"), ("10.1.0.5/24", "10.1.0.5/16")]
)
def test_a_lease_of_another_subnet_replaces_all_of_the_old_one(
    world: World, old: str, new: str
) -> None:
    node = client_on_lan(world)
    node.run(PYTHON, PROGRAM, "swap", "eth0", old, new)
    (found,) = addresses(node)

    assert f"{found['local']}/{found['prefixlen']}" == new
    assert default_routes(node) == [(str(IPv4Interface(new).network[1]), 100)]


def test_a_host_mask_reaches_its_gateway_all_the_same(world: World) -> None:
    node = client_on_lan(world)
    node.run(PYTHON, PROGRAM, "swap", "eth0", "10.1.0.5/32")

    assert default_routes(node) == [("10.9.9.9", 100)]


def test_a_probe_in_a_namespace_finds_the_lease_and_configures_nothing(world: World) -> None:
    lone_server(world, "srv", "lan", HOME)
    node = client_on_lan(world)
    node.script("ip netns add p; ip link set eth0 netns p; ip -n p link set eth0 up")
    found = program(node, "probe", "p", "eth0", "5")
    inside = json.loads(node.output("ip", "-n", "p", "-j", "-4", "addr", "show", "dev", "eth0"))

    assert found["answer"].startswith("192.168.7.")
    assert not any(entry.get("addr_info") for entry in inside)


def test_a_probe_says_why_there_is_no_lease(world: World) -> None:
    node = client_on_lan(world)

    assert program(node, "probe", "", "eth0", "0.5")["answer"] == "no offer"
    assert "No such device" in program(node, "probe", "", "eth7", "0.5")["answer"]

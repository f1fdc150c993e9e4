"""Sites, routers and the pretend Internet: what their nodes see of each other."""

from ipaddress import IPv4Interface, IPv6Interface

import pytest
from msgspec.structs import replace

from lab.host import wait_until
from lab.internet import (
    BEYOND,
    CONTROLLER4,
    CONTROLLER6,
    RESOLVER6,
    WEB4,
    WEB6,
    await_answering,
    host_on_the_internet,
    internet,
    start_answering,
)
from lab.network import cable
from lab.node import Node
from lab.router import LEASES, RESOLVER4, Lan, Site, lone_server, router
from lab.wiring import Nic
from lab.world import World

pytestmark = pytest.mark.lab

HOME = Site(
    "b",
    2,
    Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")),
)
PUBLIC = Site(
    "a",
    1,
    Lan(IPv4Interface("198.51.100.129/28"), IPv6Interface("2001:db8:a:1::1/64")),
    nat44=False,
)
ASK = """
import socket, sys
kind, host, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
s.settimeout(1)
s.connect((host, int(port)))
s.send(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(s.recv(500).decode().split("\\r\\n\\r\\n")[-1].split()[0])
"""


def ask(node: Node, kind: str, host: object, port: int) -> str:
    said = node.run("/usr/bin/python3", "-c", ASK, kind, str(host), str(port), check=False)
    return said.stdout.strip()


def lease(node: Node, nic: str = "eth0", *, script: str = "/bin/true") -> str:
    """Take a DHCP lease with a client that is not ours, and configure it; its words."""
    node.script(f"ip link set {nic} up")
    said = node.run(
        *("busybox", "udhcpc", "-i", nic, "-n", "-q", "-f", "-t", "5", "-T", "1"),
        *("-s", script),
        check=False,
    )
    return said.stderr + said.stdout


def address_of(said: str) -> str:
    return next((line.split()[3] for line in said.splitlines() if "lease of" in line), "")


def await_address6(node: Node, nic: str = "eth0") -> None:
    def usable() -> bool:
        shown = node.output("ip", "-6", "-o", "addr", "show", "dev", nic, "scope", "global")
        routes = node.output("ip", "-6", "route", "show", "default")
        return "inet6" in shown and "tentative" not in shown and "via" in routes

    wait_until("an IPv6 address by RA", usable)


def settle(node: Node, address: str, gateway: str) -> None:
    node.script(f"ip addr add {address} dev eth0; ip route add default via {gateway}")


def test_a_natted_site_is_seen_as_its_router_and_ipv6_as_itself(world: World) -> None:
    inet = internet(world)
    router(world, inet, HOME)
    node = world.node("n2")
    world.plug(Nic("n2", "eth0", HOME.switch))
    address = address_of(lease(node))
    settle(node, f"{address}/24", "192.168.7.1")
    await_address6(node)
    outside = str(HOME.ends4[1].ip)

    assert address.startswith("192.168.7.1")
    assert [ask(node, kind, WEB4, 7) for kind in ("tcp", "udp")] == [outside, outside]
    assert ask(node, "tcp", WEB4, 80) == outside
    assert ask(node, "tcp", WEB6, 80).startswith("2001:db8:b:1:")
    assert ask(node, "udp", WEB6, 7).startswith("2001:db8:b:1:")
    assert ask(node, "udp", BEYOND, 7) == outside
    assert node.ok("ping", "-c1", "-W1", str(WEB4))
    assert node.ok("ping", "-c1", "-W1", str(WEB6))


def test_a_public_site_is_reached_from_the_internet_and_has_two_addresses_for_a_node(
    world: World,
) -> None:
    inet = internet(world)
    router(world, inet, PUBLIC)
    n1, other = world.nodes("n1", "n4")
    world.plug(Nic("n1", "eth0", PUBLIC.switch), Nic("n4", "eth0", PUBLIC.switch))
    addresses = [address_of(lease(node)) for node in (n1, other)]
    settle(n1, f"{addresses[0]}/28", "198.51.100.129")

    assert len(set(addresses)) == 2
    assert all(address.startswith("198.51.100.1") for address in addresses)
    assert ask(n1, "tcp", WEB4, 80) == addresses[0]
    assert inet.ok("ping", "-c1", "-W1", addresses[0])


@pytest.mark.parametrize("firewall", [False, True])
def test_a_firewall_shuts_ipv6_from_outside_and_only_then(world: World, *, firewall: bool) -> None:
    inet = internet(world)
    router(world, inet, replace(HOME, firewall6=firewall))
    node = world.node("n2")
    world.plug(Nic("n2", "eth0", HOME.switch))
    start_answering(node)
    await_answering(node)
    node.script("ip link set eth0 up")
    await_address6(node)
    own = ask(node, "udp", WEB6, 7)

    assert own.startswith("2001:db8:b:1:")
    assert inet.ok("ping", "-c1", "-W1", own) is not firewall
    assert ask(inet, "tcp", own, 7) == ("" if firewall else str(HOME.ends6[0].ip))


def test_a_lan_without_gateway_gives_a_lease_without_a_route(world: World) -> None:
    lone_server(world, "quiet", "lan", Lan(IPv4Interface("10.77.0.1/24"), gateway=False))
    inet = internet(world)
    router(world, inet, HOME)
    node = world.node("n2")
    world.plug(Nic("n2", "eth0", HOME.switch), Nic("n2", "eth1", "lan"))
    node.write("/run/show", "#!/bin/sh\necho $1 ip=$ip router=$router\n", mode=0o755)
    with_gateway = lease(node, "eth0", script="/run/show")
    without = lease(node, "eth1", script="/run/show")

    assert "router=192.168.7.1" in with_gateway
    assert "bound ip=10.77.0." in without
    assert "router=\n" in without


def test_names_resolve_at_the_public_resolver_and_through_the_router(world: World) -> None:
    inet = internet(world)
    router(world, inet, HOME)
    host = host_on_the_internet(world, "ctl", CONTROLLER4, CONTROLLER6)
    node = world.node("n2")
    world.plug(Nic("n2", "eth0", HOME.switch))
    node.script("ip link set eth0 up")
    settle(node, "192.168.7.20/24", "192.168.7.1")
    found = []
    servers = (RESOLVER4, RESOLVER6, "9.9.9.9", "2620:fe::fe")
    for where, server in (*((host, each) for each in servers), (node, "192.168.7.1")):
        where.write("/etc/resolv.conf", f"nameserver {server}\n")
        found.append(where.output("getent", "ahostsv4", "web.example").split()[0])

    assert found == [str(WEB4)] * 5
    assert ask(node, "udp", CONTROLLER4, 9) == ""
    assert node.ok("ping", "-c1", "-W1", str(CONTROLLER4))


def test_two_cards_on_one_cable_reach_each_other(world: World) -> None:
    n1, n2 = world.nodes("n1", "n2")
    cable(world, (n1, "eth0"), (n2, "x"), macs=("02:00:00:00:00:01", "02:00:00:00:00:02"))
    n1.script("ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up")
    n2.script("ip addr add 10.0.0.2/24 dev x; ip link set x up")

    assert n1.ok("ping", "-c1", "-W2", "10.0.0.2")
    assert "02:00:00:00:00:02" in n1.output("ip", "neighbour")


def test_the_server_keeps_one_lease_for_one_client(world: World) -> None:
    inet = internet(world)
    server = router(world, inet, HOME)
    node = world.node("n2")
    world.plug(Nic("n2", "eth0", HOME.switch))
    first, second = address_of(lease(node)), address_of(lease(node))

    assert first == second
    assert len(server.path(LEASES).read_text().splitlines()) == 1


@pytest.mark.parametrize("leases", [0, 1])
def test_a_server_that_has_given_its_leases_does_not_answer_the_next_client(
    world: World, leases: int
) -> None:
    router(world, internet(world), replace(HOME, lan=replace(HOME.lan, leases=leases)))
    first, second = world.nodes("n1", "n2")
    world.plug(Nic("n1", "eth0", HOME.switch), Nic("n2", "eth0", HOME.switch))
    said = [address_of(lease(node)) for node in (first, second, first)]

    assert [bool(text) for text in said] == [leases > 0, False, leases > 0]
    assert said[0] == said[2]

"""The lease keeper against real servers."""

import json
import time
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from lab.host import PYTHON, Process, wait_until
from lab.node import Node
from lab.router import LEASES, Lan, await_dnsmasq, dnsmasq_options, lone_server, serve_lan
from lab.wiring import Nic
from lab.world import World

pytestmark = pytest.mark.lab
HOME = Lan(IPv4Interface("192.168.7.1/24"))
PROGRAM = Path(__file__).with_name("dhcp_program.py")


def client_on_lan(world: World, *, up: bool = True) -> Node:
    node = world.node("n")
    world.plug(Nic("n", "eth0", "lan"))
    if up:
        node.script("ip link set eth0 up")
    return node


def keep(node: Node, link: str = "eth0") -> Process:
    return node.spawn(PYTHON, "-m", "agent", "dhcp", link, log=node.log("keeper"))


def addresses(node: Node, link: str = "eth0") -> list[dict[str, Any]]:
    (found,) = json.loads(node.output("ip", "-j", "-4", "addr", "show", "dev", link)) or [{}]
    return list(found.get("addr_info", []))


def address(node: Node) -> str | None:
    found = [a["local"] for a in addresses(node)]
    assert len(found) <= 1
    return found[0] if found else None


def await_address(node: Node, *, timeout: float = 20) -> str:
    wait_until("an address", lambda: address(node) is not None, timeout=timeout)
    return str(address(node))


def status(node: Node, link: str = "eth0") -> dict[str, Any]:
    return dict(json.loads(node.path(f"/run/zosnet/dhcp-{link}.json").read_text()))


def await_state(node: Node, state: str, *, link: str = "eth0", timeout: float = 20) -> None:
    file = node.path(f"/run/zosnet/dhcp-{link}.json")
    wait_until(
        f"state {state}",
        lambda: file.exists() and status(node, link)["state"] == state,
        timeout=timeout,
    )


def said(server: Node, kind: str) -> list[str]:
    """The lines of the server's log about messages of this kind."""
    return [line for line in server.log("dnsmasq").read_text().splitlines() if f" {kind}(" in line]


def searches(server: Node) -> set[str]:
    """The transaction ids of DISCOVERs: repeats of one are one."""
    return transactions(server, "DHCPDISCOVER")


def transactions(server: Node, kind: str) -> set[str]:
    return {line.split()[1] for line in said(server, kind)}


def await_said(server: Node, kind: str, count: int = 1, *, timeout: float = 20) -> None:
    wait_until(f"{count} {kind}", lambda: len(said(server, kind)) >= count, timeout=timeout)


def default_routes(node: Node) -> list[tuple[str, int]]:
    found = json.loads(node.output("ip", "-j", "route", "show", "default"))
    return [(route["gateway"], route["metric"]) for route in found]


def restart_server(server: Node, running: Process, lan: Lan, *more: str) -> Process:
    """Another server program in its place, which remembers nothing."""
    running.kill()
    running.wait(5)
    server.script(f"rm -f {LEASES}")
    server.log("dnsmasq").write_text("")
    again = server.spawn("dnsmasq", *dnsmasq_options(lan), *more, log=server.log("dnsmasq"))
    await_dnsmasq(server)
    return again


def server_of(world: World, lan: Lan, *more: str) -> tuple[Node, Process]:
    """A server whose program the test holds."""
    server = world.node("srv", disk=False)
    world.plug(Nic("srv", "lan0", "lan"))
    server.script(f"ip link set lan0 up; ip addr add {lan.interface4} dev lan0")
    running = (
        serve_lan(server, lan)
        if not more
        else server.spawn("dnsmasq", *dnsmasq_options(lan), *more, log=server.log("dnsmasq"))
    )
    await_dnsmasq(server)
    return server, running


def test_a_lease_becomes_an_address_with_a_life_a_route_and_name_servers(world: World) -> None:
    server, node = lone_server(world, "srv", "lan", HOME), client_on_lan(world, up=False)
    keeper = keep(node)
    await_state(node, "bound")
    time.sleep(0.5)  # time for what should not be asked
    (found,) = addresses(node)

    assert len(searches(server)) == len(transactions(server, "DHCPREQUEST")) == 1
    assert 3500 < found["valid_life_time"] <= 3600
    assert default_routes(node) == [("192.168.7.1", 100)]
    assert "nameserver 192.168.7.1\n" in node.output("cat", "/etc/resolv.conf")
    assert node.ok("ping", "-c1", "-W2", "192.168.7.1")
    assert server.output("cat", LEASES).count("\n") == 1
    assert keeper.poll() is None


def test_a_keeper_that_ends_leaves_the_address_and_the_next_one_takes_it_over(
    world: World,
) -> None:
    server, node = lone_server(world, "srv", "lan", HOME), client_on_lan(world)
    keeper = keep(node)
    await_state(node, "bound")
    first = address(node)
    keeper.terminate()
    code = keeper.wait(5)
    after_term = address(node)
    keeper = keep(node)
    await_said(server, "DHCPACK", 2)
    keeper.kill()
    keeper.wait(5)
    after_kill = address(node)
    keep(node)
    await_said(server, "DHCPACK", 3)

    assert code == 0
    assert first == after_term == after_kill == address(node)
    assert len(searches(server)) == 1
    lease = server.output("cat", LEASES).split()
    assert (lease[1], lease[4]) == (mac_of(node), f"01:{mac_of(node)}")


def mac_of(node: Node) -> str:
    return node.output("cat", "/sys/class/net/eth0/address").strip()


def test_an_offer_that_comes_after_three_seconds_is_taken(world: World) -> None:
    """dnsmasq pings the address first."""
    lan = Lan(IPv4Interface("192.168.7.1/24"), check_address=True)
    server, node = lone_server(world, "srv", "lan", lan), client_on_lan(world)
    began = time.monotonic()
    keep(node)
    await_address(node)

    assert time.monotonic() - began > 2.5
    assert len(searches(server)) == 1  # the first one was answered


def test_a_server_that_forgot_and_is_silent_costs_a_second_and_no_address(world: World) -> None:
    lan = Lan(IPv4Interface("192.168.7.1/24"), authoritative=False)
    server, running = server_of(world, lan)
    node = client_on_lan(world)
    keeper = keep(node)
    await_state(node, "bound")
    first = address(node)
    keeper.kill()
    keeper.wait(5)
    restart_server(server, running, lan)
    log = node.log("monitor")
    monitor = node.spawn("ip", "-4", "monitor", "address", log=log)
    keep(node)
    await_said(server, "DHCPACK")

    monitor.terminate()

    assert address(node) == first
    assert len(searches(server)) == 1
    assert "Deleted" not in log.read_text()


def test_a_refused_lease_goes_and_a_new_one_comes(world: World) -> None:
    """The node moved to another network while its keeper was away."""
    server, running = server_of(world, HOME)
    node = client_on_lan(world)
    keeper = keep(node)
    await_state(node, "bound")
    keeper.kill()
    keeper.wait(5)
    moved = Lan(IPv4Interface("10.20.0.1/24"))
    server.script("ip addr flush dev lan0; ip addr add 10.20.0.1/24 dev lan0")
    restart_server(server, running, moved)
    keep(node)
    await_said(server, "DHCPACK")
    wait_until("the new address alone", lambda: (address(node) or "").startswith("10.20.0."))
    wait_until("its route", lambda: default_routes(node) == [("10.20.0.1", 100)])
    wait_until("the reason to be told", lambda: "refused" in status(node)["lost"])

    assert len(said(server, "DHCPNAK")) == 1


@pytest.mark.slow
def test_an_address_in_use_is_declined_and_another_one_comes(world: World) -> None:
    server, running = server_of(world, HOME)
    node = client_on_lan(world)
    keeper = keep(node)
    first = await_address(node)
    keeper.kill()
    keeper.wait(5)
    # The server's own memory says that it is ours; the squatter has no lease.
    squatter = world.node("squatter", disk=False)
    world.plug(Nic("squatter", "eth0", "lan"))
    squatter.script(f"ip link set eth0 up; ip addr add {first}/24 dev eth0")
    keep(node)
    await_said(server, "DHCPDECLINE")
    wait_until("no address", lambda: address(node) is None)
    second = await_address(node, timeout=40)

    assert second != first
    assert running.poll() is None


def test_a_lease_is_renewed_by_unicast_before_anybody_notices(world: World) -> None:
    options = ("--dhcp-option=option:T1,6", "--dhcp-option=option:T2,100")
    server, _ = server_of(world, HOME, *options)
    node = client_on_lan(world)
    keep(node)
    await_state(node, "bound")
    capture = world.path("/tmp/renew.pcap")  # noqa: S108  # inside the world
    world.spawn("tcpdump", "-i", "lan", "-U", "-w", "/tmp/renew.pcap", "udp", "port", "67")  # noqa: S108
    await_said(server, "DHCPACK", 2)
    mine = address(node)
    wait_until("the capture", lambda: capture.exists() and capture.stat().st_size > 600)
    seen = world.output("tcpdump", "-nr", "/tmp/renew.pcap")  # noqa: S108

    assert f"{mine}.68 > 192.168.7.1.67" in seen
    assert len(searches(server)) == 1


def test_a_keeper_without_a_cable_waits_for_one(world: World) -> None:
    lone_server(world, "srv", "lan", HOME)
    node = client_on_lan(world)
    node.pull_cable("eth0")
    keep(node)
    time.sleep(4)  # far into its back-off: it asks again after 7 s
    node.plug_cable("eth0")
    await_state(node, "bound", timeout=2.5)

    assert str(address(node)).startswith("192.168.7.")


def test_a_cable_that_comes_back_asks_whether_the_lease_still_holds(world: World) -> None:
    server, node = lone_server(world, "srv", "lan", HOME), client_on_lan(world)
    keep(node)
    await_state(node, "bound")
    first = address(node)
    node.pull_cable("eth0")
    time.sleep(1)  # it sees that
    still = address(node)
    node.plug_cable("eth0")
    await_said(server, "DHCPACK", 2)

    assert first == still == address(node)
    assert len(searches(server)) == 1


def test_the_cable_of_a_bridge_is_its_nics_whatever_else_is_a_port(world: World) -> None:
    server, node = lone_server(world, "srv", "lan", HOME), client_on_lan(world)
    node.script("""
        ip link add zos address $(cat /sys/class/net/eth0/address) type bridge forward_delay 0
        ip netns add other; ip link add ndz4 type veth peer name inside netns other
        ip link set ndz4 alias zosnet:ndz4 master zos up; ip -n other link set inside up
        ip link set eth0 master zos up
    """)
    keep(node, link="zos")
    await_state(node, "bound", link="zos")
    node.pull_cable("eth0")
    time.sleep(1)  # it sees that
    node.plug_cable("eth0")
    await_said(server, "DHCPACK", 2)

    assert len(searches(server)) == 1


@pytest.mark.parametrize(
    "harm",
    [
        "ip -4 addr flush dev eth0",
        "ip route del default",
        "ip link set eth0 down; ip link set eth0 up",
    ],
)
def test_what_somebody_takes_off_is_put_back(world: World, harm: str) -> None:
    """N9, by event."""
    lone_server(world, "srv", "lan", HOME)
    node = client_on_lan(world)
    keep(node)
    await_state(node, "bound")
    first = address(node)
    node.script(harm)
    wait_until(
        "address and route",
        lambda: address(node) == first and bool(default_routes(node)),
        timeout=20,
    )

    assert default_routes(node) == [("192.168.7.1", 100)]


def test_hostile_frames_on_the_link_do_not_keep_the_lease_away(world: World) -> None:
    """Among them the one that kills other clients: option 61 of no length."""
    server = lone_server(world, "srv", "lan", HOME)
    hostile = world.node("hostile", disk=False)
    world.plug(Nic("hostile", "eth0", "lan"))
    hostile.script("ip link set eth0 up; ip addr add 192.168.7.66/24 dev eth0")
    hostile.spawn(PYTHON, PROGRAM, "flood", log=hostile.log("flood"))
    node = client_on_lan(world)
    keep(node)
    await_state(node, "bound")

    assert len(searches(server)) == 1  # no second one was needed
    wait_until("one of them", lambda: status(node)["refused"] > 0)


def test_another_make_of_server_serves_us_too(world: World) -> None:
    """busybox udhcpd; it looks for the address by ARP before it offers it."""
    server = world.node("srv", disk=False)
    world.plug(Nic("srv", "lan0", "lan"))
    server.script("ip link set lan0 up; ip addr add 192.168.9.1/24 dev lan0; touch /run/leases")
    server.write("/run/udhcpd.conf", UDHCPD)
    server.spawn("busybox", "udhcpd", "-f", "/run/udhcpd.conf", log=server.log("udhcpd"))
    node = client_on_lan(world)
    keeper = keep(node)
    first = await_address(node)
    wait_until("the lease in its status", lambda: acquired(node) > 0)
    before = acquired(node)
    keeper.kill()
    keeper.wait(5)
    keep(node)
    wait_until("a confirmed lease", lambda: acquired(node) > before)

    assert address(node) == first
    assert default_routes(node) == [("192.168.9.1", 100)]


def acquired(node: Node, link: str = "eth0") -> float:
    """0: no lease yet, or no status."""
    if not node.path(f"/run/zosnet/dhcp-{link}.json").exists():
        return 0.0
    lease = status(node, link)["lease"]
    return float(lease["acquired"]) if lease else 0.0


UDHCPD = """start 192.168.9.20
end 192.168.9.60
interface lan0
lease_file /run/leases
pidfile /run/udhcpd.pid
option subnet 255.255.255.0
option router 192.168.9.1
option lease 600
"""


def test_a_lease_in_a_namespace_leaves_the_host_as_it_is(world: World) -> None:
    lone_server(world, "srv", "lan", HOME)
    node = client_on_lan(world)
    before = node.output("cat", "/etc/resolv.conf")
    node.script("ip netns add p; ip link set eth0 netns p; ip -n p link set eth0 up")
    node.spawn(PYTHON, PROGRAM, "keep", "p", "eth0", log=node.log("keeper"))
    servers = node.path("/etc/netns/p/resolv.conf")
    wait_until("name servers", servers.exists)

    assert "nameserver 192.168.7.1" in servers.read_text()
    assert "192.168.7.1 " in node.output("ip", "-n", "p", "route")
    assert node.output("ip", "route") == ""
    assert node.output("cat", "/etc/resolv.conf") == before


def test_a_link_that_is_not_there_is_said_and_the_exit_code_tells(world: World) -> None:
    node = world.node("n")
    ended = node.run(PYTHON, "-m", "agent", "dhcp", "eth9", check=False)

    assert ended.returncode == 3
    assert "error: cannot keep the lease of eth9: there is no such link" in ended.stderr


def test_a_link_that_goes_ends_the_keeper(world: World) -> None:
    lone_server(world, "srv", "lan", HOME)
    node = client_on_lan(world)
    keeper = keep(node)
    await_state(node, "bound")
    node.script("ip link del eth0")

    assert keeper.wait(20) == 3

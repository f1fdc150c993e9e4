"""`internet` on nodes with real DHCP servers and router advertisements."""

import json
import time
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import pytest

from agent.boot.status import Step
from lab.host import PYTHON, TREE, wait_until
from lab.network import leave_unplugged
from lab.node import Node
from lab.router import LEASES, Lan, await_dnsmasq, lan_script, lone_server, serve_lan
from lab.wiring import Nic
from lab.world import World
from netns.values import GROUP
from tests.lab.boot_node import (
    addresses,
    boot_status,
    configure,
    internet,
    ip_json,
    kernel_state,
    known_status,
    links,
    log_lines,
    nics,
    ports,
    reasons,
    spaces,
    start_internet,
)
from zinit.units import internet as internet_unit
from zinit.units import render

pytestmark = pytest.mark.lab

HOME = Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64"))
HOME4 = Lan(IPv4Interface("192.168.7.1/24"))
QUIET = Lan(IPv4Interface("10.77.0.1/24"), gateway=False)
ONLY6 = Lan(None, IPv6Interface("2001:db8:c:1::1/64"))
NDMZ_PORT = """
    ip link add ndz4 address 02:00:00:00:00:01 type veth peer name inside
    ip link set ndz4 alias zosnet:npub4 master zos up
"""
AGENT = TREE / ".venv/bin/zosnet-agent"


def booting_node(world: World, *cards: tuple[str, str | None]) -> Node:
    """A configured node with these NICs: name and switch, None without a cable. The grace is short."""
    node = world.node("n")
    world.plug(*(Nic("n", name, switch) for name, switch in cards))
    configure(node, "probe: {grace: 0.2}")
    return node


def await_rest(node: Node) -> None:
    def rests() -> bool:
        found = boot_status(node)
        return found is not None and found.resting_until is not None

    wait_until("a rest", rests)


def await_probe(node: Node) -> None:
    def probes() -> bool:
        found = boot_status(node)
        return found is not None and found.step is Step.PROBE

    wait_until("a probe", probes)


def test_of_three_nics_the_one_with_a_gateway_is_taken_and_the_others_stay_ready(
    world: World,
) -> None:
    """B1, B3: all at once, each in a namespace of its own; a lease without a gateway is no uplink."""
    lone_server(world, "r", "home", HOME)
    lone_server(world, "q", "quiet", QUIET)
    node = booting_node(world, ("eth0", "quiet"), ("eth1", "home"), ("eth2", None))
    configure(node)
    before = links(node)
    began = time.monotonic()
    ended = internet(node)
    took = time.monotonic() - began

    assert ended.returncode == 0, ended.stderr

    status = known_status(node)

    assert status.step is Step.DONE
    assert status.uplink is not None
    assert (status.uplink.nic, status.uplink.address_class) == ("eth1", "RFC1918 IPv4")
    assert [nic.name for nic in status.nics] == ["eth1", "eth0", "eth2"]
    assert "lease 10.77.0." in reasons(node)["eth0"]
    assert "without a gateway; no router advertisement" in reasons(node)["eth0"]
    assert reasons(node)["eth2"] == "no carrier"

    assert ports(node) == ["eth1"]
    assert links(node)["zos"]["address"] == before["eth1"]["address"]
    assert len(addresses(node, "zos", family=4)) == 1
    assert addresses(node, "eth1", family=4) == []
    assert node.output("cat", "/proc/sys/net/ipv6/conf/eth1/disable_ipv6").strip() == "1"

    assert spaces(node) == sorted(f"znp-{before[name]['ifindex']}" for name in ("eth0", "eth2"))
    for space in spaces(node):
        (name,) = (name for name in links(node, space) if name.startswith("eth"))
        assert "UP" in links(node, space)[name]["flags"]
        (shown,) = ip_json(node, "addr", "show", "dev", name, space=space)
        assert shown["addr_info"] == []
    assert took < 10  # the grace of 2 s, for the LAN that might still have shown a gateway

    wait_until("an IPv6 address on zos", lambda: bool(addresses(node, "zos", family=6)))


def test_an_ipv6_only_lan_boots_a_node(world: World) -> None:
    """B5."""
    lone_server(world, "r", "lan", ONLY6)
    node = booting_node(world, ("eth0", "lan"))
    ended = internet(node)
    uplink = known_status(node).uplink

    assert ended.returncode == 0, ended.stderr
    assert uplink is not None
    assert uplink.address_class == "global IPv6"

    wait_until("an IPv6 address on zos", lambda: bool(addresses(node, "zos", family=6)))

    (route,) = ip_json(node, "-6", "route", "show", "default")
    assert (route["dev"], route["gateway"]) == ("zos", "fe80::1")


def test_a_server_that_starts_late_is_waited_for(world: World) -> None:
    """B2, as the machine of decision 7 asks."""
    server = world.node("r", disk=False)
    node = booting_node(world, ("eth0", "lan"))
    world.plug(Nic("r", "lan0", "lan"))
    server.script(lan_script(HOME4))
    running = start_internet(node)
    time.sleep(5)

    assert running.poll() is None

    serve_lan(server, HOME4)
    await_dnsmasq(server)
    began = time.monotonic()

    assert running.wait(30) == 0
    assert time.monotonic() - began < 20  # the client's own retry, at most 8 s and some
    assert ports(node) == ["eth0"]


def test_a_server_that_comes_between_two_rounds_is_found_by_the_next(world: World) -> None:
    server = world.node("r", disk=False)
    node = booting_node(world, ("eth0", "lan"))
    configure(node, "probe: {dhcp: 1}")
    world.plug(Nic("r", "lan0", "lan"))
    server.script(lan_script(HOME4))
    running = start_internet(node)
    await_rest(node)
    why = reasons(node)
    serve_lan(server, HOME4)
    await_dnsmasq(server)

    assert running.wait(20) == 0
    assert why == {"eth0": "no offer; no router advertisement"}
    assert known_status(node).round > 1
    assert addresses(node, "zos", family=4)[0].startswith("192.168.7.")


def test_without_any_network_it_waits_with_reasons_and_a_cable_ends_the_wait_at_once(
    world: World,
) -> None:
    """B6: for ever, not for 15 minutes."""
    lone_server(world, "r", "lan", HOME4)
    node = booting_node(world, ("eth0", "lan"))
    leave_unplugged(world, (node, "eth1"))
    node.pull_cable("eth0")
    configure(node, "probe: {carrier: 1}")
    running = start_internet(node)
    await_rest(node)

    assert reasons(node) == {"eth0": "no carrier", "eth1": "no carrier"}
    assert running.poll() is None

    node.plug_cable("eth0")

    assert running.wait(20) == 0
    assert known_status(node).round == 1
    assert addresses(node, "zos", family=4)[0].startswith("192.168.7.")


def test_a_nic_that_appears_later_is_probed(world: World) -> None:
    lone_server(world, "r", "lan", HOME4)
    node = world.node("n")
    configure(node)
    running = start_internet(node)
    await_rest(node)
    world.plug(Nic("n", "eth0", "lan"))

    assert running.wait(20) == 0
    assert known_status(node).round == 1  # it did not wait for the next one
    assert ports(node) == ["eth0"]


def test_a_second_start_adopts_zos_and_changes_nothing(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"), ("eth1", None))
    first = internet(node)
    was, index = kernel_state(node), links(node)["zos"]["ifindex"]
    said = known_status(node)
    again = internet(node)
    now = known_status(node)

    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert kernel_state(node) == was
    assert links(node)["zos"]["ifindex"] == index
    assert (now.uplink, now.nics, now.step) == (said.uplink, said.nics, Step.DONE)


def test_zos_keeps_its_nics_mac_whatever_else_becomes_a_port(world: World) -> None:
    """B7. Left to itself a bridge takes the lowest MAC of its ports, and another lease with it."""
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"))
    mac = links(node)["eth0"]["address"]

    assert internet(node).returncode == 0

    node.script(NDMZ_PORT)

    assert links(node)["ndz4"]["address"] < mac
    assert links(node)["zos"]["address"] == mac


def test_a_half_done_boot_whose_nic_lost_its_cable_takes_another_and_keeps_the_other_ports(
    world: World,
) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"), ("eth1", "home"))
    node.pull_cable("eth1")

    assert internet(node).returncode == 0

    node.script(NDMZ_PORT + "rm /run/zosnet/internet.json")
    index = links(node)["zos"]["ifindex"]
    node.pull_cable("eth0")
    node.plug_cable("eth1")
    ended, now = internet(node), links(node)

    assert ended.returncode == 0, ended.stderr
    assert ports(node) == ["eth1", "ndz4"]
    assert (now["zos"]["ifindex"], now["zos"]["address"]) == (index, now["eth1"]["address"])
    own = [known_status(node).nics[0].ipv4]
    wait_until("the old one to go", lambda: addresses(node, "zos", family=4) == own)


def test_a_foreign_link_called_zos_is_an_error_and_nothing_is_touched(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"))
    node.script(
        "ip link add zos type bridge; ip link set eth0 up; ip addr add 10.1.1.1/24 dev eth0"
    )
    ended = internet(node)

    assert ended.returncode == 4
    assert "cannot make the bridge zos: a link of that name exists and is not ours" in ended.stderr
    assert "hint: look with: ip -d link show zos" in ended.stderr
    assert addresses(node, "eth0", family=4) == ["10.1.1.1/24"]
    assert spaces(node) == []

    node.script("ip link del zos")

    assert internet(node).returncode == 0


def test_a_foreign_namespace_in_the_way_is_an_error_and_loses_no_nic(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"), ("eth1", "home"))
    taken = f"znp-{links(node)['eth1']['ifindex']}"
    node.script(f"ip netns add {taken}; ip -n {taken} link add theirs type bridge")
    ended = internet(node)

    assert ended.returncode == 4
    assert f"cannot use namespace {taken}: it exists and is not ours" in ended.stderr
    assert {"eth0", "eth1"} <= set(links(node))
    assert spaces(node) == [taken]
    assert "theirs" in links(node, taken)

    node.script(f"ip netns del {taken}")

    assert internet(node).returncode == 0


@pytest.mark.parametrize("alias", ["zosnet:zos", ""])
def test_what_is_left_of_zos_without_a_port_goes_before_the_probe(world: World, alias: str) -> None:
    """Killed between making it and marking it, or before it had its port."""
    node = booting_node(world, ("eth0", None))
    node.script(f"ip link add zos group {GROUP} type bridge; ip link set zos alias '{alias}' up")
    running = start_internet(node)
    await_probe(node)

    assert "zos" not in links(node)
    assert running.poll() is None


def test_without_zinit_it_says_so_and_the_next_start_goes_on_from_there(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"))
    refused = internet(node, "--supervisor", "zinit")
    index = links(node)["zos"]["ifindex"]

    assert refused.returncode not in (0, 1)
    assert "error: cannot" in refused.stderr
    assert "zinit" in refused.stderr
    assert known_status(node).step is Step.UNIT
    assert "zinit" in known_status(node).error

    ended = internet(node)

    assert ended.returncode == 0, ended.stderr
    assert links(node)["zos"]["ifindex"] == index
    assert known_status(node).error == ""


def test_under_systemd_the_keeper_is_a_transient_unit_started_once(world: World) -> None:
    """systemd's own programs are played here: what is tested is what they are asked for."""
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"))
    node.write("/run/bin/systemctl", "#!/bin/sh\ntest -e /run/asked\n", mode=0o755)
    node.write("/run/bin/systemd-run", '#!/bin/sh\necho "$@" >>/run/asked\n', mode=0o755)
    for _ in range(2):
        ended = internet(node, "--supervisor", "systemd", path="/run/bin")

        assert ended.returncode == 0, ended.stderr

    assert node.path("/run/asked").read_text() == (
        "--quiet --collect --unit=zosnet-dhcp-zos.service --property=Restart=always"
        f" --property=RestartSec=2 {AGENT} dhcp zos\n"
    )


def test_under_zinit_a_node_has_one_client_id_and_one_lease(world: World) -> None:
    """B8. The probe, zos and the keeper are one client to the server."""
    server = lone_server(world, "r", "home", HOME)
    node = booting_node(world, ("eth0", "home"))
    node.write("/etc/zosnet/agent.yaml", "nics: {kinds: [veth]}\n")
    node.write("/etc/zinit/internet.yaml", render(internet_unit(AGENT)))
    node.start_programs()
    keeper = node.path("/run/zosnet/dhcp-zos.json")
    wait_until("the keeper's lease", lambda: keeper.exists() and '"bound"' in keeper.read_text())
    log = server.log("dnsmasq")
    wait_until("the end of the boot", lambda: known_status(node).step is Step.DONE)

    (lease,) = server.path(LEASES).read_text().splitlines()
    assert lease.endswith(f" 01:{links(node)['eth0']['address']}")  # the client id
    assert len(log_lines(log, "DHCPREQUEST(lan0)")) >= 2  # the probe's, and INIT-REBOOT on zos
    assert len({line.split("DHCPACK(lan0) ")[1] for line in log_lines(log, "DHCPACK(lan0)")}) == 1
    assert not log_lines(log, "DHCPNAK")


def test_sigterm_brings_the_nics_home(world: World) -> None:
    node = booting_node(world, ("eth0", "lan"), ("eth1", None))
    running = start_internet(node)
    await_probe(node)

    assert len(spaces(node)) == 2

    running.terminate()

    assert running.wait(20) != 0
    assert spaces(node) == []
    assert nics(node) == ["eth0", "eth1"]


def test_two_boots_at_once_are_refused(world: World) -> None:
    node = booting_node(world, ("eth0", "lan"))
    running = start_internet(node)
    await_probe(node)
    second = internet(node)

    assert second.returncode == 4
    assert "cannot start internet: another internet is running" in second.stderr
    assert running.poll() is None


def planned(node: Node) -> tuple[list[dict[str, Any]], list[str]]:
    """What `plan` says of each NIC, and what a start would change."""
    items = json.loads(node.output("zosnet-agent", "plan", "-o", "json"))["items"]
    nics = [item for item in items if "nic" in item]
    return nics, [f"{item['where']}: {item['change']}" for item in items if "change" in item]


def test_plan_says_what_would_be_chosen_and_touches_nothing(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    lone_server(world, "p", "public", Lan(IPv4Interface("198.51.100.129/28")))
    node = booting_node(world, ("eth0", "public"), ("eth1", "home"), ("mgmt0", None))
    before, first = planned(node)
    assert internet(node).returncode == 0
    was = kernel_state(node)
    configure(node)
    node.write("/etc/zosnet/agent.yaml", "nics: {kinds: [veth], pin: eth0, exclude: [mgmt*]}\n")
    after, second = planned(node)
    wait_until("the keeper's word", node.path("/run/zosnet/dhcp-zos.json").exists)
    why = node.output("zosnet-agent", "why", "uplink")

    assert {item["nic"]: item["reason"] for item in before} == {
        "eth0": "not probed yet",
        "eth1": "not probed yet",
        "mgmt0": "not probed yet",
    }
    assert first[:2] == [
        "uplink: probe eth0, eth1, mgmt0",
        "uplink: make the best of them the port of zos",
    ]
    assert [(item["nic"], item.get("uplink")) for item in after] == [
        ("eth0", "next"),
        ("eth1", "now"),
        ("mgmt0", None),
    ]
    assert after[2]["reason"] == "excluded by nics.exclude"
    assert [change for change in second if change.startswith("uplink")] == []
    assert "mgmt0" in why
    assert "left out: excluded by nics.exclude" in why
    assert "lease of zos" in why
    assert kernel_state(node) == was


def test_check_targets_are_reported_and_hold_nothing_up(world: World) -> None:
    """B10, reported only."""
    server = lone_server(world, "r", "home", HOME4)
    server.spawn(PYTHON, "-c", "import socket; s = socket.create_server(('', 80)); s.accept()")
    listening = ("ss", "-Htln", "sport = :80")
    wait_until("the target", lambda: server.output(*listening) != "")
    node = booting_node(world, ("eth0", "home"))
    targets = ("tcp://192.168.7.1:80", "tcp://192.168.7.1:81")
    configure(node, f"check: {list(targets)}")
    ended = internet(node)

    assert ended.returncode == 0, ended.stderr

    wait_until("the checks", lambda: len(known_status(node).checks) == 2)

    assert known_status(node).checks == {targets[0]: "ok", targets[1]: "Connection refused"}

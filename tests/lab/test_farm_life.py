"""A farm through bad luck: power cuts, a dead controller, dead programs. Each test heals it again."""

import json
import re
from collections.abc import Iterator
from time import sleep
from typing import Any

import pytest

from lab import checks
from lab.host import PYTHON
from lab.internet import WEB4
from lab.node import Node
from lab.world import World
from tests.lab.home import PROGRAMS
from tests.lab.living import (
    Living,
    await_that,
    kill,
    make_living,
    pid_of,
    processes,
)

pytestmark = pytest.mark.lab

MEMORY = 48 * 1024  # KiB
STREAM = (PYTHON, "-I", "-S", PROGRAMS / "stream.py")
STREAM_PORT = 8000


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world)
    living.farm.inet.spawn(*STREAM, "serve", str(STREAM_PORT))
    yield living
    living.kill_controller()


def test_networkd_is_small(farm: Living) -> None:
    sizes = {}
    for name, node in farm.farm.nodes.items():
        pid = pid_of(node, "zosnet-agent networkd")
        line = re.search(r"VmRSS:\s+(\d+)", node.output("cat", f"/proc/{pid}/status"))
        assert line is not None
        sizes[name] = int(line[1])
    print("networkd:", ", ".join(f"{name} {size / 1024:.1f} MiB" for name, size in sizes.items()))

    assert max(sizes.values()) <= MEMORY


@pytest.mark.timeout(400)
def test_a_rebooted_node_needs_no_controller_and_only_a_relayed_pair_needs_its_transit(
    farm: Living,
) -> None:
    """D5: the node talks to peers that it knows, from its verified cache."""
    n1, n2 = farm.node("n1"), farm.node("n2")
    farm.kill_controller()
    n2.power_cut()
    n2.boot(programs=True)
    print(f"n2 rebooted without a controller: all pings after {farm.await_answers(30):.2f} s")
    from_cache = farm.status("n2")["networks"][0]["from_cache"]

    before = farm.views()
    alive = {name: before[name] for name in ("n2", "n3")}
    n1.power_cut()
    silent = farm.silent(alive, seconds=1)
    outside, said = checks.reaches_the_internet(farm.farm, alive)
    noticed = await_that(
        "n2 to notice", lambda: farm.peer("n2", "n3")["reachable"] is False, within=30
    )
    status, why = (n2.run("zosnet-agent", *words) for words in (("status",), ("why", "n3")))
    ndmz = [farm.views()[name].ndmz for name in alive]
    n1.boot(programs=True)
    healed = farm.await_answers(30)
    farm.serve()
    print(f"n1 dead: n2 knows after {noticed:.1f} s; n1 back: all pings after {healed:.2f} s")

    assert from_cache
    # n1 itself answers nobody; of those that live only the pair that it carried is cut off
    assert silent == {("n2", "n3"), ("n3", "n2")}
    assert outside, said
    assert all(each.ready4 for each in ndmz)
    assert "n3 does not answer (through n1, which does not answer either)" in status.stdout
    assert "n1, which carries it, does not answer" in why.stdout


def test_each_zos_has_one_client_id_and_one_lease_over_its_reboots(farm: Living) -> None:
    """N2: npub4 has a MAC of its own, the same after a reboot."""
    n2 = farm.node("n2")
    before = {name: leases(farm, name) for name in SITES}
    n2.power_cut()
    n2.boot(programs=True)
    farm.await_answers(30)
    after = {name: leases(farm, name) for name in SITES}
    print("leases:", after)

    for name, view in farm.views().items():
        zos = mac_of(farm.node(name), "zos")
        npub4 = mac_of(farm.node(name), "npub4", "ndmz")
        addresses = {address for _, address, _ in after[name]}

        assert {mac for mac, _, _ in after[name]} == {zos, npub4}
        assert len(after[name]) == len(addresses) == 2  # zos and ndmz, one each
        assert {client for _, _, client in after[name]} == {f"01:{zos}", f"01:{npub4}"}
        assert view.nic.ipv4 is not None
        assert view.nic.ipv4.partition("/")[0] in addresses
        assert acknowledged(farm, name, zos) == {view.nic.ipv4.partition("/")[0]}
    assert after["n2"] == before["n2"]


SITES = {"n1": "lan-a", "n2": "lan-b", "n3": "lan-c"}


def leases(farm: Living, name: str) -> set[tuple[str, str, str]]:
    """(MAC, address, client id) of every lease that the site's server has given and remembers."""
    text = farm.farm.routers[SITES[name]].path("/run/dnsmasq.leases").read_text()
    lines = [line.split() for line in text.splitlines()]
    return {(mac, address, client) for _, mac, address, _, client in lines}


def acknowledged(farm: Living, name: str, mac: str) -> set[str]:
    """Every address that the site's server ever gave this MAC, by its log."""
    text = farm.farm.routers[SITES[name]].log("dnsmasq").read_text()
    return set(re.findall(rf"DHCPACK\(lan0\) (\S+) {mac}", text))


def mac_of(node: Node, link: str, namespace: str = "") -> str:
    words = ("cat", f"/sys/class/net/{link}/address")
    return node.output(*(node.inside(namespace, *words) if namespace else words)).strip()


def test_a_killed_networkd_loses_no_packet_and_is_back_with_what_it_finds(farm: Living) -> None:
    n2 = farm.node("n2")
    before, place = farm.status("n2"), farm.views()["n2"].namespace
    wireguard, made = wireguard_of(n2), links_of(n2, place)
    others = [address for name in ("n1", "n3") for address in farm.views()[name].overlay]
    flows = [
        n2.spawn(*n2.inside(place, *PING, address), log=n2.log(f"ping-{number}"))
        for number, address in enumerate(others)
    ]
    download = n2.inside(place, *STREAM, "fetch", str(WEB4), str(STREAM_PORT), "12")
    flows.append(n2.spawn(*download, log=n2.log("fetch")))
    sleep(0.5)
    kill(n2, pid_of(n2, "zosnet-agent networkd"))
    back = await_that("networkd again", lambda: is_new_and_sees_all(farm, "n2", before["pid"]))
    running = [flow.poll() is None for flow in flows]
    ended = [flow.wait(20) for flow in flows]
    said = [n2.log(f"ping-{number}").read_text() for number in range(len(flows) - 1)]
    after = farm.status("n2")

    assert all(running)  # they went on over the whole absence
    assert ended == [0] * len(flows)
    size, gap = n2.log("fetch").read_text().split()
    print(f"networkd killed: back after {back:.2f} s; longest gap in the download {gap} s")
    assert [re.findall(r"(\d+) packets transmitted, (\d+) received", text) for text in said] == [
        [("300", "300")]
    ] * 4
    assert float(gap) < max(0.5, back / 2)  # on a busy machine anything may stand still for a while
    assert int(size) > 300_000
    assert (wireguard_of(n2), links_of(n2, place)) == (wireguard, made)
    assert after["seconds"] == before["seconds"]  # of its first time, not of this one
    assert after["came_first"] == before["came_first"]


PING = ("ping", "-q", "-i", "0.04", "-c", "300", "-W", "1")


def is_new_and_sees_all(farm: Living, name: str, before: int) -> bool:
    now = farm.status(name)
    peers = [peer for network in now["networks"] for peer in network["peers"]]
    return now["pid"] != before and len(peers) == 2 and all(p["reachable"] for p in peers)


def links_of(node: Node, place: str) -> list[str]:
    """By number and name, at home, in ndmz and in the network's namespace: none was made anew."""
    spaces = [node.inside(space, "ip", "-o", "link") for space in ("ndmz", place)]
    named = [node.output(*words) for words in (("ip", "-o", "link"), *spaces)]
    return [line.split(": <")[0] for said in named for line in said.splitlines()]


@pytest.mark.timeout(400)
def test_d4_a_dead_controller_takes_no_packet_and_no_tunnel_away(farm: Living) -> None:
    """D4: for longer than anybody waits for it: refresh, dead connection, several reconnects."""
    n2 = farm.node("n2")
    view = farm.views()["n2"]
    others = [address for name in ("n1", "n3") for address in farm.views()[name].overlay]
    before = wireguard_of(n2), links_of(n2, view.namespace), farm.status("n2")["pid"]
    flows = [
        n2.spawn(*n2.inside(view.namespace, *LONG_PING, address), log=n2.log(f"long-{number}"))
        for number, address in enumerate(others)
    ]
    farm.kill_controller()
    ended = [flow.wait(60) for flow in flows]
    said = [n2.log(f"long-{number}").read_text() for number in range(len(flows))]
    noticed = n2.run("zosnet-agent", "status").stdout
    farm.serve()

    assert ended == [0] * len(flows)
    assert [re.findall(r"(\d+) packets transmitted, (\d+) received", text) for text in said] == [
        [("800", "800")]
    ] * 4
    assert (wireguard_of(n2), links_of(n2, view.namespace), farm.status("n2")["pid"]) == before
    assert "cannot reach the controller" in noticed  # it was really away


LONG_PING = ("ping", "-q", "-i", "0.05", "-c", "800", "-W", "1")


def wireguard_of(node: Node) -> int:
    return next(pid for pid, args in processes(node).items() if "/wireguard-go " in args)


def test_a_killed_lease_keeper_leaves_the_address_and_is_started_again(farm: Living) -> None:
    n2 = farm.node("n2")
    before, status = pid_of(n2, KEEPER), keeper_status(n2)
    kill(n2, before)
    during = n2.output("ip", "-4", "-o", "address", "show", "dev", "zos")
    back = await_that("the next keeper", lambda: is_bound_anew(n2, status))
    print(f"keeper killed: the next one has the lease after {back:.2f} s")
    after = keeper_status(n2)

    address = status["lease"]["address"]
    assert address in during
    assert after["lease"]["address"] == address
    assert address in n2.output("ip", "-4", "-o", "address", "show", "dev", "zos")
    assert pid_of(n2, KEEPER) != before


KEEPER = "zosnet-agent dhcp zos"


def is_bound_anew(node: Node, before: dict[str, Any]) -> bool:
    now = keeper_status(node)
    return bool(now["state"] == "bound" and now["updated"] > before["updated"])


def keeper_status(node: Node) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(node.path("/run/zosnet/dhcp-zos.json").read_text())
    return status

"""N13. Two NICs, one for the node out of band and one for its workloads: over its life, and over ours.

The workloads' LAN has one IPv4 address to give: neither the probe of its NIC nor the host may keep it.
"""

import json
import re
from collections.abc import Iterator
from shutil import rmtree
from time import monotonic, sleep

import pytest
from msgspec.structs import replace

import lab.farm
from agent.ndmz.pair import FAR
from agent.ndmz.sharing import PATIENCE_S
from lab import checks
from lab.internet import WEB4, WEB6
from lab.knock import knock
from lab.layouts import LAYOUTS, OOB, WORK
from lab.node import Node
from lab.router import end_lan, serve_lan
from lab.world import World
from tests.lab.living import Living, await_that, kill, make_living, pid_of, processes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

DEAD, BACK = 8.0, 12.0  # a busy machine may be silent for seconds
PLAN = LAYOUTS["oob"].plan.with_lan("work", leases=1)
OWN = "198.51.100.210"  # the one that the LAN gives
CONFIG = "/etc/zosnet/agent.yaml"
DEAF = """
table netdev deaf {
    chain hears {
        type filter hook ingress device lan0 priority 0; policy drop;
    }
}
"""
PING = ("ping", "-q", "-i", "0.02", "-c", "300", "-W", "1")


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lab.farm,
            "AGENT_CONFIG",
            f"{lab.farm.AGENT_CONFIG}uplink: {{dead: {DEAD}, back: {BACK}}}\n",
        )
        living = make_living(shared_world, PLAN)
        await_br_pub(living)
        yield living
        living.kill_controller()


def ports(node: Node, bridge: str) -> set[str]:
    """Empty when there is no such bridge, too."""
    return set(node.run("ls", f"/sys/class/net/{bridge}/brif", check=False).stdout.split())


def carrier(farm: Living) -> tuple[str, str]:
    """Which NIC carries n2's ndmz, and why."""
    found = farm.views()["n2"].daemon.carrier
    return found.nic, found.reason


def await_br_pub(farm: Living, within: float = 30) -> float:
    """The NIC is in br-pub with ndmz, both families are there, and everybody is reached."""
    n2 = farm.node("n2")
    took = await_that(
        "ndmz on br-pub",
        lambda: ports(n2, "br-pub") == {"eth1", "ndz4", "ndz6"} and is_ready(farm),
        within,
    )
    farm.await_answers(30)
    return took


def is_ready(farm: Living) -> bool:
    ndmz = farm.views()["n2"].ndmz
    return ndmz.ready4 and ndmz.ready6 and OWN in ndmz.addresses


def wireguard_spaces(node: Node) -> set[str]:
    """Where WireGuard's sockets are: "" is the host."""
    found = set()
    for space in ("", "ndmz"):
        argv = ("ss", "-Hulnp")
        listening = node.output(*(node.inside(space, *argv) if space else argv))
        if re.search(r":5[12]\d{3} .*wireguard-go", listening):
            found.add(space)
    return found


def seen_as(farm: Living) -> set[str]:
    """As whom the Internet sees a workload on n2."""
    view = farm.views()["n2"]
    answers = knock(
        farm.node("n2"),
        ["http4/web.example", "http6/web.example"],
        namespace=view.namespace,
        seconds=5,
    )
    return {answer.detail for answer in answers.values()}


def test_workloads_leave_by_the_public_nic_and_the_node_by_the_private_one(farm: Living) -> None:
    n2 = farm.node("n2")
    nic, why = carrier(farm)
    routes = json.loads(n2.output("ip", "-j", "route", "show", "default"))
    macs = n2.output("cat", "/sys/class/net/br-pub/address", "/sys/class/net/eth1/address")
    marked = n2.output("ip", "-o", "link", "show", "br-pub")

    await_that("workloads by it", lambda: seen_as(farm) == set(farm.views()["n2"].ndmz.addresses))
    assert [(r["gateway"], r["dev"]) for r in routes] == [("192.168.7.1", "zos")]
    assert n2.output("ip", "-o", "addr", "show", "br-pub") == ""  # the host is not on that LAN
    assert n2.output("ip", "-o", "addr", "show", "eth1") == ""
    assert len(set(macs.split())) == 1
    assert "zosnet:br-pub" in marked
    assert (nic, why.endswith("; zos is out of band")) == ("eth1", True)
    await_that(
        "both addresses in its words",
        lambda: f"public IPv4 {OWN}/28 and global IPv6" in n2.output("zosnet-agent", "why", "ndmz"),
    )


def test_wireguard_listens_where_the_public_address_is(farm: Living) -> None:
    await_that("WireGuard in ndmz", lambda: wireguard_spaces(farm.node("n2")) == {"ndmz"})
    ways = farm.peer("n2", "n1"), farm.peer("n1", "n2")

    assert [way["path"] for way in ways] == ["direct", "direct"]
    assert ways[0]["initiator"] != ways[1]["initiator"]
    assert ways[1]["endpoint"].startswith((OWN, "[2001:db8:bf:1:"))


def test_of_ndmz_only_wireguards_ports_are_open(farm: Living) -> None:
    """What reaches ndmz and finds nobody is refused; what the guard stops is silent."""
    addresses = farm.views()["n2"].ndmz.addresses
    taken = int(str(farm.status("n2")["networks"][0]["port"]))
    asked = [port for port in (7, 51819, 51820, 52843, 52844) if port != taken]
    targets = [f"udp/{address}/{port}" for address in addresses for port in asked]
    neighbour = farm.farm.neighbours["nb-work"]
    answers = [knock(who, targets) for who in (farm.farm.inet, neighbour)]

    assert [{t for t, a in each.items() if a.verdict == "refused"} for each in answers] == [
        {t for t in targets if t.endswith(("/51820", "/52843"))}
    ] * 2


def test_a_workload_reaches_neither_lan(farm: Living) -> None:
    ok, said = checks.reaches_no_neighbour(farm.farm, farm.views())

    own = json.loads(farm.node("n2").path("/run/zosnet/ndmz.json").read_text())["own"]

    assert ok, said
    assert {n.site for n in PLAN.neighbours} >= {OOB.name, WORK.name}
    assert {"192.168.7.0/24", "198.51.100.208/28", "2001:db8:bf:1::/64"} <= set(own)


def test_plan_says_which_nic_is_ndmzs(farm: Living) -> None:
    items = json.loads(farm.node("n2").output("zosnet-agent", "plan", "-o", "json"))["items"]

    assert {i["nic"]: i["uplink"] for i in items if i["nic"] in ("eth0", "eth1")} == {
        "eth0": "now",
        "eth1": "ndmz",
    }


def test_a_killed_networkd_loses_no_packet(farm: Living) -> None:
    n2, place = farm.node("n2"), farm.views()["n2"].namespace
    before = n2.output("ip", "-o", "link"), n2.output("ip", "-n", "ndmz", "-o", "link")
    targets = [str(WEB4), str(WEB6), *farm.views()["n1"].overlay]
    flows = [
        n2.spawn(*n2.inside(place, *PING, target), log=n2.log(f"ping-{number}"))
        for number, target in enumerate(targets)
    ]
    sleep(0.5)
    dead = pid_of(n2, "zosnet-agent networkd")
    kill(n2, dead)
    await_that("networkd again", lambda: dead not in processes(n2) and carrier(farm)[0] == "eth1")
    ended = [flow.wait(15) for flow in flows]
    said = [n2.log(f"ping-{number}").read_text() for number in range(len(flows))]

    assert ended == [0] * len(flows)
    assert [re.findall(r"(\d+) packets transmitted, (\d+) received", text) for text in said] == [
        [("300", "300")]
    ] * len(flows)
    assert (n2.output("ip", "-o", "link"), n2.output("ip", "-n", "ndmz", "-o", "link")) == before


def test_without_a_cable_ndmz_goes_by_zos_and_comes_back(farm: Living) -> None:
    n2 = farm.node("n2")
    began = monotonic()
    n2.pull_cable("eth1")
    await_that("ndmz on zos", lambda: ports(n2, "zos") == {"eth0", "ndz4", "ndz6"}, DEAD + 40)
    left = monotonic() - began
    by_zos = await_that("a way out", lambda: seen_as(farm) >= {str(OOB.ends4[1].ip)}, 30)
    farm.await_answers(30)
    await_that("WireGuard on the host", lambda: wireguard_spaces(n2) == {""})
    await_that("no br-pub", lambda: "br-pub" not in n2.output("ip", "-o", "link"))
    _, why = carrier(farm)
    n2.plug_cable("eth1")
    back = await_br_pub(farm, BACK + 60)
    print(f"left after {left:.1f} s, {by_zos:.1f} s later out by zos; back after {back:.1f} s")

    assert left >= DEAD
    assert why == "by zos: no other NIC has a public IPv4 or a global IPv6 address"
    assert back >= BACK
    await_that("WireGuard in ndmz", lambda: wireguard_spaces(n2) == {"ndmz"})
    await_that("workloads by it", lambda: seen_as(farm) == set(farm.views()["n2"].ndmz.addresses))


def test_with_a_silent_router_too(farm: Living) -> None:
    n2, router = farm.node("n2"), farm.farm.routers[WORK.switch]
    began = monotonic()
    router.run("nft", "-f", "-", input=DEAF)
    await_that("ndmz on zos", lambda: "ndz4" in ports(n2, "zos"), DEAD + 60)
    left = monotonic() - began
    router.script("nft delete table netdev deaf")
    back = await_br_pub(farm, BACK + 60)
    print(f"left after {left:.1f} s, back after {back:.1f} s")

    assert left >= DEAD


def test_a_node_that_loses_its_own_lan_takes_the_nic_of_ndmz(farm: Living) -> None:
    n2 = farm.node("n2")
    began = monotonic()
    n2.pull_cable("eth0")
    await_that("the other NIC", lambda: "eth1" in ports(n2, "zos"), DEAD + 40)
    moved = monotonic() - began
    farm.await_answers(40)
    n2.plug_cable("eth0")
    home = await_that("home", lambda: "eth0" in ports(n2, "zos"), BACK + 60)
    back = await_br_pub(farm, BACK + 60)
    print(f"moved after {moved:.1f} s; home after {home:.1f} s, br-pub {back:.1f} s later")

    assert moved >= DEAD
    await_that("its word", lambda: carrier(farm)[0] == "eth1")


def restart(farm: Living, config: str) -> None:
    """networkd with other words in `ndmz`."""
    n2 = farm.node("n2")
    text = n2.path(CONFIG).read_text().partition("ndmz:")[0]
    n2.write(CONFIG, f"{text}{config}\n")
    kill(n2, pid_of(n2, "zosnet-agent networkd"))


def test_by_config_the_nic_goes_back_and_comes_again(farm: Living) -> None:
    n2 = farm.node("n2")
    restart(farm, "ndmz: {uplink: zos}")
    await_that("ndmz on zos", lambda: ports(n2, "zos") == {"eth0", "ndz4", "ndz6"}, 30)
    kept = await_that("the NIC's own place", lambda: "znp-" in n2.output("ip", "netns", "list"))
    await_that("no br-pub", lambda: "br-pub" not in n2.output("ip", "-o", "link"))
    farm.await_answers(30)
    await_that("its word", lambda: carrier(farm) == ("", "by zos, by config"))
    restart(farm, "ndmz: {uplink: eth1}")
    named = await_br_pub(farm)
    await_that("its other word", lambda: carrier(farm) == ("eth1", "eth1, by config"))
    restart(farm, "")
    await_that("its own choice", lambda: carrier(farm)[1].endswith("zos is out of band"))
    print(f"given back after {kept:.1f} s, taken by name after {named:.1f} s")


def test_static_addresses_of_ndmz_are_those_beside_its_nic(farm: Living) -> None:
    restart(
        farm,
        "ndmz: {uplink: eth1}\nstatic: {eth1: {addresses: [198.51.100.220/28],"
        " gateways: [198.51.100.209], ndmz: [198.51.100.221/28]}}",
    )
    await_that("the static address", lambda: "198.51.100.221" in seen_as(farm), 30)
    await_that("its NIC", lambda: carrier(farm)[0] == "eth1")
    restart(farm, "")
    await_br_pub(farm)  # what was static stays beside it, until the reboot that comes next


def test_a_lan_without_ipv4_does_not_lead_workloads_to_the_nodes_own(farm: Living) -> None:
    """Where ndmz shares the node's LAN it would go through the host after 10 s."""
    n2, router = farm.node("n2"), farm.farm.routers[WORK.switch]
    end_lan(router)
    serve_lan(router, replace(WORK.lan, dhcp=False))
    n2.power_cut()
    rmtree(n2.disk / "var/lib/zosnet/leases")
    n2.boot(programs=True)
    await_that(
        "IPv6 on br-pub", lambda: carrier(farm)[0] == "eth1" and farm.views()["n2"].ndmz.ready6, 40
    )
    sleep(PATIENCE_S + 2)
    ndmz = json.loads(n2.path("/run/zosnet/ndmz.json").read_text())
    links = n2.output("ip", "-o", "link")
    end_lan(router)
    serve_lan(router, replace(WORK.lan, leases=1))
    await_br_pub(farm, 60)

    assert (ndmz["ready4"], ndmz["lent"], ndmz["lacks"]) == (False, [], ["no IPv4: no lease"])
    assert FAR not in links


@pytest.mark.parametrize("wait", [0.0, 0.01, 0.03, 0.06])
def test_networkd_killed_while_it_takes_the_nic_goes_on(farm: Living, wait: float) -> None:
    n2 = farm.node("n2")
    restart(farm, "ndmz: {uplink: zos}")
    await_that("ndmz on zos", lambda: ports(n2, "zos") == {"eth0", "ndz4", "ndz6"}, 30)
    log = n2.path("/var/log/zosnet/networkd.log")
    said = log.read_text().count("NIC goes into br-pub")
    restart(farm, "")
    await_that("the move", lambda: log.read_text().count("NIC goes into br-pub") > said, 30)
    sleep(wait)
    kill(n2, pid_of(n2, "zosnet-agent networkd"))
    took = await_br_pub(farm, 40)
    print(f"killed {wait} s into it: all there {took:.1f} s later")
    await_that("no NIC aside", lambda: "znp-" not in n2.output("ip", "netns", "list"))


def test_after_a_reboot_it_is_so_again(farm: Living) -> None:
    n2 = farm.node("n2")
    n2.power_cut()
    n2.boot(programs=True)
    took = await_br_pub(farm, 40)
    print(f"on br-pub {took:.1f} s after the boot")
    await_that("WireGuard in ndmz", lambda: wireguard_spaces(n2) == {"ndmz"})

    assert ports(n2, "zos") == {"eth0"}


def test_somebody_elses_br_pub_is_left_and_named(farm: Living) -> None:
    n2 = farm.node("n2")
    restart(farm, "ndmz: {uplink: zos}")
    await_that("no br-pub", lambda: "br-pub" not in n2.output("ip", "-o", "link"), 30)
    n2.script("ip link add br-pub type bridge")
    restart(farm, "")
    await_that("its words", lambda: "exists and is not ours" in carrier(farm)[1], 30)
    farm.await_answers(30)
    why, foreign = n2.output("zosnet-agent", "why", "ndmz"), ports(n2, "br-pub")
    n2.script("ip link delete br-pub")
    await_br_pub(farm)

    assert "cannot add link br-pub: a link of that name exists and is not ours" in why
    assert foreign == set()


def test_a_boot_that_starts_over_may_take_the_nic_of_ndmz(farm: Living) -> None:
    """The last one: the node is at home on that NIC then."""
    n2 = farm.node("n2")
    n2.pull_cable("eth0")
    n2.script("ip link delete zos")
    n2.run("zosnet-agent", "internet", timeout=60)
    farm.await_answers(40)

    assert "eth1" in ports(n2, "zos")
    await_that("its word", lambda: carrier(farm)[0] == "")

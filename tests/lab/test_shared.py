"""ndmz on a site that gives no second lease: its IPv4 goes through the host, and leaves no trace."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from lab.host import Process, wait_until
from lab.internet import WEB4, WEB6
from lab.router import LEASES, await_dnsmasq, end_lan, serve_lan
from lab.world import World
from tests.lab.home import HOME, NODE, Home, all_kinds, make_home

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

WEB = (str(WEB4), str(WEB6))
CONFIG = "/etc/zosnet/agent.yaml"
ZOS = "/proc/sys/net/ipv4/conf/zos/forwarding"
DOCKER = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority 0; policy drop;
    }
}
"""
ACCEPT = """
    nft add rule ip filter FORWARD iifname ndzs4 accept
    nft add rule ip filter FORWARD oifname ndzs4 accept
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        home = make_home(world, leases=0)
        home.node.script("echo 1 >/proc/sys/net/ipv4/conf/zos/promote_secondaries")
        yield home


@contextmanager
def running(home: Home, ipv4: str, *, ready: bool = True) -> Iterator[Process]:
    home.node.write(CONFIG, f"ndmz: {{ipv4: {ipv4}}}")
    home.node.path("/run/zosnet/ndmz.json").unlink(missing_ok=True)  # what the last one said
    process = home.start_ndmz("n-one", wait=ready)
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)


@pytest.fixture
def sharing(home: Home) -> Iterator[Process]:
    with running(home, "shared") as process:
        yield process


def serve_leases(home: Home, leases: int | None) -> None:
    end_lan(home.router)
    home.router.script(f"rm -f {LEASES}")
    serve_lan(home.router, replace(HOME.lan, leases=leases))
    await_dnsmasq(home.router)


def forwards(home: Home) -> str:
    return home.node.output("cat", ZOS).strip()


def rules(home: Home) -> str:
    listed = ("nft", "list", "table", "ip", "zosnet_shared")
    return home.node.run(*listed, check=False).stdout


def without_a_pair(home: Home) -> None:
    """Take away the pair that an earlier test may have left: with one there, ndmz keeps sharing."""
    home.node.script("ip link delete ndzs4 2>/dev/null || :")


def traces(home: Home) -> dict[str, object]:
    """What there is of an ndmz on the host, and in ndmz, but for what is its own in both ways."""
    return {
        "links": set(home.node.output("ls", "/sys/class/net").split()),
        "ndmz": {
            name for name in home.in_ndmz("ls", "/sys/class/net").split() if name[:3] != "nr-"
        },
        "tables": home.node.output("nft", "list", "tables"),
        "routes": home.node.output("ip", "route"),
        "zos": forwards(home),
        "all": home.node.output("cat", "/proc/sys/net/ipv4/ip_forward").strip(),
        "files": set(home.node.output("ls", "/run/zosnet").split()),
    }


def test_a_workload_reaches_the_internet_as_the_node(home: Home, sharing: Process) -> None:
    said = home.router.spawn(
        "tcpdump", "-nn", "-l", "-i", "lan0", "udp port 7", log=home.world.log_path("seen")
    )
    log = home.world.log_path("seen")
    wait_until("tcpdump", lambda: "listening" in log.read_text())
    reached = home.reach("n-one", *WEB)
    wait_until("the datagram", lambda: f"> {WEB4}.7:" in log.read_text())
    said.terminate()

    assert reached == all_kinds(*WEB)
    assert f"IP {NODE[0]}." in log.read_text()
    assert home.pair[1] not in log.read_text()
    assert home.status().lent == [NODE[0], NODE[1]]
    assert (home.status().ipv4, home.status().reasons) == ("shared with the host, by config", [])


def test_a_second_start_adopts_the_way_through_the_host_and_drops_no_packet(
    home: Home, sharing: Process
) -> None:
    before = rules(home), home.node.output("ip", "-j", "link", "show", "ndzs4")
    ping = ("ping", "-q", "-i", "0.005", "-c", "300", str(WEB4))
    log = home.world.log_path("n2-ping")
    pinging = home.node.spawn(*home.node.inside("n-one", *ping), log=log)
    sharing.kill()
    sharing.wait(5)
    with running(home, "shared"):
        pinging.wait(20)
        after = rules(home), home.node.output("ip", "-j", "link", "show", "ndzs4")

    assert "300 packets transmitted, 300 received" in log.read_text()
    assert after == before


def test_to_shared_and_back_by_config_leaves_nothing_behind(home: Home) -> None:
    without_a_pair(home)
    with running(home, "own", ready=False):
        wait_until("IPv6", lambda: home.status().ready6 and not rules(home))
        before, alone = traces(home), home.status()
    with running(home, "shared"):
        wait_until("the end of npub4", lambda: "npub4" not in traces(home)["ndmz"])  # type: ignore[operator]
        during = traces(home)
    with running(home, "own", ready=False):
        wait_until("the end of it", lambda: not rules(home))
        wait_until("npub4", lambda: home.status().ready6 and traces(home) == before)

    assert (alone.ready4, alone.lacks) == (False, ["no IPv4: no lease"])
    assert during["links"] - before["links"] == {"ndzs4"}  # type: ignore[operator]
    assert during["ndmz"] ^ before["ndmz"] == {"nshared4", "npub4"}  # type: ignore[operator]
    assert (during["zos"], during["all"]) == ("1", "0")
    assert (before["zos"], before["all"]) == ("0", "0")


@pytest.mark.parametrize(
    "damage",
    [
        "nft flush ruleset",
        "nft delete table ip zosnet_shared",
        "nft insert rule ip zosnet_shared outward accept",
        "ip link delete ndzs4",
        "ip -n ndmz link delete nshared4",
        "ip link set ndzs4 down",
        "ip addr flush dev ndzs4",
        "ip -n ndmz addr flush dev nshared4",
        "ip -n ndmz route flush default",
        f"echo 0 >{ZOS}",
        "echo 0 >/proc/sys/net/ipv4/conf/ndzs4/forwarding",
        "ip netns delete ndmz",
    ],
)
def test_what_somebody_destroys_is_repaired(home: Home, sharing: Process, damage: str) -> None:
    whole = rules(home)
    home.node.script(damage)
    wait_until(
        "the repair",
        lambda: (
            rules(home) == whole
            and home.status().ready4
            and home.reach("n-one", str(WEB4), wait=0.3) == all_kinds(str(WEB4))
        ),
        timeout=20,
    )

    assert whole
    assert forwards(home) == "1"
    assert home.reach("n-one", "192.168.7.50", NODE[0]) == set()


def reaches_the_internet(home: Home) -> bool:
    return home.reach("n-one", str(WEB4)) == all_kinds(str(WEB4))


def test_the_nodes_address_may_change_and_workloads_go_on(home: Home, sharing: Process) -> None:
    home.node.script("ip addr add 192.168.7.21/24 dev zos; ip addr del 192.168.7.20/24 dev zos")
    wait_until("its notice", lambda: "192.168.7.20" not in home.status().lent)
    wait_until("the Internet", lambda: reaches_the_internet(home))
    home.node.script("ip addr add 192.168.7.20/24 dev zos; ip addr del 192.168.7.21/24 dev zos")
    wait_until("the way back", lambda: "192.168.7.21" not in home.status().lent)
    wait_until("the Internet again", lambda: reaches_the_internet(home))

    assert "192.168.7.20" in home.status().lent


def test_without_a_way_of_the_hosts_ndmz_says_so_and_ipv6_goes_on(
    home: Home, sharing: Process
) -> None:
    home.node.script("ip route del default via 192.168.7.1")
    wait_until("its notice", lambda: not home.status().ready4, timeout=20)
    alone, reached = home.status(), home.reach("n-one", *WEB)
    home.node.script("ip route add default via 192.168.7.1")
    wait_until("the way back", lambda: home.status().ready4, timeout=20)

    assert alone.lacks == ["no IPv4: the host, which shares its own, has none on zos"]
    assert reached == all_kinds(str(WEB6))


def test_a_firewall_that_may_drop_it_is_named_and_not_touched(home: Home, sharing: Process) -> None:
    home.node.run("nft", "-f", "-", input=DOCKER)
    wait_until("the reason", lambda: any("ndzs4" in why for why in home.status().reasons))
    why = next(why for why in home.status().reasons if "ndzs4" in why)
    shut = home.reach("n-one", str(WEB4))
    listed = home.node.output("nft", "list", "table", "ip", "filter")
    home.node.script(ACCEPT)
    wait_until("the Internet", lambda: reaches_the_internet(home))
    home.node.script("nft delete table ip filter")
    wait_until("no reason", lambda: not home.status().reasons)

    assert "(ip filter)" in why
    assert "iptables -I FORWARD -o ndzs4 -j ACCEPT" in why
    assert shut == set()
    assert "policy drop" in listed


def test_addresses_that_the_host_has_already_are_left_to_it(home: Home) -> None:
    without_a_pair(home)
    home.node.script(
        "ip link add other type veth peer name another; ip addr add 192.0.0.1/29 dev other"
    )
    with running(home, "shared"):
        second, reached = home.status().pair, home.reach("n-one", str(WEB4))
    with running(home, "own", ready=False):
        wait_until("the end of it", lambda: not rules(home))
    home.node.script("for net in 169.254.0.0/16 198.18.0.0/15; do ip route add $net dev lo; done")
    with running(home, "shared", ready=False):
        wait_until("the reason", lambda: bool(home.status().reasons))
        none = home.status()
    home.node.script(
        "ip link del other; for n in 169.254.0.0/16 198.18.0.0/15; do ip r del $n; done"
    )

    assert second == "169.254.255.252/31"
    assert reached == all_kinds(str(WEB4))
    assert none.pair == ""
    assert none.reasons[0].startswith("cannot share the host's IPv4: it has addresses or routes in")


def test_who_made_the_host_a_router_meanwhile_keeps_it_one(home: Home) -> None:
    with running(home, "shared"):
        fenced = rules(home)
        home.node.script("echo 1 >/proc/sys/net/ipv4/ip_forward")
        wait_until("no fence", lambda: "ether daddr" not in rules(home), timeout=20)
        reached = home.reach("n-one", str(WEB4))
    with running(home, "own", ready=False):
        wait_until("the end of it", lambda: not rules(home))
    kept = forwards(home)
    home.node.script("echo 0 >/proc/sys/net/ipv4/ip_forward")

    assert "ether daddr" in fenced
    assert reached == all_kinds(str(WEB4))
    assert kept == "1"


def test_a_site_that_gives_no_lease_is_understood_and_a_lease_that_comes_is_taken(
    home: Home,
) -> None:
    without_a_pair(home)
    with running(home, "auto", ready=False):
        wait_until("IPv6", lambda: home.status().ready6)
        first = home.status()
        wait_until("IPv4", lambda: home.status().ready4)
        shared, reached = home.status(), home.reach("n-one", *WEB)
        serve_leases(home, None)
        wait_until("a lease", lambda: home.status().ipv4 == "a lease of its own", timeout=50)
        wait_until("IPv4 again", lambda: home.status().ready4 and not rules(home))
        own, again = home.status(), home.reach("n-one", *WEB)
        left = json.loads(home.node.output("ip", "-j", "link"))
        serve_leases(home, 0)

    assert (first.ready4, first.ipv4) == (False, "a lease of its own")
    assert shared.ipv4.startswith("shared with the host: this site gives ndmz no lease")
    assert (reached, again) == (all_kinds(*WEB), all_kinds(*WEB))
    assert own.lent == []
    assert own.addresses[0].startswith("192.168.7.1")
    assert "ndzs4" not in {link["ifname"] for link in left}
    assert forwards(home) == "0"


def test_the_one_lease_is_given_back_to_a_host_that_has_none_and_asked_for_again(
    home: Home,
) -> None:
    def given() -> list[str]:
        lines = home.router.path(LEASES).read_text().splitlines()
        return [line.split()[2] for line in lines if line.split()[2].startswith("192.168.7.")]

    serve_leases(home, 1)
    without_a_pair(home)
    with running(home, "auto"):
        wait_until("the lease", lambda: given() == ["192.168.7.100"])
        own = home.status().ipv4, forwards(home)
        home.node.script("ip -4 addr flush dev zos")
        wait_until("its return", lambda: given() == [] and not home.status().ready4)
        held = home.in_ndmz("ip", "-4", "-o", "addr", "show", "dev", "npub4")
        home.node.script(f"""
            ip addr add {NODE[0]}/24 dev zos
            ip addr add {NODE[1]}/28 dev zos
            ip route add default via 192.168.7.1
        """)
        wait_until("the lease again", lambda: given() != [] and home.status().ready4)
        again = home.status().ipv4, home.reach("n-one", str(WEB4))
    serve_leases(home, 0)

    assert own == ("a lease of its own", "0")
    assert held == ""
    assert again == ("a lease of its own", all_kinds(str(WEB4)))

"""ndmz while its surroundings change: IPv6 comes late, is withdrawn, renumbered; names, config."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.host import Process, wait_until
from lab.internet import RESOLVER6, WEB4, WEB6
from lab.router import LINK_LOCAL, RESOLVER4
from lab.world import World
from tests.lab import frames
from tests.lab.home import PROGRAMS, SYSTEM_PYTHON, Home, all_kinds, make_home

pytestmark = pytest.mark.lab

PREFIX, NEXT_PREFIX = "2001:db8:b:1::", "2001:db8:b:3::"
CONFIG = "/etc/zosnet/agent.yaml"
RESET = """
    for space in $(ip netns list | cut -d' ' -f1); do ip netns delete $space; done
    for link in ndz4 ndz6; do ip link delete $link 2>/dev/null || :; done
    rm -rf /run/zosnet /run/orders /etc/netns
"""
DOCKER = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority 0; policy drop;
    }
}
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        home = make_home(world, quiet=True)
        home.router.script(f"ip addr add {NEXT_PREFIX}1/64 dev lan0 nodad")
        home.neighbour.script(f"ip addr add {NEXT_PREFIX}50/64 dev eth0 nodad")
        yield home


@contextmanager
def running(home: Home, config: str = "", *workloads: str) -> Iterator[Process]:
    """Ndmz with IPv4 only, as nobody has sent an RA yet, on a node that was never on."""
    home.node.script(RESET)
    home.node.write(CONFIG, config)
    process = home.start_ndmz(*workloads, wait=False)
    wait_until("IPv4", lambda: home.status().ready4 and home.node.path("/run/orders").exists())
    if "off" not in config:  # before, what a router says is not heard
        wait_until("npub6", lambda: has_its_link_local(home))
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)
        home.node.script(f"rm {CONFIG}")


def has_its_link_local(home: Home) -> bool:
    shown = home.in_ndmz("ip", "-6", "-o", "addr", "show", "scope", "link")
    return any(" npub6 " in line and "tentative" not in line for line in shown.splitlines())


def advertise(
    home: Home, *, lifetime: int = 60, prefix: str = "", servers: tuple[str, ...] = ()
) -> None:
    mac = home.router.output("cat", "/sys/class/net/lan0/address").strip()
    frame = frames.router_advert(mac, LINK_LOCAL, lifetime=lifetime, prefix=prefix, servers=servers)
    program = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"))
    home.router.run(*program, "lan0", frame.hex())


def resolver(home: Home, workload: str) -> list[str]:
    text = home.node.path(f"/etc/netns/{workload}/resolv.conf").read_text()
    return [line.split()[1] for line in text.splitlines() if line.startswith("nameserver")]


def test_ipv6_joins_when_it_comes_and_goes_without_taking_ipv4_along(home: Home) -> None:
    """N4, as it joins whenever it comes."""
    with running(home, "", "n-one"):
        before = home.status()
        advertise(home, prefix=PREFIX)
        wait_until("IPv6", lambda: home.status().ready6)
        joined = home.reach("n-one", str(WEB4), str(WEB6))
        advertise(home, lifetime=0)
        wait_until("the withdrawal", lambda: not home.status().ready6)
        withdrawn = home.reach("n-one", str(WEB4), str(WEB6))
        gateways = home.status().gateways
        advertise(home)
        wait_until("IPv6 again", lambda: home.status().ready6)

        assert before.ready
        assert (before.lacks, before.reasons) == (
            ["no IPv6: no router advertisement with a prefix"],
            [],
        )
        assert joined == all_kinds(str(WEB4), str(WEB6))
        assert withdrawn == all_kinds(str(WEB4))
        assert gateways == ["192.168.7.1"]
        assert home.reach("n-one", str(WEB6)) == all_kinds(str(WEB6))


def test_a_new_prefix_is_closed_as_soon_as_it_is_there(home: Home) -> None:
    with running(home, "", "n-one"):
        advertise(home, prefix=PREFIX)
        wait_until("IPv6", lambda: home.status().ready6)
        advertise(home, prefix=NEXT_PREFIX)
        wait_until("the prefix", lambda: f"{NEXT_PREFIX}/64" in home.status().own)

        assert home.reach("n-one", f"{NEXT_PREFIX}50", f"{PREFIX}50") == set()
        assert home.reach("n-one", str(WEB6)) == all_kinds(str(WEB6))


def test_with_ipv6_required_ndmz_is_not_ready_before_it_is_there(home: Home) -> None:
    with running(home, "ndmz: {ipv6: required}"):
        alone = home.status()
        advertise(home, prefix=PREFIX)
        wait_until("IPv6", lambda: home.status().ready6)

        assert (alone.ready4, alone.ready) == (True, False)
        assert home.status().ready


def test_with_ipv6_off_there_is_no_npub6_and_nothing_is_missing(home: Home) -> None:
    with running(home, 'ndmz: {ipv6: "off"}'):
        assert home.status().reasons == []
        assert home.status().ready
        assert "npub6" not in home.in_ndmz("ip", "link")
        assert "npub4" in home.in_ndmz("ip", "link")


def test_a_workload_resolves_names_at_the_servers_that_the_site_offers(home: Home) -> None:
    with running(home, "", "n-one"):
        by_lease = resolver(home, "n-one")
        found = home.node.output(*home.node.inside("n-one", "getent", "ahostsv4", "web.example"))
        advertise(home, prefix=PREFIX, servers=(str(RESOLVER6), "fd00::53"))
        wait_until("the server", lambda: str(RESOLVER6) in resolver(home, "n-one"))

        assert by_lease == [str(RESOLVER4)]
        assert found.split()[0] == str(WEB4)
        assert resolver(home, "n-one") == [str(RESOLVER4), str(RESOLVER6)]


def test_dns_by_the_gateway_opens_its_port_53_and_nothing_else(home: Home) -> None:
    with running(home, "ndmz: {dns: gateway}", "n-one"):
        found = home.node.output(*home.node.inside("n-one", "getent", "ahostsv4", "web.example"))

        assert resolver(home, "n-one") == ["192.168.7.1"]
        assert found.split()[0] == str(WEB4)
        assert home.reach("n-one", "192.168.7.1") == set()
        assert home.reach("n-one", "192.168.7.1", port=53) == {"tcp 192.168.7.1"}
        assert home.reach("n-one", "192.168.7.50", port=53) == set()


def test_an_exception_opens_its_prefix_but_never_a_gateway(home: Home) -> None:
    with running(home, "ndmz: {exceptions: [192.168.7.0/24]}", "n-one"):
        assert home.reach("n-one", "192.168.7.50") == all_kinds("192.168.7.50")
        assert home.reach("n-one", "192.168.7.1", "10.9.9.9") == set()
        assert home.status().exceptions == ["192.168.7.0/24"]


def test_a_detached_workload_is_cut_off_and_has_its_addresses_again_later(home: Home) -> None:
    with running(home, "", "n-one"):
        addresses = home.addresses_of("n-one")
        home.order("detach n-one")
        cut = home.reach("n-one", str(WEB4))
        ports = [name for name in home.in_ndmz("ls", "/sys/class/net").split() if "nr-" in name]
        left = home.node.path("/etc/netns/n-one/resolv.conf").exists()
        home.order("attach n-one")

        assert cut == set()
        assert ports == []
        assert not left
        assert home.addresses_of("n-one") == addresses
        assert home.reach("n-one", str(WEB4)) == all_kinds(str(WEB4))


@pytest.mark.parametrize(
    ("theirs", "away", "said"),
    [
        (
            "ip netns add ndmz",
            "ip netns delete ndmz",
            "cannot use namespace ndmz: it exists and is not ours",
        ),
        (
            "ip link add ndz4 type veth peer name other",
            "ip link delete ndz4",
            "a link ndz4 exists and is not ours",
        ),
    ],
)
def test_what_is_in_the_way_is_named_left_alone_and_waited_for(
    home: Home, theirs: str, away: str, said: str
) -> None:
    home.node.script(RESET + theirs)
    before = home.node.output("ip", "-o", "link", "show", "type", "veth")
    process = home.start_ndmz(wait=False)
    wait_until("the reason", lambda: any(said in why for why in home.status().reasons))
    still = [line.split()[1] for line in before.splitlines() if "ndz4" in line]
    after = home.node.output("ip", "-o", "link", "show", "type", "veth")
    blocked = home.status()
    home.node.script(away)
    wait_until("ndmz", lambda: home.status().ready4, timeout=20)
    process.kill()
    process.wait(5)

    assert not blocked.ready4
    assert all(name in after for name in still)
    assert not any(said in why for why in home.status().reasons)


def test_a_foreign_firewall_is_kept_and_named_and_without_one_bridged_frames_pass_none(
    home: Home,
) -> None:
    key = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    if not home.node.path(key).exists():
        pytest.skip("this kernel has no br_netfilter loaded")
    with running(home):
        off = home.node.output("cat", key).strip(), home.status().bridge_nf
    home.node.run("nft", "-f", "-", input=DOCKER)
    home.node.script(f"echo 1 >{key}")
    with running(home, "", "n-one"):
        kept = home.node.output("cat", key).strip(), home.status().bridge_nf
        warned = any("host.bridge_nf" in why for why in home.status().reasons)
        shut = home.reach("n-one", str(WEB4))
    with running(home, 'host: {bridge_nf: "off"}', "n-one"):
        reached = home.reach("n-one", str(WEB4))
    left = home.node.output("nft", "list", "table", "ip", "filter")
    home.node.script("nft delete table ip filter")

    assert off == ("0", "off")
    assert kept == ("1", "kept: foreign firewall ip filter")
    assert warned
    assert shut == set()
    assert reached == all_kinds(str(WEB4))
    assert "policy drop" in left

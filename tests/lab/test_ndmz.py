"""ndmz on a node with a real LAN: built, kept, adopted, repaired."""

import json
from collections.abc import Iterator

import pytest

from agent.ndmz.counts import without_counts
from lab.host import Process, wait_until
from lab.internet import WEB4, WEB6
from lab.world import World
from tests.lab.home import Home, all_kinds, make_home

pytestmark = pytest.mark.lab

WEB = (str(WEB4), str(WEB6))
INTERNET = all_kinds(*WEB)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        yield make_home(world)


@pytest.fixture
def running(home: Home) -> Iterator[Process]:
    process = home.start_ndmz("n-one")
    yield process
    process.terminate()
    process.wait(5)


def links(home: Home) -> list[tuple[int, str]]:
    shown = json.loads(home.in_ndmz("ip", "-j", "link"))
    return [(link["ifindex"], link["ifname"]) for link in shown]


def guard(home: Home) -> list[str]:
    """The lines of both tables, in an order of their own."""
    tables = [["nft", "list", "table", family, "zosnet_ndmz"] for family in ("inet", "bridge")]
    listed = [home.node.run(*home.node.inside("ndmz", *t), check=False).stdout for t in tables]
    return sorted(without_counts("".join(listed)).splitlines())


def repaired(home: Home, process: Process) -> bool:
    return home.is_ready(process) and home.reach("n-one", *WEB, wait=0.3) == INTERNET


def test_a_workload_reaches_the_internet_as_ndmz_by_both_families(
    home: Home, running: Process
) -> None:
    """N6, and N3: IPv6's default route is there while ndmz forwards."""
    ask = "exec 3<>/dev/tcp/$0/7; timeout 1 cat <&3"
    seen = [
        home.node.output(*home.node.inside("n-one", "bash", "-c", ask, web)).split()[0]
        for web in WEB
    ]

    assert home.reach("n-one", *WEB) == INTERNET
    assert seen[0] == "198.51.100.10"
    assert seen[1] in home.status().addresses


def test_a_second_start_adopts_everything_and_drops_no_packet(home: Home, running: Process) -> None:
    before = links(home)
    ping = ("ping", "-q", "-i", "0.005", "-c", "300", str(WEB4))
    pinging = home.node.spawn(*home.node.inside("n-one", *ping), log=home.world.log_path("n2-ping"))
    running.kill()
    running.wait(5)
    again = home.start_ndmz("n-one")
    pinging.wait(20)
    again.terminate()
    again.wait(5)

    assert links(home) == before
    assert "300 packets transmitted, 300 received" in home.world.log_path("n2-ping").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        "ip netns exec ndmz nft flush ruleset",
        "ip netns exec ndmz nft add rule inet zosnet_ndmz through accept",
        "ip netns exec ndmz nft add chain inet zosnet_ndmz through '{ policy accept ; }'",
        "ip -n ndmz link delete br-ndmz",
        "ip -n ndmz link delete tonrs",
        "ip link delete ndz4; ip link delete ndz6",
        "ip -n ndmz addr flush dev tonrs",
        "ip netns exec n-one ip route flush default",
        "ip netns exec ndmz sysctl -qw net.ipv4.ip_forward=0",
        "ip netns delete ndmz",
    ],
)
def test_what_somebody_destroys_is_repaired(home: Home, running: Process, damage: str) -> None:
    whole = guard(home)
    home.node.script(damage)
    wait_until("the repair", lambda: guard(home) == whole and repaired(home, running), timeout=20)

    assert whole
    assert home.reach("n-one", "192.168.7.50") == set()

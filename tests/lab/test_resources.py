"""Network resources by hand on a node with a real LAN: what they reach, what survives, what is left."""

import json
from collections.abc import Iterator

import pytest

from agent.ndmz.counts import without_counts
from lab.host import wait_until
from lab.internet import WEB4
from runtime.failure import Exit
from tests.lab.home import BRIDGE, NEIGHBOUR, NODE, Home, all_kinds, probe_command
from tests.lab.resources import (
    FIRST,
    GATEWAYS,
    INTERNET,
    RANGES,
    REPAIR,
    WEB,
    item,
    items,
    kill,
    links,
    nr,
    refused,
    start,
    whole,
    with_blue,
    with_networkd,
)

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    yield from with_networkd()


@pytest.fixture
def blue(home: Home) -> Iterator[Home]:
    yield from with_blue(home)


# -- what it reaches


def test_a_workload_reaches_the_internet_and_nothing_near(blue: Home) -> None:
    nr(blue, "create", "red", *RANGES)
    closed = [*NEIGHBOUR.values(), *NODE, *GATEWAYS, *blue.addresses_of("ndmz")]

    assert blue.reach("web", *closed, *WEB) == INTERNET
    assert blue.reach("web", *item(blue, "red")["outside"], *WEB) == INTERNET
    assert blue.reach("n-blue", *closed, *item(blue, "red")["outside"], *WEB) == INTERNET


def test_the_neighbour_does_not_get_in(blue: Home) -> None:
    targets = [*FIRST, *item(blue)["outside"]]
    ends = [a for a in blue.status().addresses if not a.startswith("2001:db8:b:2:")]
    ways = [(t, next(end for end in ends if (":" in end) == (":" in t))) for t in targets]
    blue.neighbour.script("\n".join(f"ip route replace {t} via {end}" for t, end in ways))
    found = blue.neighbour.output(*probe_command(*targets, "192.168.7.1"))

    assert set(json.loads(found)) == all_kinds("192.168.7.1")


def test_two_resources_may_have_the_same_ranges(blue: Home) -> None:
    nr(blue, "create", "red", *RANGES)
    blue.node.script("ip netns add db")
    nr(blue, "attach", "red", "db")
    same = blue.addresses_of("db") == blue.addresses_of("web")
    reached = blue.reach("db", *WEB), blue.reach("web", *WEB)
    blue.node.script("ip netns delete db")

    assert same
    assert reached == (INTERNET, INTERNET)


def test_workloads_of_one_resource_reach_each_other(blue: Home) -> None:
    blue.node.script("ip netns add db")
    nr(blue, "attach", "blue", "db", "--ipv4", "10.1.1.80", "--link", "net7")
    found = [blue.node.ok(*blue.node.inside("db", "ping", "-c1", "-W1", "-q", a)) for a in FIRST]
    shown = blue.node.output("ip", "-n", "db", "-o", "-4", "addr", "show", "net7")
    blue.node.script("ip netns delete db")

    assert found == [True, True]
    assert "10.1.1.80/24" in shown


def test_a_workload_resolves_names(blue: Home) -> None:
    said = blue.node.output("ip", "netns", "exec", "web", "getent", "ahostsv4", "web.example")

    assert said.split()[0] == str(WEB4)


# -- once and again


def test_made_twice_is_made_once(blue: Home) -> None:
    """N10."""
    before = links(blue, "n-blue"), links(blue, "web"), items(blue)
    nr(blue, "create", "blue", *RANGES)
    created = items(blue)
    nr(blue, "attach", "blue", "web")

    assert created == before[2]
    assert (links(blue, "n-blue"), links(blue, "web"), items(blue)) == before


def test_many_are_made_and_deleted_by_one_command(home: Home) -> None:
    """N10, many at once."""
    names = [f"many-{number}" for number in range(20)]
    nr(home, "create", *names, *RANGES)
    made = [one["name"] for one in items(home) if one["state"] == "up" and one["outside"]]
    reached = home.reach("n-many-19", *WEB)
    nr(home, "delete", *names)

    assert made == names
    assert reached == INTERNET
    assert items(home) == []


def test_a_deleted_one_leaves_nothing(home: Home) -> None:
    def everything() -> list[str]:
        home.node.script("ip netns add web")
        shown = home.node.output("ip", "netns", "list"), home.node.output("ip", "-o", "link")
        rules = without_counts(home.in_ndmz("nft", "list", "ruleset"))
        behind = home.in_ndmz("ip", "-o", "link"), rules
        within = home.node.output("ip", "-n", "web", "-o", "link")
        files = home.node.script("find /etc/netns /run/zosnet /var/lib/zosnet -type f | sort")
        state = home.node.script("cat /var/lib/zosnet/*.json")
        home.node.script("ip netns delete web")
        return [*shown, *behind, within, files, state]

    nr(home, "create", "first", *RANGES)  # its files stay, without it in them
    nr(home, "delete", "first")
    before = everything()
    while before != (now := everything()):
        before = now
    nr(home, "create", "blue", *RANGES)
    home.node.script("ip netns add web")
    nr(home, "attach", "blue", "web")
    there = links(home, "web")
    nr(home, "delete", "blue")
    left = links(home, "web")
    home.node.script("ip netns delete web")
    wait_until("the end of its namespace", lambda: everything() == before, timeout=REPAIR)

    assert len(there) == 2
    assert len(left) == 1


def test_a_detached_workload_is_cut_off(blue: Home) -> None:
    nr(blue, "detach", "blue", "web")

    assert len(links(blue, "web")) == 1
    assert item(blue)["workloads"] == []
    assert refused_plainly(blue, "detach", "blue", "web") == Exit.NOT_FOUND


def refused_plainly(home: Home, *words: str) -> int:
    return home.node.run("zosnet-agent", "nr", *words, check=False).returncode


# -- what survives


def test_a_killed_networkd_costs_no_packet(blue: Home) -> None:
    before = links(blue, "n-blue"), links(blue, "ndmz"), items(blue)
    logs = [blue.world.log_path(f"n2-flood{family}") for family in (4, 6)]
    pings = [
        blue.node.spawn(
            *blue.node.inside("web", "ping", "-q", "-i", "0.005", "-c", "600", web), log=log
        )
        for web, log in zip(WEB, logs, strict=True)
    ]
    kill(blue)
    start(blue)
    wait_until("what it says", lambda: items(blue) == before[2])
    ends = [ping.wait(30) for ping in pings]

    assert ends == [0, 0]
    for log in logs:
        assert "600 packets transmitted, 600 received" in log.read_text()
    assert (links(blue, "n-blue"), links(blue, "ndmz"), items(blue)) == before


def test_after_a_reboot_everything_is_there_again(home: Home) -> None:
    """N10, over a reboot."""
    nr(home, "create", "blue", *RANGES)
    home.node.script("ip netns add web")
    nr(home, "attach", "blue", "web", "--ipv4", "10.1.1.80")
    before = item(home)
    home.node.power_cut()
    home.node.boot()
    home.node.script(f"""
        {BRIDGE}
        ip addr add 192.168.7.20/24 dev zos
        ip route add default via 192.168.7.1
    """)
    start(home)
    wait_until("blue", lambda: item(home)["state"] == "up" and item(home)["outside"] != [])
    absent = item(home)["workloads"][0]["state"]
    home.node.script("ip netns add web")
    wait_until("web", lambda: whole(home), timeout=REPAIR)
    wait_until("what it says", lambda: item(home) == before, timeout=REPAIR)
    home.node.script("ip netns delete web")
    nr(home, "delete", "blue")

    assert absent == "absent"


def test_what_was_deleted_while_networkd_was_dead_is_gone_when_it_starts(blue: Home) -> None:
    kill(blue)
    blue.node.write("/var/lib/zosnet/resources.json", '{"resources": []}')
    before = blue.node.output("ip", "netns", "list")
    start(blue)
    wait_until("n-blue's end", lambda: "n-blue" not in blue.node.output("ip", "netns", "list"))

    assert "n-blue" in before
    assert "n-blue" not in json.dumps(msgs(blue))


def msgs(home: Home) -> list[str]:
    return [workload.name for workload in home.status().workloads]


def test_with_a_damaged_file_nothing_is_taken_away_and_people_are_told(blue: Home) -> None:
    kept = blue.node.path("/var/lib/zosnet/resources.json")
    text = kept.read_text()
    kill(blue)
    kept.write_text("{")
    start(blue)
    wait_until("the reason", lambda: "it is damaged" in blue.node.output("zosnet-agent", "why"))
    error = refused(blue, "create", "red", *RANGES)
    reached, left = blue.reach("web", *WEB), kept.read_text()
    kill(blue)
    kept.write_text(text)
    start(blue)
    wait_until("blue", lambda: item(blue)["state"] == "up")

    assert "it is damaged" in error["error"]
    assert (reached, left) == (INTERNET, "{")
    assert blue.reach("web", *WEB) == INTERNET


def test_one_without_a_way_out_yet_is_made_and_gets_it_when_there_is_an_ndmz(home: Home) -> None:
    kill(home)
    home.node.script("ip netns delete ndmz; ip netns add ndmz")
    home.node.path("/run/zosnet/ndmz.json").unlink()
    process = home.node.spawn("zosnet-agent", "networkd", log=home.node.log("networkd"))
    wait_until("networkd", lambda: home.node.ok("zosnet-agent", "nr", "list"))
    nr(home, "create", "blue", *RANGES)
    before = item(home)
    home.node.script("ip netns delete ndmz")
    wait_until("ndmz", lambda: home.status().ready4 and home.status().ready6)
    wait_until("blue", lambda: item(home)["state"] == "up")
    reached = home.reach("n-blue", *WEB)
    nr(home, "delete", "blue")

    assert process.poll() is None
    assert (before["state"], before["outside"]) == ("failing", [])
    assert before["problem"] == "cannot use namespace ndmz: it exists and is not ours"
    assert reached == INTERNET

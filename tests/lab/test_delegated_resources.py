"""Network resources of a node to which the site delegates a prefix: a /64 of it is each one's own."""

import re
from collections.abc import Iterator
from ipaddress import IPv6Network, ip_address

import pytest

from lab.host import wait_until
from lab.internet import WEB6
from lab.world import World
from tests.lab.delegating import FIRST, SECOND, advertise, delegate, lead
from tests.lab.home import Home, all_kinds, make_home
from tests.lab.pings import answered, lost, sent
from tests.lab.resources import inside, item, items, kill, nr, start
from tests.lab.test_ndmz_changes import advertise as advertise_prefix

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SEEN = """
table ip6 seen {
    chain sources {
        type filter hook prerouting priority -300; policy accept;
    }
}
"""
RANGE = ("--ipv4", "10.1.1.0/24")
WEB = str(WEB6)


@pytest.fixture
def home() -> Iterator[Home]:
    """A resource `blue` with workload `web`."""
    with World() as world:
        home = make_home(world, quiet=True)
        advertise(home)
        start(home)
        nr(home, "create", "blue", *RANGE)
        home.node.script("ip netns add web")
        nr(home, "attach", "blue", "web")
        yield home


def of(home: Home, prefix: str, namespace: str = "web") -> list[str]:
    """The namespace's addresses in `prefix`."""
    net = IPv6Network(prefix)
    return [a for a in home.addresses_of(namespace) if ip_address(a) in net]


def await_address(home: Home, prefix: str = FIRST, namespace: str = "web") -> str:
    wait_until(f"an address in {prefix}", lambda: bool(of(home, prefix, namespace)), timeout=60)
    lead(home, prefix)
    (address,) = of(home, prefix, namespace)
    wait_until("the way", lambda: reaches(home, namespace), timeout=20)
    return address


def reaches(home: Home, namespace: str = "web") -> bool:
    return home.reach(namespace, WEB) == all_kinds(WEB)


def seen_as(home: Home, namespace: str = "web") -> str:
    return inside(home, namespace, f"curl -s --max-time 5 http://[{WEB}]/").strip()


def test_a_workload_is_seen_with_its_own_address_and_only_answers_come_in(home: Home) -> None:
    delegate(home, FIRST)
    web = await_address(home)
    nr(home, "create", "red", *RANGE)
    home.node.script("ip netns add db")
    nr(home, "attach", "red", "db")
    db = await_address(home, namespace="db")
    first, second = (IPv6Network(one["ipv6"]) for one in items(home))
    free = str(IPv6Network(FIRST)[-1])
    knocks = [home.inet.ok("ping", "-6", "-c1", "-W1", "-q", a) for a in (web, db, free)]

    assert seen_as(home) == web
    assert seen_as(home, "db") == db
    assert ip_address(web) in first
    assert ip_address(db) in second
    assert first != second
    assert knocks == [False, False, False]
    assert home.reach("web", db, free, "2001:db8:b:1::50", "2001:db8:b:1::1") == set()


def test_nobody_speaks_for_another_s_part(home: Home) -> None:
    delegate(home, FIRST)
    await_address(home)
    own, other = IPv6Network(item(home)["ipv6"])[7], IPv6Network(FIRST)[-7]
    home.router.run("nft", "-f", "-", input=SEEN)
    for address in (own, other):
        home.router.script(f"nft add rule ip6 seen sources ip6 saddr {address} counter")
        inside(home, "n-blue", f"ip addr add {address}/128 dev public nodad")
        inside(home, "n-blue", f"ping -6 -c3 -i0.3 -W1 -q -I {address} {WEB} || :")
    shown = home.router.output("nft", "list", "chain", "ip6", "seen", "sources")
    left = [int(count) for count in re.findall(r"counter packets (\d+)", shown)]

    assert left[0] >= 3
    assert left[1] == 0


def test_a_killed_networkd_costs_no_packet(home: Home) -> None:
    delegate(home, FIRST)
    web = await_address(home)
    log = home.world.log_path("pinging")
    argv = home.node.inside("web", "ping", "-6", "-i", "0.1", "-w", "120", WEB)
    pinging = home.node.spawn(*argv, log=log)
    kill(home)
    start(home)
    wait_until("the resources", lambda: item(home)["ipv6"] != "", timeout=30)
    home.node.script("sleep 3")  # it looks at all of them meanwhile
    pinging.send_signal(2)
    pinging.wait(10)
    said = log.read_text()

    assert len(answered(said)) > 20
    assert lost(said) == set()
    assert sent(said) - max(answered(said)) < 5  # half a second's, under way at the end
    assert of(home, FIRST) == [web]


def test_a_site_that_is_renumbered_renumbers_workloads(home: Home) -> None:
    server = delegate(home, FIRST, renew=10, rebind=20, preferred=40, valid=60)
    await_address(home)
    server.kill()
    server.wait(5)
    delegate(home, SECOND)
    web = await_address(home, SECOND)
    wait_until("the end of the old one", lambda: of(home, FIRST) == [], timeout=20)
    defaults = inside(home, "web", "ip -6 route show default").splitlines()
    gateways = item(home)["gateways"]

    assert seen_as(home) == web
    assert len(defaults) == 1
    assert ip_address(gateways[1]) in IPv6Network(SECOND)
    assert FIRST.removesuffix("::/60") not in home.in_ndmz("ip", "-6", "route")


def test_a_router_that_calls_a_part_on_link_takes_no_answer_away(home: Home) -> None:
    delegate(home, FIRST)
    web = await_address(home)
    part = item(home)["ipv6"]
    advertise_prefix(home, prefix=part.removesuffix("/64"))
    wait_until("the trap", lambda: f"{part} dev npub6" in home.in_ndmz("ip", "-6", "route"))

    wait_until("the answer", lambda: reaches(home))
    assert seen_as(home) == web


def test_a_prefix_of_one_network_is_one_resource_s(home: Home) -> None:
    delegate(home, "2001:db8:b:10::/64")
    web = await_address(home, "2001:db8:b:10::/64")
    nr(home, "create", "red", *RANGE)
    nr(home, "create", "green", *RANGE, "--ipv6", "none")
    red, green = item(home, "red"), item(home, "green")
    nr(home, "delete", "blue")
    wait_until("its turn", lambda: item(home, "red")["ipv6"] == "2001:db8:b:10::/64", timeout=20)

    assert web.startswith("2001:db8:b:10:")
    assert "2001:db8:b:10::/64 are taken" in red["problem"]
    assert (green["ipv6"], green["problem"]) == ("", "")
    assert item(home, "red")["problem"] == ""


def test_without_a_prefix_nothing_is_missing(home: Home) -> None:
    assert item(home)["ipv6"] == ""
    assert (item(home)["state"], item(home)["problem"]) == ("up", "")

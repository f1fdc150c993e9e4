"""A node in each network that the Zos text describes: side by side in one world, each with its own
site, one farm and n1 that is public.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lab import checks, demo, show
from lab.farm import build_farm
from lab.host import TREE
from lab.knock import Answer, Question, knock_all
from lab.layouts import LAYOUTS, Layout
from lab.progress import Progress
from lab.world import World
from runtime.failure import Exit
from tests.lab.beside import (
    BESIDE,
    WEB,
    WITH_NDMZ,
    Isolation,
    Side,
    answers_both_ways,
    isolations,
    one_begins,
    seen_by_the_internet,
    side_by_side,
    uplink,
    zos_addresses,
)
from tests.lab.living import await_that
from tests.lab.matrix import Matrix, matrices

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

CONVERGE_S = 150.0  # a dozen nodes on two cores


@pytest.fixture(scope="module")
def side(shared_world: World) -> Iterator[Side]:
    farm = build_farm(shared_world, side_by_side())
    progress = Progress(io.StringIO())
    side = Side(farm, demo.prepare(farm, progress))
    late = [layout for layout in BESIDE.values() if layout.waits]
    for layout in late:
        show.hold_back(farm, layout)
    demo.power_on(farm, progress)
    for layout in late:
        for check in show.await_words(farm, layout, progress):
            side.said[layout.name] = check.detail
    for layout in late:
        show.let_come(farm, layout, progress)
    come = [name for layout in BESIDE.values() if layout.comes_up for name in layout.nodes]
    took = await_that(
        "all nodes", lambda: not any(side.views()[n].missing for n in ("n1", *come)), CONVERGE_S
    )
    for layout in BESIDE.values():
        if layout.comes_up and layout.site.nat44 and 4 in layout.families and not layout.carrier:
            outside = str(layout.site.ends4[1].ip)
            for name in layout.nodes:
                await_that(
                    f"{name} to be told of {outside}",
                    lambda: outside in sites_of(side, name),  # noqa: B023  # called at once
                    CONVERGE_S,
                )
    for layout in BESIDE.values():
        if layout.comes_up:
            await_that(
                f"the families of {layout.name}",
                lambda one=layout: is_whole(side, one),  # type: ignore[misc]
                CONVERGE_S,
            )
    print(f"all up after {took:.1f} s")
    yield side
    side.kill_controller()


def sites_of(side: Side, name: str) -> list[str]:
    """As whom a controller has seen the node: closed for its workloads."""
    file = side.node(name).path("/var/lib/zosnet/sites.json")
    return list(json.loads(file.read_text())["addresses"]) if file.exists() else []


def is_whole(side: Side, layout: Layout) -> bool:
    views = side.views()
    return all(has(layout, views).ok for has in (show.has_its_carrier, show.has_its_families))


@pytest.fixture(scope="module")
def isolation(side: Side) -> dict[str, Isolation]:
    return isolations(side)


@pytest.fixture(scope="module")
def matrix(side: Side, isolation: dict[str, Isolation]) -> dict[str, Matrix]:
    """After `isolation`, by which everybody answers."""
    return matrices(side)


@pytest.mark.parametrize("name", WITH_NDMZ)
def test_a_node_takes_the_uplink_that_its_layout_promises(side: Side, name: str) -> None:
    found = show.has_its_uplink(side.layout(name), side.views())

    assert found.ok, found.detail


@pytest.mark.parametrize("name", WITH_NDMZ)
def test_ndmz_is_on_the_nic_that_its_layout_promises(side: Side, name: str) -> None:
    found = show.has_its_carrier(side.layout(name), side.views())

    assert found.ok, found.detail


# -- one for each layout: what is special there


def test_at_a_site_with_one_lease_ndmz_goes_through_the_host(side: Side) -> None:
    view = side.view("one-lease")
    assert view.nic.ipv4 is not None
    host = view.nic.ipv4.partition("/")[0]
    status = json.loads(side.node(view.name).output("zosnet-agent", "status", "-o", "json"))
    ndmz = status["items"][0]["ndmz"]

    assert (ndmz["lent"], ndmz["addresses"]) == ([host], [])
    assert list(seen_by_the_internet(side, "one-lease")) == ["http4/web.example"]


def test_public_ipv4_gives_node_and_ndmz_an_address_each(side: Side) -> None:
    view = side.view("public-ipv4")
    (own,) = view.ndmz.addresses
    seen = seen_by_the_internet(side, "public-ipv4")

    assert uplink(side, "public-ipv4")[1].startswith("public IPv4 198.51.100.")
    assert seen == {"http4/web.example": own}
    assert view.nic.ipv4 is not None
    assert own != view.nic.ipv4.partition("/")[0]
    assert one_begins(side, view.name)


def test_an_ipv6_only_node_has_its_way_and_its_overlay_by_ipv6(side: Side) -> None:
    """N5."""
    name = side.first("ipv6-only")
    assert answers_both_ways(side, name, "n1")
    seen = seen_by_the_internet(side, "ipv6-only")

    assert uplink(side, "ipv6-only")[1].startswith("global IPv6 2001:db8:b3:1:")
    assert list(seen) == ["http6/web.example"]
    assert seen["http6/web.example"] in side.view("ipv6-only").ndmz.addresses
    assert "[2001:db8:" in side.peer(name, "n1")["endpoint"]
    assert one_begins(side, name)
    # Its IPv4 neighbour in the overlay speaks IPv4 only: n1 is in both worlds.
    far = side.first("nat44")
    assert side.peer(name, far)["through"] == "n1"
    assert answers_both_ways(side, name, far)


def test_a_dual_stack_node_shows_each_family_as_its_own_address(side: Side) -> None:
    seen = seen_by_the_internet(side, "dual-stack")

    assert set(seen) == {"http4/web.example", "http6/web.example"}
    assert set(seen.values()) <= set(side.view("dual-stack").ndmz.addresses)
    assert one_begins(side, side.first("dual-stack"))


def test_two_nodes_behind_one_nat_begin_and_are_relayed_to_each_other(side: Side) -> None:
    layout = side.layout("nat44")
    one, other = layout.nodes

    assert seen_by_the_internet(side, "nat44") == {
        "http4/web.example": str(layout.site.ends4[1].ip)
    }
    for name in (one, other):
        assert (side.peer(name, "n1")["initiator"], side.peer("n1", name)["initiator"]) == (
            True,
            False,
        )
    assert (side.peer(one, other)["path"], side.peer(one, other)["through"]) == ("through", "n1")
    assert answers_both_ways(side, one, other)


@pytest.mark.parametrize("name", ["nat44-ra", "nat44-ra-firewall"])
def test_behind_nat44_with_an_ra_ndmz_has_an_ipv6_address_of_its_own(side: Side, name: str) -> None:
    layout, node = side.layout(name), side.first(name)
    seen = seen_by_the_internet(side, name)

    assert seen["http4/web.example"] == str(layout.site.ends4[1].ip)
    assert seen["http6/web.example"] in side.view(name).ndmz.addresses
    assert one_begins(side, node)
    assert answers_both_ways(side, node, "n1")


def test_a_router_that_firewalls_ipv6_shuts_out_what_the_other_lets_in(side: Side) -> None:
    """The node's own address, from the Internet: the control of what `nothing comes in` promises."""
    open_, shut = (
        next(a.partition("/")[0] for a in zos_addresses(side, n) if ":" in a)
        for n in ("nat44-ra", "nat44-ra-firewall")
    )
    (told,) = knock_all([Question(side.farm.inet, [f"icmp/{open_}", f"icmp/{shut}"])])

    assert [told[f"icmp/{open_}"].verdict, told[f"icmp/{shut}"].verdict] == ["answer", "silent"]


def test_a_cgnat_address_is_an_uplink_behind_the_private_ones(side: Side) -> None:
    layout = side.layout("cgnat")
    node = side.first("cgnat")

    assert uplink(side, "cgnat")[1].startswith("100.64/10 IPv4 100.64.7.")
    assert seen_by_the_internet(side, "cgnat") == {
        "http4/web.example": str(layout.site.ends4[1].ip)
    }
    assert side.peer(node, "n1")["initiator"] is True
    assert answers_both_ways(side, node, "n1")


def test_of_eight_nics_the_one_with_a_cable_is_taken_and_the_others_say_so(side: Side) -> None:
    node = side.node(side.first("eight-nics"))
    why = node.output("zosnet-agent", "why", "uplink")
    others = [f"eth{n}" for n in range(8) if n != 5]
    ranked = [line.split() for line in why.splitlines() if line[:1].isdigit()]
    listed = [words[1:] for words in ranked[1:]]

    assert uplink(side, "eight-nics")[0] == "eth5"
    assert {words[0]: " ".join(words[1:]) for words in listed} == dict.fromkeys(
        others, "no carrier"
    )
    assert len(node.output("ip", "netns", "list").split("znp-")) == 1 + len(others)


@pytest.mark.parametrize("name", ["late-dhcp", "late-lan"])
def test_what_comes_late_is_waited_for_with_the_reason(side: Side, name: str) -> None:
    assert side.said[name].startswith("none yet (round ")
    assert side.layout(name).waits in side.said[name]
    assert uplink(side, name)[1].startswith("RFC1918 IPv4 192.168.7.")
    assert answers_both_ways(side, side.first(name), "n1")


def test_a_lease_without_a_gateway_is_no_network_and_the_node_waits(side: Side) -> None:
    name = side.first("captive")
    node = side.node(name)
    status = node.output("zosnet-agent", "status")

    assert "none yet (round " in side.said["captive"]
    assert "lease 10.77.0." in side.said["captive"]
    assert "without a gateway; no router advertisement" in status
    assert show.nothing_is_made(side.farm, name).ok
    assert side.view("captive").daemon.networks == ()


def test_with_a_nic_out_of_band_workloads_and_overlay_are_on_the_public_one(side: Side) -> None:
    view = side.view("oob")
    seen = seen_by_the_internet(side, "oob")

    assert uplink(side, "oob")[1].startswith("RFC1918 IPv4 192.168.7.")
    assert seen["http4/web.example"].startswith("198.51.100.2")
    assert set(seen.values()) == set(view.ndmz.addresses)
    assert one_begins(side, view.name)  # ndmz can be spoken to, and the node cannot


def test_static_addresses_are_nodes_and_ndmzs_and_nobody_is_asked(side: Side) -> None:
    node = side.node(side.first("static"))
    seen = seen_by_the_internet(side, "static")
    routes = json.loads(node.output("ip", "-j", "route", "show", "default"))

    assert uplink(side, "static") == (
        "eth0",
        "static public IPv4 198.51.100.198/28 by 198.51.100.193, the only one usable",
    )
    assert set(zos_addresses(side, "static")) == {"198.51.100.198/28", "2001:db8:b5:1::150/64"}
    assert [(r["gateway"], r["protocol"]) for r in routes] == [("198.51.100.193", "static")]
    assert seen == {
        "http4/web.example": "198.51.100.199",
        "http6/web.example": "2001:db8:b5:1::151",
    }
    assert "nameserver 203.0.113.53" in node.path("/etc/resolv.conf").read_text()
    assert dhcp_on(side, "nat44") > 0
    assert dhcp_on(side, "static") == 0
    assert one_begins(side, node.name)


def dhcp_on(side: Side, name: str) -> int:
    """How many packets of DHCP have passed the site's switch."""
    recorded = f"/run/log/{side.layout(name).site.switch}.pcap"
    seen = side.farm.world.output("tcpdump", "-nr", recorded, "udp port 67", check=False)
    return len(seen.splitlines())


def test_static_addresses_come_back_when_somebody_takes_them_off(side: Side) -> None:
    node = side.node(side.first("static"))
    ndmz = node.inside("ndmz", "ip", "addr", "show", "scope", "global")
    before = zos_addresses(side, "static")
    node.script("ip addr flush dev zos scope global; ip -6 route flush default dev zos")
    node.run(*node.inside("ndmz", "ip", "addr", "flush", "dev", "npub4"))
    await_that("zos", lambda: sorted(zos_addresses(side, "static")) == sorted(before))
    await_that("npub4", lambda: "198.51.100.199/28" in node.output(*ndmz))
    await_that("a way out", lambda: len(seen_by_the_internet(side, "static")) == 2)

    assert all(seen_by_the_internet(side, "static").values())


# -- nothing near is reached from a workload, nothing reaches it


def through(answers: dict[str, Answer]) -> dict[str, str]:
    return {target: str(answer) for target, answer in answers.items() if answer.verdict != "silent"}


@pytest.mark.parametrize("name", WITH_NDMZ)
def test_a_workload_reaches_nothing_near_it(isolation: dict[str, Isolation], name: str) -> None:
    found = isolation[name]
    unheard = [target for target, answer in found.allowed.items() if not answer.answered]

    assert through(found.near) == {}
    assert unheard == []  # the control: from the node itself all of it answers
    assert len(found.near) > len(found.allowed) >= 6


@pytest.mark.parametrize("name", WITH_NDMZ)
def test_from_two_resources_nothing_near_is_reached_and_nothing_for_it_leaves(
    matrix: dict[str, Matrix], name: str
) -> None:
    found = matrix[name]
    families = LAYOUTS[name].families
    web = {
        f"{space} {door}"
        for space in spaces(found)
        for door in checks.doors(WEB[f] for f in families)
    }

    assert through(found.near) == {}
    assert len(found.near) >= 120
    assert found.left == 0
    assert found.control > 0
    assert {target for target, answer in found.web.items() if answer.answered} == web
    assert len(spaces(found)) == 2


def spaces(found: Matrix) -> set[str]:
    return {target.split()[0] for target in found.near}


@pytest.mark.parametrize("name", WITH_NDMZ)
def test_nothing_comes_in_to_ndmz(side: Side, isolation: dict[str, Isolation], name: str) -> None:
    found, ndmz = isolation[name], side.view(name).ndmz
    own = {ip_address(address).version for address in ndmz.addresses}

    assert through(found.inward) == {}
    assert [t for t, a in found.control.items() if not a.answered] == []
    assert len(found.inward) == 3 * len(own) * (1 + len(side.layout(name).sites))
    assert own == set(LAYOUTS[name].families) or name == "one-lease"  # it has the host's


@pytest.mark.parametrize("name", WITH_NDMZ)
def test_a_workload_reaches_the_internet_in_the_families_of_its_layout(
    isolation: dict[str, Isolation], name: str
) -> None:
    answered = {target for target, answer in isolation[name].web.items() if answer.answered}

    assert answered == set(checks.doors(WEB[family] for family in LAYOUTS[name].families))


def test_a_demo_shows_a_layout_and_its_exit_code_says_that_all_of_it_holds(side: Side) -> None:
    """Beside the others: one that comes up and one that waits."""
    names = ("nat44-ra-firewall", "captive")
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "lab", "demo", "--layout", name, "--name", f"t{os.getpid()}"],
            cwd=TREE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    }
    told = {name: process.communicate(timeout=180) for name, process in running.items()}

    assert {name: process.returncode for name, process in running.items()} == dict.fromkeys(
        names, Exit.OK
    ), told
    assert "ok    ndmz has IPv4 and IPv6, as the site has it" in told[names[0]][0]
    assert "ok    nothing comes in to ndmz" in told[names[0]][0]
    assert "ok    n2 waits for its network, and says what it lacks" in told["captive"][0]
    assert not any("FAIL" in shown for shown, _ in told.values())

"""The guard knows the flows that it let through, and counts them, over all of its loads (decision 42)."""

from collections.abc import Iterator

import pytest

from agent.ndmz.counts import without_counts
from agent.ndmz.guard import render
from lab.internet import WEB4, WEB6
from lab.world import World
from tests.lab.flows import FRESH, RECOUNT, keep_flows, open_flows, send_flow, tracked
from tests.lab.home import NEIGHBOUR, Home, make_home
from tests.lab.test_isolation import seen, watch

pytestmark = pytest.mark.lab

FEW = 500  # flows


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """With what ndmz made, and nobody who mends it."""
    with World() as world:
        home = make_home(world)
        running = home.start_ndmz("n-one")
        running.kill()
        running.wait(5)
        keep_flows(home)
        yield home


@pytest.mark.parametrize("version", [4, 6])
def test_a_flow_that_was_let_through_ends_when_another_guard_closes_its_destination(
    home: Home, version: int
) -> None:
    web, sport = (WEB4 if version == 4 else WEB6), next(FRESH)
    closing = home.make_guard(site=frozenset({web}))
    home.load(RECOUNT, render(home.make_guard()))

    def arrived() -> int:
        watch(home.inet)
        send_flow(home, version, sport, 3)
        return seen(home.inet)

    let_through = arrived()
    home.load(render(home.make_guard()))
    known = arrived()
    home.load(render(closing))
    closed = arrived()
    home.load(render(home.make_guard()))

    assert (let_through, known, closed, arrived()) == (3, 3, 0, 3)


def test_a_flow_that_was_let_through_goes_to_no_other_next_hop(home: Home) -> None:
    sport = next(FRESH)
    home.load(RECOUNT, render(home.make_guard()))
    send_flow(home, 4, sport)

    def passed(by: str) -> int:
        home.node.script(f"ip -n ndmz route replace {WEB4} via {by} dev npub4")
        watch(home.node, family="bridge", hook="postrouting", match='oifname "eth0"')
        send_flow(home, 4, sport, 3)
        return seen(home.node, "bridge")

    by_neighbour, by_gateway = passed(NEIGHBOUR["private"]), passed("192.168.7.1")
    home.node.script(f"ip -n ndmz route delete {WEB4}")

    assert (by_neighbour, by_gateway) == (0, 3)


def test_a_workloads_share_of_flows_is_its_share_however_often_the_guard_is_loaded(
    home: Home,
) -> None:
    text = render(home.make_guard(flows_max=FEW))
    home.load(RECOUNT, text)
    before = tracked(home)
    for _ in range(4):
        open_flows(home, WEB4, FEW)  # each time from another port
        home.load(text)
    kept = tracked(home) - before
    home.load(RECOUNT, text)
    open_flows(home, WEB4, FEW)

    assert FEW / 2 < kept < 1.5 * FEW
    assert tracked(home) - before > 1.5 * FEW  # the control: counts that were begun anew


def test_that_a_flow_is_counted_does_not_look_like_somebodys_change(home: Home) -> None:
    def listed() -> str:
        return home.in_ndmz("nft", "list", "table", "inet", "zosnet_ndmz")

    home.load(RECOUNT, render(home.make_guard()))
    before = listed()
    open_flows(home, WEB4, 3)
    after = listed()

    assert after != before  # the control: a count stands in what nft lists
    assert without_counts(after) == before

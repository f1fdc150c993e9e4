"""Sites far from each other, whose nodes all start at one moment: no pair waits for WireGuard."""

from collections.abc import Iterator

import pytest

from agent.boot.status import INSTANT, boot_instant_or
from lab.farm import build_farm
from lab.world import World
from tests.lab.living import Living, Way, await_that, power_on

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

ONE_WAY = 0.025  # seconds to the middle of the Internet: 100 ms there and back between two sites
STALL = 4.0  # seconds; who waits for WireGuard's own repeat waits 5 and a little


@pytest.fixture(scope="module")
def far(shared_world: World) -> Iterator[Living]:
    farm = build_farm(shared_world)
    for site in farm.plan.sites:
        shared_world.stretch(site.cable, ONE_WAY)
    living = power_on(farm)
    yield living
    living.kill_controller()


def first_answers(living: Living) -> dict[Way, float]:
    """Seconds from when a pair, and who carries it, are in the overlay until the first answer."""
    await_that("an answer on each way", lambda: all(_answers(living, n) for n in living.farm.nodes))
    started = {
        name: boot_instant_or(0.0, node.path(str(INSTANT)))
        for name, node in living.farm.nodes.items()
    }
    networks = {name: living.status(name)["networks"][0] for name in started}
    up = {name: started[name] + network["overlay_seconds"] for name, network in networks.items()}
    return {
        (name, peer["name"]): started[name]
        + peer["answers_since"]
        - max(up[n] for n in {name, peer["name"], peer["through"] or name})
        for name, network in networks.items()
        for peer in network["peers"]
    }


def _answers(living: Living, name: str) -> bool:
    peers = [p for network in living.status(name)["networks"] for p in network["peers"]]
    return len(peers) == 2 and all(peer["answers_since"] is not None for peer in peers)


def say(what: str, took: dict[Way, float]) -> None:
    ways = ", ".join(f"{one}→{other} {seconds:.2f} s" for (one, other), seconds in took.items())
    print(f"{what}, 100 ms apart: {ways}")


def test_nodes_that_join_at_one_moment_reach_each_other_without_a_stall(far: Living) -> None:
    took = first_answers(far)
    say("joined together", took)

    assert len(took) == 6
    assert max(took.values()) < STALL
    assert far.peer("n2", "n3")["through"] == "n1"
    assert min(far.peer("n3", "n1")["answers"].values()) >= 100


def test_nodes_that_boot_from_their_caches_at_one_moment_do_so_too(far: Living) -> None:
    far.kill_controller()
    nodes = far.farm.nodes.values()
    for node in nodes:
        node.power_cut()
    for node in nodes:
        node.boot()
    for node in nodes:
        node.start_programs()
    far.await_answers(30)
    took = first_answers(far)
    say("booted together", took)

    assert len(took) == 6
    assert max(took.values()) < STALL
    assert all(far.status(node.name)["networks"][0]["from_cache"] for node in nodes)


def test_a_public_node_that_boots_from_its_cache_is_back_without_a_stall(far: Living) -> None:
    """Those that it was in touch with go on sending into sessions that it has not any more."""
    n1 = far.node("n1")
    far.kill_controller()
    n1.power_cut()
    n1.boot(programs=True)
    far.await_answers(30)
    took = first_answers(far)
    mine = {way: seconds for way, seconds in took.items() if way[0] == "n1"}
    say("n1 rebooted", mine)

    assert len(mine) == 2
    assert max(mine.values()) < STALL
    assert far.status("n1")["networks"][0]["from_cache"]

"""Other ranges for a living network: nodes renumber at once, and nothing old is left on them."""

from ipaddress import ip_interface, ip_network

import pytest
from msgspec.structs import replace

from lab import programs
from lab.farm import FARM
from lab.programs import NETWORK
from lab.world import World
from tests.lab.living import Living, await_that, make_living

pytestmark = pytest.mark.lab

PAIR = replace(FARM, nodes=FARM.nodes[:2])
NEW = "10.91.0.0/16"
OLD = "10.90."  # how every address of the old range begins


@pytest.fixture
def pair(world: World) -> Living:
    return make_living(world, PAIR)


def ncadm(pair: Living, *words: str) -> list[dict[str, object]]:
    return programs.ncadm(pair.farm.controller, *words)


def kernel(pair: Living, name: str) -> str:
    """All addresses and routes of the network's namespace, and what its peers may send."""
    node, space = pair.node(name), pair.views()[name].namespace
    device = "w" + space.removeprefix("n")
    allowed = node.path("/run/zosnet/networkd.json").read_text()
    shown = [
        node.output(*node.inside(space, "ip", *words))
        for words in (("address",), ("route",), ("-6", "route"))
    ]
    return "\n".join([*shown, device, allowed])


def overlay(pair: Living) -> dict[str, str]:
    """Each node's IPv4 address there."""
    views = pair.views()
    return {n: next((a for a in v.overlay if "." in a), "none") for n, v in views.items()}


def test_i9_a_changed_pool_renumbers_the_nodes_and_leaves_no_old_address(pair: Living) -> None:
    """I9: change pool; nodes renumber, no old address left."""
    before = overlay(pair)
    assert all(OLD in kernel(pair, name) for name in before)
    ncadm(pair, "pool", "add", NETWORK.name, NEW)
    ncadm(pair, "pool", "remove", NETWORK.name, NETWORK.ipv4, "--renumber", "--yes")
    took = await_that(
        "nothing old on any node", lambda: not any(OLD in kernel(pair, n) for n in before)
    )
    pair.await_answers(30)

    print(f"renumbered within {took:.2f} s")
    after = overlay(pair)
    assert all(ip_interface(address).ip in ip_network(NEW) for address in after.values())
    assert len(set(after.values())) == 2
    pair.node("n2").power_cut()
    pair.node("n2").boot(programs=True)
    pair.await_answers(30)
    assert overlay(pair) == after
    assert OLD not in kernel(pair, "n2")


def test_a_subnet_for_each_member_is_on_its_bridge_and_its_peers_send_it_there(
    pair: Living,
) -> None:
    """member_prefix: an address behind the first of a member's subnet is reached from the other."""
    ncadm(pair, "network", "set", NETWORK.name, "--member-prefix", "24", "--renumber")
    views = pair.views
    await_that(
        "a bridge with a subnet on both",
        lambda: all(
            f"{address}/24" in kernel(pair, name) for name, address in overlay(pair).items()
        ),
    )
    pair.await_answers(30)
    first = {name: ip_interface(f"{a}/24") for name, a in overlay(pair).items()}
    assert all(one.ip == one.network.network_address + 1 for one in first.values())
    assert first["n1"].network != first["n2"].network

    n1, n2 = pair.node("n1"), pair.node("n2")
    space = views()["n2"].namespace
    behind = first["n2"].ip + 8
    n2.run(*n2.inside(space, "ip", "address", "add", f"{behind}/32", "dev", "lo"))
    asked = n1.inside(views()["n1"].namespace, "ping", "-c", "1", "-W", "2", str(behind))
    await_that("an answer from behind n2", lambda: n1.ok(*asked))

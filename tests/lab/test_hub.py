"""A hub network between real nodes: spokes know the hub and nobody else, and reach each other by it."""

import pytest

from lab.world import World
from tests.lab.test_overlay import NAMES, Farm, Member, await_that, both_ways, plug, reachable

pytestmark = pytest.mark.lab


@pytest.fixture
def farm(world: World) -> Farm:
    """A hub that is public, and two spokes that nobody can reach; told what each may see."""
    made = Farm()
    hub_node, first, second = plug(world, "hub", "s1", "s2")
    hub = made.add(
        hub_node, 1, public=("192.0.2.1", "2001:db8::1"), families=(4, 6), roles=("hub",)
    )
    hub.someone.carries = ("10.9.0.0/16", "fd09::/64")
    made.add(first, 2, families=(4,))
    made.add(second, 3, families=(6,))
    return made


def start(farm: Farm) -> None:
    hub, *spokes = farm.members
    for member in farm.members:
        member.start()
        seen = farm.members if member is hub else [hub, member]
        farm.tell(member, [farm.authority.row(m.someone) for m in seen])
    await_that(reachable(*((spoke, hub) for spoke in spokes)))
    await_that(reachable(*((hub, spoke) for spoke in spokes)))


def peers_of(member: Member) -> list[str]:
    return [peer["name"] for peer in member.network()["peers"]]


def test_spokes_without_a_common_family_reach_each_other_through_the_hub(farm: Farm) -> None:
    hub, first, second = farm.members
    start(farm)

    assert peers_of(first) == peers_of(second) == ["hub"]
    assert sorted(peers_of(hub)) == ["s1", "s2"]
    await_that(lambda: first.pings(second, wait=0.5))
    assert all(one.pings(other) for one, other in both_ways(hub, first, second))
    rules = hub.node.output(*hub.node.inside(NAMES.space, "nft", "list", "ruleset"))
    assert f'iifname "{NAMES.device}" oifname "{NAMES.device}" accept' in rules
    # it is the hub that carries
    hub.node.power_cut()
    assert not first.pings(second)


def test_a_hub_without_the_role_carries_nothing(farm: Farm) -> None:
    hub, first, second = farm.members
    hub.someone.roles = ()
    start(farm)

    assert hub.pings(first)
    assert not first.pings(second)

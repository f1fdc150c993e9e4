"""A look at many namespaces: what it sees is what `netlink` sees, and changes are seen."""

import pytest

from netns.glance import Glances
from netns.nft import Nft
from netns.values import View
from runtime.failure import CannotError, Exit
from tests.netns.look import opened_netlink, opened_spaces, shell

pytestmark = pytest.mark.lab

FORWARD = "net/ipv4/ip_forward"
LINKS = """
ip -n a link add b-a type bridge; ip -n a link set b-a up
ip -n a addr add 10.1.1.1/24 dev b-a; ip -n a addr add fd12::1/64 dev b-a nodad
ip -n a link add eth0 type veth peer name eth1; ip -n a link set eth0 up; ip -n a link set eth1 up
ip -n a addr add 192.0.2.2/24 dev eth0; ip -n a route add default via 192.0.2.1
ip -n a route add 10.9.0.0/16 via 10.1.1.9 table 7
"""


async def see(glances: Glances, name: str = "a") -> View:
    view = (await glances.look([name], rules=True, keys=(FORWARD,)))[name]
    assert isinstance(view, View)
    return view


async def test_it_sees_what_netlink_sees() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell(LINKS)
        view = await see(Glances(spaces))
        async with opened_netlink(spaces, "a") as netlink:
            links, addresses = await netlink.links(), await netlink.addresses()
            routes = await netlink.routes()

        assert [*view.links.values()] == links
        assert {*view.links} == {"lo", "b-a", "eth0", "eth1"}
        assert [a.interface for a in view.addresses] == [a.interface for a in addresses]
        assert set(view.routes) == set(routes)
        assert view.sysctls == {FORWARD: "0"}


@pytest.mark.parametrize(
    "change",
    [
        "ip -n a link set eth0 down",
        "ip -n a link set b-a mtu 1400",
        "ip -n a link set eth0 alias other",
        "ip -n a addr del 10.1.1.1/24 dev b-a",
        "ip -n a route del default",
        "ip netns exec a sysctl -qw net.ipv4.ip_forward=1",
        "ip netns exec a nft add table inet x",
    ],
)
async def test_the_second_look_sees_each_change(change: str) -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell(LINKS)
        glances = Glances(spaces)
        first, again = await see(glances), await see(glances)
        shell(change)
        changed = await see(glances)

        assert first == again
        assert changed != again


async def test_one_that_is_not_there_is_said_and_the_others_are_seen() -> None:
    names = [f"n{number}" for number in range(20)]
    with opened_spaces() as spaces:
        for name in names:
            await spaces.ensure(name, role="r")
        seen = await Glances(spaces).look([*names, "nowhere"])
        missing = seen.pop("nowhere")

        assert isinstance(missing, CannotError)
        assert missing.code == Exit.NOT_FOUND
        assert [*seen] == names
        assert all(isinstance(view, View) for view in seen.values())


async def test_links_of_one_kind_only() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell(LINKS)
        seen = await Glances(spaces).look(["a"], kind="veth")
        view = seen["a"]

        assert isinstance(view, View)
        assert {*view.links} == {"eth0", "eth1"}


async def test_the_number_of_a_ruleset_rises_with_each_change_and_with_nothing_else() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        rules = await Nft.open(spaces, "a")
        await rules.run("add table inet x")
        first = await rules.generation()
        await rules.listing("ruleset")
        second = await rules.generation()
        shell("ip netns exec a nft flush ruleset")
        third = await rules.generation()
        await rules.close()

        assert 0 < first == second < third

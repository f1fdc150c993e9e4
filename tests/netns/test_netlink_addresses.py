"""Addresses, routes and neighbours in a real kernel, looked at by `ip` as well."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

import pytest

from netns.values import NeighbourState
from tests.netns.look import eventually, opened_netlink, opened_spaces, shell, up

pytestmark = pytest.mark.lab

MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


async def test_an_address_comes_with_its_lifetimes_and_takes_new_ones() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            await netlink.add_veth("x", role="x", peer="y")
            index = await up(netlink, "x")
            mine = IPv4Interface("10.0.0.1/24")
            await netlink.replace_address(index, mine, valid_s=600, preferred_s=300)
            (first,) = await netlink.addresses(index)
            await netlink.replace_address(index, mine, valid_s=7200)
            (second,) = await netlink.addresses(index)
            await netlink.replace_address(index, mine)
            (forever,) = await netlink.addresses(index)

            assert (first.interface, first.valid_s, first.preferred_s) == (mine, 600, 300)
            assert (first.usable, first.permanent) == (True, False)
            assert (second.valid_s, second.preferred_s) == (7200, 7200)
            assert (forever.valid_s, forever.permanent) == (None, True)
            assert "brd 10.0.0.255" in shell("ip -4 address show dev x")


async def test_an_address_without_detection_is_usable_at_once_and_one_with_it_is_not() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            await netlink.add_veth("x", role="x", peer="y")
            index = await up(netlink, "x")
            await up(netlink, "y")
            sure, unsure = IPv6Interface("fd00::1/64"), IPv6Interface("fd00::2/64")
            await netlink.replace_address(index, sure, nodad=True)
            await netlink.replace_address(index, unsure)
            usable = {a.interface: a.usable for a in await netlink.addresses(index)}

            assert usable[sure]
            assert not usable[unsure]


async def test_an_address_that_somebody_else_has_is_seen_to_have_failed() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        async with opened_netlink(spaces) as here, opened_netlink(spaces, "a") as there:
            await here.add_veth("x", role="x", peer="y", peer_space="a")
            taken = IPv6Interface("fd00::1/64")
            x, y = await up(here, "x"), await up(there, "y")
            await there.replace_address(y, taken, nodad=True)
            await here.replace_address(x, taken)
            await eventually("ip -6 address show dev x", "dadfailed")
            (ours,) = [a for a in await here.addresses(x) if a.interface == taken]
            (theirs,) = [a for a in await there.addresses(y) if a.interface == taken]

            assert (ours.dad_failed, ours.usable) == (True, False)
            assert (theirs.dad_failed, theirs.usable) == (False, True)


async def test_a_route_replaces_the_one_with_its_metric_and_not_another() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            await netlink.add_veth("x", role="x", peer="y")
            index = await up(netlink, "x")
            await netlink.replace_address(index, IPv4Interface("10.0.0.1/24"))
            for last, metric in ((7, None), (8, 50), (9, None)):
                via = IPv4Address(f"10.0.0.{last}")
                await netlink.replace_route(None, link=index, via=via, metric=metric)
            defaults = [r for r in await netlink.routes(4) if r.destination is None]
            await netlink.delete_route(None, link=index, via=IPv4Address("10.0.0.9"))
            left = [r for r in await netlink.routes(4) if r.destination is None]

            assert {(r.metric, str(r.via)) for r in defaults} == {(0, "10.0.0.9"), (50, "10.0.0.8")}
            assert [r.metric for r in left] == [50]


async def test_routes_of_both_families_are_listed_and_only_of_the_main_table() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            await netlink.add_veth("x", role="x", peer="y")
            index = await up(netlink, "x")
            await netlink.replace_route(
                IPv4Network("10.9.0.0/16"),
                link=index,
                via=IPv4Address("192.0.2.1"),
                onlink=True,
                protocol=16,
            )
            await netlink.replace_route(None, link=index, via=IPv6Address("fe80::1"))
            shell("ip route add 10.7.0.0/16 dev x table 77")
            routes = await netlink.routes()

            assert {(r.family, str(r.destination), r.protocol) for r in routes if r.via} == {
                (4, "10.9.0.0/16", 16),
                (6, "None", 4),
            }
            assert "10.7.0.0/16" not in {str(r.destination) for r in routes}


async def test_neighbours_of_one_link_are_listed() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            for name, peer in (("x", "y"), ("v", "w")):
                await netlink.add_veth(name, role="x", peer=peer)
            index = await up(netlink, "x")
            await up(netlink, "v")
            shell(f"ip neigh add 10.0.0.7 lladdr {MAC} dev x nud stale")
            shell(f"ip neigh add 10.0.0.8 lladdr {MAC} dev v nud stale")
            found = await netlink.neighbours(index)

            assert [(str(n.address), n.mac, n.state) for n in found] == [
                ("10.0.0.7", MAC, NeighbourState.STALE)
            ]

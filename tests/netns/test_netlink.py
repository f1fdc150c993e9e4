"""Links in a real kernel, looked at by `ip` as well; and many questions at once."""

import asyncio
import errno
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface

import pytest

from netns.netlink import Netlink, NetlinkError
from netns.spaces import Spaces
from netns.values import GROUP
from runtime.failure import CannotError, Exit
from tests.netns.look import opened_netlink, opened_spaces, shell, up

pytestmark = pytest.mark.lab

MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


async def test_a_bridge_has_its_mac_its_mark_and_no_delay() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            made = await netlink.add_bridge("zos", role="uplink", mac=MAC)
            found = await netlink.link("zos")
        said = shell("ip -d link show zos")

        assert made == found
        assert (made.kind, made.mac, made.role) == ("bridge", MAC, "uplink")
        assert "alias zosnet:uplink" in said
        assert "forward_delay 0 " in said
        assert "stp_state 0" in said
        assert "mcast_snooping 0" in said
        assert "no_linklocal_learn 1" in said


async def test_a_link_that_is_not_there_is_none() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            assert await netlink.link("nope") is None
            assert await netlink.link_at(4711) is None
            assert (await netlink.link("lo")) == (await netlink.link_at(1)) is not None


async def test_a_veth_peer_is_born_in_its_namespace_and_marked_there() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("ndmz", role="ndmz")
        async with opened_netlink(spaces) as here, opened_netlink(spaces, "ndmz") as there:
            near = await here.add_veth(
                "ndz4",
                role="port",
                peer="npub4",
                peer_space="ndmz",
                peer_role="uplink",
                mac=MAC,
                peer_mac=PEER_MAC,
            )
            far = await there.link("npub4")

            assert (near.kind, near.mac, near.role) == ("veth", MAC, "port")
            assert far is not None
            assert (far.mac, far.role, far.parent) == (PEER_MAC, "uplink", near.index)
            assert await here.link("npub4") is None


async def test_both_ends_of_a_veth_may_be_here() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            await netlink.add_veth("a", role="left", peer="b", peer_role="right")

            assert [link.role for link in await netlink.links()] == [None, "right", "left"]


async def test_a_stranger_s_link_of_that_name_is_left_alone_and_named() -> None:
    with opened_spaces() as spaces:
        shell("ip link add zos type bridge")
        async with opened_netlink(spaces) as netlink:
            with pytest.raises(NetlinkError, match="exists and is not ours") as caught:
                await netlink.add_bridge("zos", role="uplink")

            assert caught.value.errno == errno.EEXIST
            assert caught.value.code == Exit.CONFLICT
            assert caught.value.hint == "look with: ip -d link show zos; remove or rename it"
            assert [link.role for link in await netlink.links()] == [None, None]


async def test_a_link_that_we_were_killed_over_before_it_was_marked_is_made_again() -> None:
    with opened_spaces() as spaces:
        shell(f"ip link add zos group {GROUP} mtu 1280 type bridge")
        async with opened_netlink(spaces) as netlink:
            made = await netlink.add_bridge("zos", role="uplink")

            assert (made.role, made.mtu) == ("uplink", 1500)


async def test_our_own_link_is_not_made_twice() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            first = await netlink.add_bridge("zos", role="uplink")
            with pytest.raises(NetlinkError, match="made it already") as caught:
                await netlink.add_bridge("zos", role="uplink")

            assert caught.value.errno == errno.EEXIST
            assert await netlink.link("zos") == first


async def test_what_is_set_is_there_and_the_rest_stays() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            bridge = await netlink.add_bridge("br", role="bridge")
            port = await netlink.add_veth("p", role="port", peer="q")
            await netlink.set_link(
                port.index, master=bridge.index, mac=MAC, mtu=1400, up=True, isolated=True
            )
            both = await netlink.link_at(port.index)
            await netlink.set_link(port.index, learning=False, name="p2")
            later = await netlink.link_at(port.index)
            await netlink.set_link(port.index, master=0, up=False, role="")
            free = await netlink.link_at(port.index)

            assert both is not None
            assert (both.master, both.mac, both.mtu) == (bridge.index, MAC, 1400)
            assert (both.up, both.isolated, both.learning) == (True, True, True)
            assert later is not None
            assert (later.name, later.isolated, later.learning) == ("p2", True, False)
            assert free is not None
            assert (free.master, free.up, free.role, free.mac) == (None, False, None, MAC)


async def test_isolated_ports_hear_the_bridge_and_not_each_other() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            bridge = await netlink.add_bridge("br", role="bridge")
            for number in (1, 2):
                name = f"w{number}"
                await spaces.ensure(name, role="workload")
                port = await netlink.add_veth(
                    f"p{number}", role="port", peer="eth", peer_space=name
                )
                await netlink.set_link(port.index, master=bridge.index, up=True, isolated=True)
                async with opened_netlink(spaces, name) as inside:
                    there = await up(inside, "eth")
                    await inside.replace_address(there, IPv4Interface(f"10.0.0.{number}/24"))
            await netlink.set_link(bridge.index, up=True)
            await netlink.replace_address(bridge.index, IPv4Interface("10.0.0.9/24"))
            # several: the first frames may meet a port that is only waking up
            ping = "ip netns exec w1 ping -c12 -i0.2 -w4 {} | grep -q 'bytes from' && echo yes || echo no"
            bridge_answers = shell(ping.format("10.0.0.9"))
            isolated = shell(ping.format("10.0.0.2"))
            second = await netlink.link("p2")
            assert second is not None
            await netlink.set_link(second.index, isolated=False)
            open_again = shell(ping.format("10.0.0.2"))

            assert (bridge_answers, isolated, open_again) == ("yes", "no", "yes")


async def test_a_link_moves_and_comes_home_to_where_the_program_runs() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("znp", role="probe")
        async with opened_netlink(spaces) as here, opened_netlink(spaces, "znp") as there:
            link = await here.add_veth("nic", role="x", peer="cable")
            await here.set_link(link.index, up=True)
            await here.move(link.index, "znp", name="eth0")
            gone = await here.link("nic")
            inside = await there.link("eth0")
            assert inside is not None
            await there.move_home(inside.index, name="nic")
            back = await here.link("nic")

            assert gone is None
            assert (inside.up, inside.mac) == (False, link.mac)
            assert back is not None
            assert back.mac == link.mac


async def test_a_link_may_move_from_one_namespace_to_another() -> None:
    with opened_spaces() as spaces:
        for name in ("a", "b"):
            await spaces.ensure(name, role="r")
        async with opened_netlink(spaces, "a") as a, opened_netlink(spaces, "b") as b:
            link = await a.add_veth("x", role="x", peer="y")
            await a.move(link.index, "b")

            assert (await b.link("x")) is not None


async def test_what_the_kernel_says_is_passed_on_with_its_errno() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        async with opened_netlink(spaces) as netlink:
            bridge = await netlink.add_bridge("br", role="bridge")
            with pytest.raises(NetlinkError) as immovable:
                await netlink.move(bridge.index, "a")
            with pytest.raises(NetlinkError) as missing:
                await netlink.set_link(4711, up=True)
            with pytest.raises(NetlinkError) as unreachable:
                await netlink.replace_route(None, link=bridge.index, via=IPv4Address("10.0.0.1"))

        assert str(immovable.value).startswith(f"cannot move link {bridge.index} to namespace a: ")
        assert (missing.value.errno, missing.value.code) == (errno.ENODEV, Exit.NOT_FOUND)
        assert unreachable.value.errno in (errno.ENETUNREACH, errno.EINVAL, errno.ENETDOWN)


async def test_deleting_what_is_not_there_is_done_already() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            link = await netlink.add_veth("x", role="x", peer="y")
            index = await up(netlink, "x")
            for _ in range(2):
                await netlink.delete_address(index, IPv4Interface("10.0.0.1/24"))
                await netlink.delete_route(None, link=index, family=4)
                await netlink.delete_route(None, link=index, family=6)
            for _ in range(2):
                await netlink.delete_link(link.index)

            assert [link.name for link in await netlink.links()] == ["lo"]


async def crowd(netlink: Netlink, spaces: Spaces) -> int:
    """So many links that a dump takes several datagrams; returns how many."""
    await spaces.run("", shell, "for i in $(seq 60); do ip link add v$i type veth peer w$i; done")
    return len(await netlink.links())


async def test_questions_at_once_do_not_disturb_each_other() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            count = await crowd(netlink, spaces)
            answers = await asyncio.gather(*(netlink.links() for _ in range(20)))

            assert count == 121
            assert [len(links) for links in answers] == [count] * 20


async def test_a_cancelled_question_does_not_poison_the_next() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            count = await crowd(netlink, spaces)
            counts = []
            for delay in (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.003):
                question = asyncio.create_task(netlink.links())
                await asyncio.sleep(delay)
                question.cancel()
                with suppress(asyncio.CancelledError):
                    await question
                counts.append(len(await netlink.links()))

            assert counts == [count] * 6


async def test_a_cancelled_change_is_carried_through() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            await netlink.add_veth("x", role="x", peer="y")
            index = await up(netlink, "x")
            change = asyncio.create_task(
                netlink.replace_address(index, IPv4Interface("10.0.0.1/24"))
            )
            await asyncio.sleep(0)
            change.cancel()
            with suppress(asyncio.CancelledError):
                await change

            assert change.cancelled()
            assert len(await netlink.addresses(index)) == 1


async def test_a_closed_one_says_so_and_closes_twice() -> None:
    with opened_spaces() as spaces:
        netlink = await Netlink.open(spaces)
        await netlink.links()
        await netlink.close()
        await netlink.close()
        with pytest.raises(CannotError, match="closed"):
            await netlink.links()


async def test_closing_lets_a_deleted_namespace_go() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        async with opened_netlink(spaces) as here:
            there = await Netlink.open(spaces, "a")
            await here.add_veth("x", role="x", peer="y", peer_space="a")
            await spaces.delete("a")
            await asyncio.sleep(0.2)
            pinned = await here.link("x")
            await there.close()
            for _ in range(400):
                if await here.link("x") is None:
                    break
                await asyncio.sleep(0.05)

            assert pinned is not None
            assert await here.link("x") is None


async def test_many_links_go_at_once_and_no_others() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            made = [await netlink.add_veth(f"p{n}", role="port", peer=f"q{n}") for n in range(4)]
            indexes = [link.index for link in made]
            await netlink.delete_links([*indexes[1:], 4711])  # one is gone already
            await netlink.delete_links([])
            left = [link.name for link in await netlink.links() if not link.loopback]

        assert sorted(left) == ["p0", "q0"]


async def test_a_veth_is_made_again_when_its_maker_was_killed_before_it_was_marked() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell(f"ip link add p group {GROUP} type veth peer name q")
        async with opened_netlink(spaces) as here, opened_netlink(spaces, "a") as there:
            near = await here.add_veth("p", role="p", peer="e", peer_space="a", there=there)
            far = await there.link("e")

            assert near.role == "p"
            assert far is not None
            assert far.role == "p"
            assert await here.link("q") is None

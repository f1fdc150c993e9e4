"""What changed, said once, and Resync when too much did."""

import asyncio
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface

import pytest

from netns.monitor import Changed, Event, Group, Monitor, Resync, decode_events
from tests.netns.look import opened_netlink, opened_spaces, shell


async def heard(monitor: Monitor) -> list[Event]:
    """All that is said until it has been quiet for a while."""
    events: list[Event] = []
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.5):
                events.append(await monitor.next())
    return events


@pytest.mark.lab
async def test_each_table_that_changes_is_named_with_its_link() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        async with opened_netlink(spaces, "a") as netlink:
            link = await netlink.add_veth("x", role="x", peer="y")
            await netlink.set_link(link.index, up=True)
            monitor = await Monitor.open(spaces, "a")
            await netlink.replace_address(link.index, IPv4Interface("10.0.0.1/24"))
            await netlink.replace_route(None, link=link.index, via=IPv4Address("10.0.0.9"))
            shell("ip -n a neigh add 10.0.0.7 lladdr 02:00:00:00:00:01 dev x")
            await netlink.set_link(link.index, mtu=1400)
            made = await heard(monitor)
            await netlink.delete_link(link.index)
            gone = await heard(monitor)
            monitor.close()

        assert {
            Changed("address", link.index),
            Changed("route", link.index),
            Changed("neighbour", link.index),
            Changed("link", link.index),
        } <= set(made)
        assert {
            Changed("address", link.index, gone=True),
            Changed("link", link.index, gone=True),
        } <= set(gone)


@pytest.mark.lab
async def test_other_namespaces_and_other_groups_are_not_heard() -> None:
    with opened_spaces() as spaces:
        for name in ("a", "b"):
            await spaces.ensure(name, role="r")
        links, routes = (
            await Monitor.open(spaces, "a", Group.LINK),
            await Monitor.open(spaces, "a", Group.ROUTE),
        )
        async with opened_netlink(spaces, "b") as elsewhere:
            await elsewhere.add_bridge("br", role="bridge")
        silence = await heard(links)
        async with opened_netlink(spaces, "a") as here:
            await here.add_bridge("br", role="bridge")

        assert silence == []
        assert [type(event) for event in await heard(links)] == [Changed]
        assert await heard(routes) == []
        for monitor in (links, routes):
            monitor.close()


@pytest.mark.lab
async def test_a_thousand_changes_that_nobody_read_wait_as_one() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            link = await netlink.add_bridge("br", role="bridge")
            monitor = await Monitor.open(spaces, groups=Group.LINK)
            for number in range(1000):
                await netlink.set_link(link.index, mtu=1300 + number % 200)

            assert await heard(monitor) == [Changed("link", link.index)]
            monitor.close()


@pytest.mark.lab
async def test_lost_events_are_one_resync_and_it_goes_on_after_it() -> None:
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            link = await netlink.add_bridge("br", role="bridge")
            monitor = await Monitor.open(spaces, groups=Group.LINK)
            monitor._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            flood = (
                "for i in $(seq 300); do echo link set dev br mtu $((1300+i%200)); done | ip -b -"
            )
            shell(flood)  # the loop stands still meanwhile
            flooded = await heard(monitor)
            await netlink.set_link(link.index, mtu=1280)
            later = await heard(monitor)
            monitor.close()

        assert flooded.count(Resync()) == 1
        assert later == [Changed("link", link.index)]


@pytest.mark.lab
async def test_who_looks_at_once_after_events_were_lost_hears_of_what_comes_then() -> None:
    """The kernel goes on dropping events, without a word, until all that it kept was read."""
    with opened_spaces() as spaces:
        async with opened_netlink(spaces) as netlink:
            link = await netlink.add_bridge("br", role="bridge")
            monitor = await Monitor.open(spaces, groups=Group.LINK | Group.ADDRESS)
            monitor._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            shell("""
                for i in $(seq 8); do for j in $(seq 250); do
                    echo addr add 127.1.$i.$j/32 dev lo
                done; done | ip -b -
            """)  # the loop stands still meanwhile
            first = await monitor.next()
            shell("ip link set dev br mtu 1280")
            later = await heard(monitor)
            monitor.close()

        assert first == Resync()
        assert Changed("link", link.index) in later


@pytest.mark.lab
async def test_closing_twice_is_once() -> None:
    with opened_spaces() as spaces:
        monitor = await Monitor.open(spaces)
        monitor.close()
        monitor.close()


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_several_messages_in_a_datagram_are_several_events() -> None:
    link = message(16, struct.pack("=BxHiII", 0, 1, 5, 0, 0))
    address = message(21, struct.pack("=BBBBI", 2, 24, 0, 0, 6))

    assert decode_events(memoryview(link + address)) == [
        Changed("link", 5),
        Changed("address", 6, gone=True),
    ]


def test_unknown_and_torn_messages_are_passed_over() -> None:
    link = message(16, struct.pack("=BxHiII", 0, 1, 5, 0, 0))
    unknown, torn = message(99, bytes(16)), link[:-1]

    assert decode_events(memoryview(unknown + link + torn)) == [Changed("link", 5)]
    assert decode_events(memoryview(bytes(64))) == []

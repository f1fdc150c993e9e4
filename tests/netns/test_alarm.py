"""Something changed in a namespace: that is said, and no more."""

import asyncio

import pytest

from netns.alarm import Alarm
from tests.netns.look import opened_spaces, shell

pytestmark = pytest.mark.lab

SETUP = "ip -n a link add x type veth peer name y; ip netns exec a nft add table inet t"


@pytest.mark.parametrize(
    "change",
    [
        "ip -n a link set x up",
        "ip -n a addr add 10.0.0.1/24 dev x",
        "ip -n a -6 addr add fd12::1/64 dev x nodad",
        "ip -n a link del x",
        "ip netns exec a nft delete table inet t",
    ],
)
async def test_each_change_rings(change: str) -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        await spaces.ensure("b", role="r")
        shell(SETUP)
        rang = asyncio.Event()
        alarm = await Alarm.open(spaces, "a", rang.set)
        shell("ip -n b link add x type veth peer name y")  # the control: another's change
        await asyncio.sleep(0.1)
        before = rang.is_set()
        shell(change)
        await asyncio.wait_for(rang.wait(), 20)
        alarm.close()

        assert not before


async def test_more_than_can_be_kept_rings_too_and_a_closed_one_is_silent() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell(SETUP)
        count = 0

        def ring() -> None:
            nonlocal count
            count += 1

        alarm = await Alarm.open(spaces, "a", ring)
        flood = "ip -n a addr add 10.0.{0}.{1}/32 dev x; "
        shell("".join(flood.format(i // 250, i % 250 + 1) for i in range(1500)))
        await asyncio.sleep(0.1)
        heard = count
        alarm.close()
        alarm.close()
        shell("ip -n a link del x")
        await asyncio.sleep(0.1)

        assert heard > 0
        assert count == heard


async def test_a_namespace_can_go_when_its_alarm_is_closed() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell("ip link add p type veth peer name q netns a")
        alarm = await Alarm.open(spaces, "a", lambda: None)
        await spaces.delete("a")
        await asyncio.sleep(0.3)
        held = shell("ip -o link show type veth")
        alarm.close()
        for _ in range(1000):
            if not shell("ip -o link show type veth"):
                break
            await asyncio.sleep(0.02)

        assert "p@" in held
        assert shell("ip -o link show type veth") == ""

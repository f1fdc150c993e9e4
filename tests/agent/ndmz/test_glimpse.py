"""A glimpse: whatever somebody changes under ndmz makes it another one, and time alone does not."""

import asyncio

import pytest

from agent.ndmz.glimpse import Glimpse, catch_glimpse
from netns.glance import Glances
from tests.netns.look import opened_spaces, shell

pytestmark = pytest.mark.lab

WORLD = """
ip -n ndmz link add br-ndmz type bridge; ip -n ndmz link set br-ndmz up
ip -n ndmz link add tonrs type veth peer name tonrs-br; ip -n ndmz link set tonrs-br master br-ndmz up
ip -n ndmz link set tonrs up; ip -n ndmz addr add 100.127.0.1/16 dev tonrs
ip -n ndmz addr add 2001:db8::1/64 dev tonrs nodad valid_lft 600 preferred_lft 300
ip -n ndmz route add default via 100.127.0.2
ip netns exec ndmz nft add table inet zosnet_ndmz
ip link add zos type bridge; ip link set zos up
ip addr add 192.0.2.2/24 dev zos; ip route add default via 192.0.2.1
"""


@pytest.mark.parametrize(
    "change",
    [
        "ip -n ndmz link delete tonrs",
        "ip -n ndmz link set tonrs-br nomaster",
        "ip -n ndmz addr del 100.127.0.1/16 dev tonrs",
        "ip -n ndmz route del default",
        "ip -n ndmz route add unreachable 2001:db8:1::/48",
        "ip netns exec ndmz sysctl -qw net.ipv4.ip_forward=1",
        "ip netns exec ndmz sysctl -qw net.ipv6.conf.tonrs.accept_ra=2",
        "ip netns exec ndmz nft delete table inet zosnet_ndmz",
        "ip link set zos mtu 1400",
        "ip addr del 192.0.2.2/24 dev zos",
        "ip route del default",
        "sysctl -qw net.ipv4.conf.zos.forwarding=1",
        "nft add table ip filter",
    ],
)
async def test_each_change_is_seen_and_time_alone_is_none(change: str) -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("ndmz", role="ndmz")
        shell(WORLD)
        glances = Glances(spaces)
        first = later = None
        for _ in range(5):  # until duplicate detection is over
            first, later = later, await glimpse(glances)
            if first == later:
                break
            await asyncio.sleep(1.1)  # a second of the lifetimes
        shell(change)
        told = await glimpse(glances, before=later)
        changed = await glimpse(glances)

        assert first == later
        assert changed != later
        assert told != later or "sysctl" in change  # of settings there are no events


async def glimpse(glances: Glances, before: Glimpse | None = None) -> Glimpse:
    return await catch_glimpse(glances, None, None, before=before)

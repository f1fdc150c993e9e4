"""Which device is adopted, on kernels without WireGuard too: a link of another kind stands in for it."""

import pytest

from netns.spaces import HOST, Spaces
from netns.wireguard.kernel import Kernel
from tests.netns.look import opened_netlink

pytestmark = pytest.mark.lab

NAME, SPACE, UNDER = "w-test", "n-test", "under"


class StandIn(Kernel):
    kind = "ifb"  # needs no more than its kind, and can be moved


async def index_of_device(spaces: Spaces) -> int:
    async with opened_netlink(spaces, SPACE) as netlink:
        link = await netlink.link(NAME)
    assert link is not None
    return link.index


async def test_a_device_whose_underlay_lives_is_adopted_by_the_next_start() -> None:
    spaces = Spaces()
    for space in (SPACE, UNDER):
        await spaces.ensure(space, role="nr")
    assert await StandIn(spaces).ensure(NAME, underlay=UNDER, space=SPACE)
    first = await index_of_device(spaces)

    assert not await StandIn(spaces).ensure(NAME, underlay=UNDER, space=SPACE)
    assert await index_of_device(spaces) == first
    spaces.close()


async def test_one_whose_underlay_was_made_anew_makes_way_for_a_new_one() -> None:
    """Its socket hangs in the namespace that had the name before."""
    spaces = Spaces()
    backend = StandIn(spaces)
    for space in (SPACE, UNDER):
        await spaces.ensure(space, role="nr")
    await backend.ensure(NAME, underlay=UNDER, space=SPACE)
    await spaces.delete(UNDER)
    await spaces.ensure(UNDER, role="nr")

    assert await backend.ensure(NAME, underlay=UNDER, space=SPACE)
    assert not await backend.ensure(NAME, underlay=UNDER, space=SPACE)
    spaces.close()


async def test_one_with_its_socket_on_the_host_is_known_by_the_host_alone() -> None:
    spaces = Spaces()
    backend = StandIn(spaces)
    for space in (SPACE, UNDER):
        await spaces.ensure(space, role="nr")

    assert await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert not await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert await backend.ensure(NAME, underlay=UNDER, space=SPACE)
    assert await backend.ensure(NAME, underlay=HOST, space=SPACE)
    spaces.close()

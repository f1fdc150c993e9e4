"""What the two kinds of device have in common: made, moved, read, changed, adopted, destroyed.

Each test runs on both. A kernel without WireGuard skips its half; tests/vm has one that runs it.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest
from msgspec.structs import replace

from netns.spaces import HOST, Spaces
from netns.wireguard.backend import WireGuardBackend, WireGuardError
from netns.wireguard.choice import choose_backend
from netns.wireguard.device import (
    Device,
    Endpoint,
    Peer,
    Place,
    Remove,
    Reset,
    SetDevice,
    Upsert,
    diff,
)
from netns.wireguard.kernel import KIND, Kernel, is_there
from netns.wireguard.userspace import Userspace
from protocol.keys import new_wireguard_pair
from runtime.failure import CannotError
from tests.netns.look import eventually, opened_netlink, shell, up

pytestmark = pytest.mark.lab

NAME, SPACE = "w-test", "n-test"
WANT = Device(
    bytes(new_wireguard_pair()[1]),
    51820,
    {
        b"k" * 32: Peer(
            b"k" * 32,
            frozenset({ip_network("10.9.0.2/32"), ip_network("fd09::2/128")}),
            Endpoint(ip_address("2001:db8::2"), 51821),
            25,
        )
    },
)
New = Callable[[Spaces], WireGuardBackend]


@pytest.fixture(params=["kernel", "wireguard-go"])
def new(request: pytest.FixtureRequest) -> New:
    if request.param == "wireguard-go":
        return Userspace
    if not is_there():
        pytest.skip("this kernel has no WireGuard; tests/vm has one that does")
    return Kernel


@asynccontextmanager
async def opened(new: New, *spaces: str) -> AsyncIterator[tuple[Spaces, WireGuardBackend]]:
    """A backend with device NAME in SPACE, and with others if their namespaces are named."""
    made = Spaces()
    backend = new(made)
    devices = {NAME: SPACE, **{space.replace("n", "w", 1): space for space in spaces}}
    for name, space in devices.items():
        await made.ensure(space, role="nr")
        assert await backend.ensure(name, underlay=HOST, space=space)
        async with opened_netlink(made, space) as netlink:
            await up(netlink, name)
    yield made, backend
    for name in devices:
        await backend.destroy(name)
    made.close()


async def known(backend: WireGuardBackend, name: str = NAME) -> Device:
    reading = await backend.read(name)
    assert reading is not None
    return reading.device


async def links(spaces: Spaces, space: str) -> set[str]:
    async with opened_netlink(spaces, space) as netlink:
        return {link.name for link in await netlink.links()}


def peers(count: int) -> dict[bytes, Peer]:
    first = int(IPv4Address("10.64.0.0"))
    made = [
        Peer(number.to_bytes(32), frozenset({ip_network((first + number, 32))}), keepalive=25)
        for number in range(1, count + 1)
    ]
    return {peer.key: peer for peer in made}


async def test_a_device_lives_in_its_namespace_and_its_socket_where_it_was_made(new: New) -> None:
    async with opened(new) as (spaces, backend):
        await backend.apply(NAME, diff(Device(), WANT))

        assert NAME in await links(spaces, SPACE)
        assert NAME not in await links(spaces, HOST)
        assert ":51820" in shell("ss -Huln")
        assert ":51820" not in shell(f"ip netns exec {SPACE} ss -Huln")


async def test_two_devices_talk_through_the_namespace_where_their_sockets_are(new: New) -> None:
    async with opened(new, "n-other") as (spaces, backend):
        pairs = {name: new_wireguard_pair() for name in (NAME, "w-other")}
        for number, (name, space) in enumerate(((NAME, SPACE), ("w-other", "n-other")), 1):
            other = pairs["w-other" if name == NAME else NAME]
            where = Endpoint(ip_address("127.0.0.1"), 51823 - number)
            allowed = frozenset({ip_network(f"10.9.0.{3 - number}/32")})
            peer = Peer(bytes(other[0]), allowed, where if name == NAME else None)
            want = Device(bytes(pairs[name][1]), 51820 + number, {peer.key: peer})
            await backend.apply(name, diff(await known(backend, name), want))
            async with opened_netlink(spaces, space) as netlink:
                link = await netlink.link(name)
                assert link is not None
                await netlink.replace_address(link.index, ip_interface(f"10.9.0.{number}/24"))
        said = await eventually(
            f"ip netns exec {SPACE} ping -c1 -W1 10.9.0.2 || true", "1 received", within=20
        )

        assert "1 received" in said
        reading = await backend.read("w-other")
        assert reading is not None
        ((key, stat),) = reading.stats.items()
        assert stat.handshake == pytest.approx(time.time(), abs=60)  # noqa: TID251
        assert stat.rx > 0
        # where it was heard from
        assert reading.device.peers[key].endpoint == Endpoint(ip_address("127.0.0.1"), 51821)


async def test_what_is_set_is_read_back(new: New) -> None:
    async with opened(new) as (_, backend):
        await backend.apply(NAME, diff(await known(backend), WANT))
        device = await known(backend)

        assert device.port == WANT.port
        assert device.peers == WANT.peers
        assert diff(device, WANT) == []


async def test_a_thousand_peers_are_set_and_then_one_is_changed_and_no_other(new: New) -> None:
    async with opened(new) as (_, backend):
        have = replace(WANT, peers=peers(1000))
        await backend.apply(NAME, diff(Device(), have))
        gone, other, *_ = have.peers.values()
        changed = replace(other, allowed=gone.allowed, keepalive=0)
        kept = {k: peer for k, peer in have.peers.items() if k != gone.key}
        want = replace(have, peers={**kept, other.key: changed})
        device = await known(backend)
        steps = diff(device, want)

        assert device.peers == have.peers
        assert steps == [Remove(gone.key), Upsert(changed)]
        await backend.apply(NAME, steps)
        assert (await known(backend)).peers == want.peers


async def test_a_hub_is_given_more_prefixes_than_fit_in_a_message(new: New) -> None:
    async with opened(new) as (_, backend):
        first = int(IPv4Address("10.64.0.0"))
        many = frozenset(ip_network((first + number, 32)) for number in range(1500))
        want = replace(WANT, peers={b"h" * 32: Peer(b"h" * 32, many)})
        await backend.apply(NAME, diff(Device(), want))

        assert (await known(backend)).peers == want.peers


async def test_a_reset_peer_has_no_endpoint_but_the_one_it_is_given(new: New) -> None:
    async with opened(new) as (_, backend):
        await backend.apply(NAME, diff(Device(), WANT))
        (peer,) = WANT.peers.values()
        bare = replace(peer, endpoint=None)

        await backend.apply(NAME, [Upsert(bare)])
        assert (await known(backend)).peers == WANT.peers
        await backend.apply(NAME, [Reset(bare)])
        assert (await known(backend)).peers == {bare.key: bare}


async def test_a_peer_that_is_there_is_told_its_place_and_another_is_not_made(new: New) -> None:
    async with opened(new) as (_, backend):
        await backend.apply(NAME, diff(Device(), WANT))
        (peer,) = WANT.peers.values()
        there = Endpoint(ip_address("192.0.2.7"), 4500)
        await backend.apply(NAME, [Place(peer.key, there), Place(b"n" * 32, there)])

        assert (await known(backend)).peers == {peer.key: replace(peer, endpoint=there)}


async def test_another_process_adopts_the_one_that_lives(new: New) -> None:
    async with opened(new) as (spaces, backend):
        await backend.apply(NAME, diff(Device(), WANT))
        again = new(spaces)

        assert not await again.ensure(NAME, underlay=HOST, space=SPACE)
        assert (await known(again)).peers == WANT.peers


async def test_with_another_underlay_it_is_made_anew_with_its_socket_there(new: New) -> None:
    async with opened(new) as (spaces, backend):
        await spaces.ensure("under", role="nr")
        assert await backend.ensure(NAME, underlay="under", space=SPACE)
        assert not await backend.ensure(NAME, underlay="under", space=SPACE)
        async with opened_netlink(spaces, SPACE) as netlink:
            await up(netlink, NAME)
        await backend.apply(NAME, diff(Device(), WANT))

        assert ":51820" in shell("ip netns exec under ss -Huln")
        assert ":51820" not in shell("ss -Huln")


async def test_when_the_underlay_was_made_anew_so_is_the_device(new: New) -> None:
    async with opened(new) as (spaces, backend):
        await spaces.ensure("under", role="ndmz")
        assert await backend.ensure(NAME, underlay="under", space=SPACE)
        await backend.apply(NAME, diff(Device(), WANT))
        await spaces.delete("under")
        await spaces.ensure("under", role="ndmz")

        assert await backend.ensure(NAME, underlay="under", space=SPACE)
        async with opened_netlink(spaces, SPACE) as netlink:
            await up(netlink, NAME)  # the kernel's has its socket from here on
        await backend.apply(NAME, diff(await known(backend), WANT))
        assert ":51820" in shell("ip netns exec under ss -Huln")
        assert not await backend.ensure(NAME, underlay="under", space=SPACE)


async def test_one_that_was_not_moved_yet_is_moved(new: New) -> None:
    async with opened(new) as (spaces, backend):
        await backend.ensure("w-late", underlay=HOST, space=HOST)  # killed here
        again = new(spaces)

        assert await again.ensure("w-late", underlay=HOST, space=SPACE)
        assert {NAME, "w-late"} <= await links(spaces, SPACE)
        await again.destroy("w-late")


async def test_destroyed_means_nothing_is_left_and_twice_is_once(new: New) -> None:
    async with opened(new) as (spaces, backend):
        again = new(spaces)
        await again.destroy(NAME)
        await again.destroy(NAME)

        assert await links(spaces, SPACE) == {"lo"}
        assert await again.read(NAME) is None
        assert await backend.read(NAME) is None
        await backend.ended(NAME)  # at once


async def test_a_port_that_is_taken_is_an_error_with_its_number(new: New) -> None:
    async with opened(new, "n-other") as (_, backend):
        await backend.apply(NAME, diff(Device(), WANT))

        with pytest.raises(WireGuardError) as caught:
            await backend.apply("w-other", diff(Device(), WANT))
        assert caught.value.errno == 98
        await backend.apply("w-other", [SetDevice(port=51821)])  # the control
        assert (await known(backend, "w-other")).port == 51821


async def test_a_link_of_somebody_else_is_left_alone_and_named(new: New) -> None:
    spaces = Spaces()
    backend = new(spaces)
    await spaces.ensure(SPACE, role="nr")
    shell(f"ip link add {NAME} type bridge")

    with pytest.raises(CannotError, match="is not ours") as caught:
        await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert f"link show {NAME}" in (caught.value.hint or "")
    await backend.destroy(NAME)
    assert NAME in await links(spaces, HOST)
    spaces.close()


async def test_what_is_not_there_cannot_be_configured(new: New) -> None:
    async with opened(new) as (_, backend):
        with pytest.raises(WireGuardError, match="there is no device"):
            await backend.apply("w-none", diff(Device(), WANT))


async def test_the_kernel_is_chosen_where_it_has_wireguard(new: New) -> None:
    async with opened(new) as (spaces, _):
        chosen = await choose_backend(spaces)

        assert isinstance(chosen, Kernel if is_there() else Userspace)


@pytest.mark.parametrize("new", ["kernel"], indirect=True)
async def test_the_kernels_takes_the_place_of_one_that_wireguard_go_made(new: New) -> None:
    async with opened(Userspace) as (spaces, _):
        backend = new(spaces)

        assert await backend.ensure(NAME, underlay=HOST, space=SPACE)
        async with opened_netlink(spaces, SPACE) as netlink:
            link = await netlink.link(NAME)
        assert link is not None
        assert link.kind == KIND
        await backend.destroy(NAME)

"""wireguard-go as a device: made, moved, adopted, killed, and what is said when it cannot be."""

import asyncio
import os
import signal
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from netns import children
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.wireguard.backend import WireGuardError
from netns.wireguard.device import Device, Endpoint, Peer, diff
from netns.wireguard.uapi import socket_path
from netns.wireguard.userspace import Userspace
from protocol.keys import new_wireguard_pair
from runtime.failure import CannotError

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


def shell(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    return done.stdout


def start_foreign() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["wireguard-go", "-f", NAME], stderr=subprocess.DEVNULL)


async def opened() -> tuple[Spaces, Userspace]:
    spaces = Spaces()
    await spaces.ensure(SPACE, role="nr")
    return spaces, Userspace(spaces)


async def links(spaces: Spaces, space: str) -> set[str]:
    netlink = await Netlink.open(spaces, space)
    try:
        return {link.name for link in await netlink.links()}
    finally:
        await netlink.close()


async def test_a_device_is_made_in_the_underlay_and_lives_in_its_namespace() -> None:
    spaces, backend = await opened()
    assert await backend.ensure(NAME, underlay=HOST, space=SPACE)

    assert NAME in await links(spaces, SPACE)
    assert NAME not in await links(spaces, HOST)
    await backend.apply(NAME, diff(Device(), WANT))
    assert ":51820" in shell("ss -Huln")  # in the underlay, which is where we are
    assert not await backend.ensure(NAME, underlay=HOST, space=SPACE)
    await backend.destroy(NAME)
    spaces.close()


async def test_what_is_set_is_read_back() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    fresh = await backend.read(NAME)
    assert fresh is not None
    await backend.apply(NAME, diff(fresh.device, WANT))
    reading = await backend.read(NAME)

    assert reading is not None
    assert reading.device.port == WANT.port
    assert reading.device.peers == WANT.peers
    assert diff(reading.device, WANT) == []
    await backend.destroy(NAME)
    spaces.close()


async def test_another_process_adopts_the_one_that_lives() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    pid = children.find(f"wireguard-{NAME}")
    again = Userspace(spaces)

    assert not await again.ensure(NAME, underlay=HOST, space=SPACE)
    assert children.find(f"wireguard-{NAME}") == pid
    await again.destroy(NAME)
    spaces.close()


async def test_a_killed_one_is_absent_and_made_anew_over_its_stale_socket() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    pid = children.find(f"wireguard-{NAME}")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        await backend.ended(NAME)

    assert socket_path(NAME).exists()
    assert await backend.read(NAME) is None
    assert NAME not in await links(spaces, SPACE)
    assert await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert await backend.read(NAME) is not None
    await backend.destroy(NAME)
    spaces.close()


async def test_destroyed_means_nothing_is_left_and_twice_is_once() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    await backend.destroy(NAME)
    await backend.destroy(NAME)

    assert not socket_path(NAME).exists()
    assert await links(spaces, SPACE) == {"lo"}
    assert children.find(f"wireguard-{NAME}") is None
    spaces.close()


async def test_a_port_that_is_taken_is_an_error_with_its_number() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    await backend.ensure("w-other", underlay=HOST, space=SPACE)
    for name in (NAME, "w-other"):
        netlink = await Netlink.open(spaces, SPACE)
        link = await netlink.link(name)
        assert link is not None
        await netlink.set_link(link.index, up=True)
        await netlink.close()
    await backend.apply(NAME, diff(Device(), WANT))

    with pytest.raises(WireGuardError) as caught:
        await backend.apply("w-other", diff(Device(), WANT))
    assert caught.value.errno == 98
    for name in (NAME, "w-other"):
        await backend.destroy(name)
    spaces.close()


async def test_a_link_of_somebody_else_is_left_alone_and_named() -> None:
    spaces, backend = await opened()
    shell(f"ip link add {NAME} type bridge")

    with pytest.raises(WireGuardError, match="is not ours") as caught:
        await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert "ip link delete" in (caught.value.hint or "")
    assert NAME in await links(spaces, HOST)
    spaces.close()


async def test_a_wireguard_go_of_somebody_else_is_left_alone_and_named() -> None:
    spaces, backend = await opened()
    foreign = start_foreign()
    try:
        async with asyncio.timeout(5):
            while await backend.read(NAME) is None:  # noqa: ASYNC110  # it is not ours
                await asyncio.sleep(0.01)
        with pytest.raises(WireGuardError, match="runs and is not ours"):
            await backend.ensure(NAME, underlay=HOST, space=SPACE)

        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()
    spaces.close()


async def test_without_a_tun_driver_it_says_how_to_get_one() -> None:
    spaces, backend = await opened()
    shell("mount -t tmpfs tmpfs /dev/net")

    with pytest.raises(CannotError, match="there is no /dev/net/tun") as caught:
        await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert "modprobe tun" in (caught.value.hint or "")
    spaces.close()


async def test_without_wireguard_go_it_says_how_to_install_it() -> None:
    spaces, backend = await opened()
    shell("mount --bind /dev/null $(command -v wireguard-go)")

    with pytest.raises(CannotError, match="there is no wireguard-go") as caught:
        await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert caught.value.hint == "apt-get install wireguard-go"
    assert not Path("/run/zosnet/children/wireguard-w-test.pid").exists()
    spaces.close()

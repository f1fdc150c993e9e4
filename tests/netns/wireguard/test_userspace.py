"""wireguard-go as a process: adopted, killed, ended, and what is said when it cannot start. What it
has in common with the kernel's devices is in test_backend.py.
"""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from netns import children
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.wireguard.backend import WireGuardError
from netns.wireguard.uapi import socket_path
from netns.wireguard.userspace import Userspace
from runtime.failure import CannotError

pytestmark = pytest.mark.lab

NAME, SPACE = "w-test", "n-test"


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


async def test_an_adopted_one_is_the_same_process() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    pid = children.find(f"wireguard-{NAME}")
    again = Userspace(spaces)

    assert not await again.ensure(NAME, underlay=HOST, space=SPACE)
    assert children.find(f"wireguard-{NAME}") == pid
    await again.destroy(NAME)
    spaces.close()


async def test_with_another_underlay_it_is_made_anew_there() -> None:
    spaces, backend = await opened()
    await spaces.ensure("under", role="test")
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    first = children.find(f"wireguard-{NAME}")

    assert await backend.ensure(NAME, underlay="under", space=SPACE)
    second = children.find(f"wireguard-{NAME}")
    assert not await backend.ensure(NAME, underlay="under", space=SPACE)
    assert first != second == children.find(f"wireguard-{NAME}")
    assert NAME in await links(spaces, SPACE)

    await spaces.delete("under")  # and one of that name is not it
    await spaces.ensure("under", role="test")
    assert await backend.ensure(NAME, underlay="under", space=SPACE)
    await backend.destroy(NAME)
    await spaces.delete("under")
    spaces.close()


async def test_a_killed_one_is_absent_and_made_anew_over_its_stale_socket() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    pid = children.find(f"wireguard-{NAME}")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await backend.ended(NAME)

    assert socket_path(NAME).exists()
    assert await backend.read(NAME) is None
    assert NAME not in await links(spaces, SPACE)
    assert await backend.ensure(NAME, underlay=HOST, space=SPACE)
    assert await backend.read(NAME) is not None
    await backend.destroy(NAME)
    spaces.close()


async def test_destroyed_means_that_neither_process_nor_socket_is_left() -> None:
    spaces, backend = await opened()
    await backend.ensure(NAME, underlay=HOST, space=SPACE)
    await backend.destroy(NAME)

    assert not socket_path(NAME).exists()
    assert children.find(f"wireguard-{NAME}") is None
    spaces.close()


async def test_a_wireguard_go_of_somebody_else_is_left_alone_and_named() -> None:
    spaces, backend = await opened()
    foreign = start_foreign()
    try:
        async with asyncio.timeout(30):
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

"""Namespaces: ours, foreign ones, and what a crash leaves."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netns.spaces import DIRECTORY, HOST, MARKS, ForeignError, Spaces, in_nameless_space
from runtime.failure import CannotError, Exit
from tests.netns.look import opened_spaces, shell

pytestmark = pytest.mark.lab


def inode(name: str) -> int:
    return (DIRECTORY / name).stat().st_ino


async def test_a_namespace_of_ours_is_one_for_ip_netns_too() -> None:
    with opened_spaces() as spaces:
        made = await spaces.ensure("ndmz", role="ndmz")

        assert made
        assert shell("ip netns list") == "ndmz"
        assert "LOOPBACK,UP" in shell("ip netns exec ndmz ip link show lo")


async def test_ensure_twice_is_once_also_for_the_next_program() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("ndmz", role="ndmz")
        before = inode("ndmz")
    with opened_spaces() as after_restart:
        made = await after_restart.ensure("ndmz", role="ndmz")

        assert not made
        assert inode("ndmz") == before
        assert after_restart.ours() == {"ndmz": "ndmz"}


async def test_a_job_runs_inside_and_the_thread_comes_home_even_when_it_fails() -> None:
    def where() -> int:
        return Path("/proc/thread-self/ns/net").stat().st_ino

    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        home = where()
        inside = await spaces.run("a", where)
        with pytest.raises(ZeroDivisionError):
            await spaces.run("a", lambda: 1 // 0)

        assert inside == inode("a") != home
        assert await spaces.run(HOST, where) == home


async def test_a_socket_made_inside_stays_inside() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        with await spaces.run("a", socket.socket, socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.bind(("127.0.0.1", 8080))
            sock.listen()

            assert "8080" in shell("ip netns exec a ss -ltnH")
            assert "8080" not in shell("ss -ltnH")


async def test_an_unknown_namespace_is_an_error_and_does_not_come_to_be() -> None:
    with opened_spaces() as spaces:
        with pytest.raises(CannotError, match="there is no such namespace") as caught:
            await spaces.run("typo", os.getpid)

        assert caught.value.code == Exit.NOT_FOUND
        assert not spaces.exists("typo")
        assert not (DIRECTORY / "typo").exists()


@pytest.mark.parametrize("name", ["", "../etc", ".", "a/b"])
async def test_a_name_that_is_a_path_is_refused(name: str) -> None:
    with opened_spaces() as spaces, pytest.raises(CannotError, match="not a name"):
        await spaces.ensure(name, role="r")


async def test_a_stranger_s_namespace_is_neither_used_nor_deleted() -> None:
    with opened_spaces() as spaces:
        shell("ip netns add ndmz")
        with pytest.raises(ForeignError, match="cannot use namespace ndmz: it exists") as caught:
            await spaces.ensure("ndmz", role="ndmz")
        with pytest.raises(ForeignError, match="cannot delete namespace ndmz"):
            await spaces.delete("ndmz")

        assert caught.value.hint == (
            "look with: ip -n ndmz address; remove it with: ip netns delete ndmz"
        )
        assert caught.value.code == Exit.CONFLICT
        assert spaces.exists("ndmz")
        assert spaces.ours() == {}


async def test_ours_replaced_by_a_stranger_s_is_foreign_even_with_the_same_inode() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("ndmz", role="ndmz")
        shell("ip netns delete ndmz; ip netns add ndmz")
        role, _, cookie = (MARKS / "ndmz").read_text().split()
        # The kernel gives an inode out again as soon as it is free; whether it just did is luck.
        (MARKS / "ndmz").write_text(f"{role} {inode('ndmz')} {cookie}\n")

        assert spaces.ours() == {}
        with pytest.raises(ForeignError):
            await spaces.ensure("ndmz", role="ndmz")


async def test_delete_twice_is_once_and_leaves_nothing() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        await spaces.delete("a")
        await spaces.delete("a")

        assert not spaces.exists("a")
        assert [*DIRECTORY.iterdir(), *MARKS.iterdir()] == []


async def test_a_plain_file_that_a_crash_left_is_reused() -> None:
    with opened_spaces() as spaces:
        DIRECTORY.mkdir(exist_ok=True)
        (DIRECTORY / "a").touch()
        existed = spaces.exists("a")
        made = await spaces.ensure("a", role="r")

        assert not existed
        assert made
        assert spaces.exists("a")


async def test_a_mark_of_nothing_is_nothing() -> None:
    with opened_spaces() as spaces:
        MARKS.mkdir(parents=True)
        (MARKS / "a").write_text("role 4026532250 77\n")
        (MARKS / "b").write_text("half")
        before = spaces.ours()
        made = await spaces.ensure("a", role="r")

        assert before == {}
        assert made
        assert spaces.ours() == {"a": "r"}


async def test_a_creation_that_fails_leaves_no_namespace() -> None:
    with opened_spaces() as spaces:
        Path("/run/zosnet").write_text("in the way of the marks")
        with pytest.raises(CannotError, match="cannot mark namespace a as ours"):
            await spaces.ensure("a", role="r")
        left = list(DIRECTORY.iterdir())
        Path("/run/zosnet").unlink()
        made = await spaces.ensure("a", role="r")

        assert left == []
        assert made


async def test_a_namespace_is_one_in_another_mount_namespace_too_as_ip_netns_makes_them() -> None:
    look = "echo; read go; stat -f -c %t /run/netns/*; ls /run/netns"
    with opened_spaces() as spaces:
        await spaces.ensure("first", role="r")
        other = subprocess.Popen(  # noqa: ASYNC220  # the loop has nothing else to do
            ["unshare", "-m", "--propagation", "unchanged", "sh", "-c", look],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        other.stdout.readline()
        await spaces.ensure("second", role="r")
        await spaces.delete("first")
        there, _ = other.communicate("\n")

        assert there.split() == ["6e736673", "second"]  # a mount of nsfs, not a plain file


async def test_the_role_of_ours_may_change() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="old")
        await spaces.ensure("a", role="new")

        assert spaces.ours() == {"a": "new"}


async def test_an_fd_of_home_and_of_a_namespace_are_what_they_say() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        fds = spaces.open_fd("a"), spaces.open_fd(HOST)
        try:
            inodes = [os.fstat(fd).st_ino for fd in fds]
        finally:
            for fd in fds:
                os.close(fd)

        assert inodes == [inode("a"), Path("/proc/self/ns/net").stat().st_ino]


def test_values_and_namespaces_come_without_pyroute2() -> None:
    code = (
        "import sys, netns.spaces, netns.netlink, netns.monitor, netns.children, netns.packet, netns.nft;"
        "print('pyroute2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "False\n"


async def test_one_job_in_many_namespaces_and_who_is_not_there_keeps_no_one_waiting() -> None:
    def where() -> int:
        return Path("/proc/thread-self/ns/net").stat().st_ino

    def fail() -> int:
        raise CannotError("cannot do it")

    with opened_spaces() as spaces:
        for name in ("a", "b"):
            await spaces.ensure(name, role="r")
        found = await spaces.run_each(["a", "nowhere", "b"], where)
        failed = await spaces.run_each(["a"], fail)
        home = await spaces.run(HOST, where)

        assert (found["a"], found["b"]) == (inode("a"), inode("b"))
        assert isinstance(found["nowhere"], CannotError)
        assert isinstance(failed["a"], CannotError)
        assert home == where()


async def test_a_namespace_that_was_put_in_place_of_ours_is_not_ours() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        before = await spaces.is_ours("a")
        shell("ip netns delete a; ip netns add a")

        assert before
        assert not await spaces.is_ours("a")
        assert not await spaces.is_ours("nowhere")


async def test_a_namespace_that_was_made_anew_is_another_one() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        first = await spaces.identity("a")
        same = await spaces.identity("a")
        await spaces.delete("a")
        await spaces.ensure("a", role="r")

        assert first == same
        assert await spaces.identity("a") != first


async def test_a_nameless_namespace_is_home_to_its_job_and_seen_by_nobody_else() -> None:
    def job() -> tuple[str, str]:
        shell("ip link add mine type veth peer name other")
        spaces = Spaces()
        try:
            inside = asyncio.run(spaces.run(HOST, socket.if_nameindex))
        finally:
            spaces.close()
        return str(Path("/proc/thread-self/ns/net").readlink()), " ".join(
            name for _, name in inside
        )

    before = sorted(DIRECTORY.glob("*"))
    home = str(Path("/proc/thread-self/ns/net").readlink())
    away, links = await asyncio.to_thread(in_nameless_space, job)

    assert away != home
    assert "mine" in links
    assert "mine" not in shell("ip link")
    assert sorted(DIRECTORY.glob("*")) == before
    assert str(Path("/proc/thread-self/ns/net").readlink()) == home

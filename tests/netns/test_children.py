"""Daemons that outlive us and are found again."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from netns import children
from netns.spaces import Spaces
from runtime.failure import CannotError, Exit
from tests.netns.look import eventually, opened_spaces, shell

pytestmark = pytest.mark.lab

LOG = Path("/run/log/child.log")
SLEEP = ["sleep", "1000"]
SLEEP_BY_PATH = ["/usr/bin/sleep", "1000"]


def pidfile(name: str) -> Path:
    return children.DIRECTORY / f"{name}.pid"


ALIVE = ("S", "R", "D")
ENDED = ("", "Z")  # its new parent collects it, which the tests' first process does not


def state(pid: int) -> str:
    """The process's state letter, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def start(spaces: Spaces, argv: list[str], *, space: str = "", name: str = "child") -> int:
    return await children.spawn(spaces, space, argv, name=name, log_path=LOG)


async def test_a_child_lives_in_its_namespace_in_a_session_of_its_own() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        pid = await start(spaces, SLEEP, space="a")

        assert children.find("child") == pid
        assert shell(f"ip netns identify {pid}") == "a"
        assert os.getsid(pid) != os.getsid(0)
        became = await eventually(f"tr '\\0' , </proc/{pid}/cmdline", "/usr/bin/sleep")
        assert became == "/usr/bin/sleep,1000,"
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")


async def test_the_end_of_all_children_of_its_starter_is_not_its_own() -> None:
    """As a service manager that knows no session ends a service: it and its descendants."""
    starter = os.fork()
    if starter == 0:
        pidfile("child").parent.mkdir(parents=True)
        children._start(SLEEP_BY_PATH, pidfile("child"), Path("/run/child.log"))
        subprocess.Popen(SLEEP)  # noqa: ASYNC220  # the control
        signal.pause()
    await eventually(f"cat {pidfile('child')}", " ")
    await eventually(f"ps --ppid {starter} -o comm=", "sleep")
    child = children.find("child")
    assert child is not None
    listed = [int(pid) for pid in shell(f"ps --ppid {starter} -o pid=").split()]
    for pid in (starter, *listed):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(starter, 0)  # noqa: ASYNC222  # the loop has nothing else to do
    alive = state(child)
    await children.stop("child")

    assert len(listed) == 1
    assert alive in ALIVE
    assert state(child) in ENDED


async def test_it_holds_none_of_our_files_and_writes_to_its_log() -> None:
    with opened_spaces() as spaces:
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        argv = ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"]
        pid = await start(spaces, argv)
        os.close(writing)
        os.set_blocking(reading, False)
        held = sorted(path.name for path in Path(f"/proc/{pid}/fd").iterdir())
        await eventually(f"cat {LOG}", "err")

        assert os.read(reading, 1) == b""  # nobody else has the other end
        assert held[:3] == ["0", "1", "2"]
        assert LOG.read_text() == "out\nerr\n"
        os.close(reading)


async def test_python_s_deafness_to_broken_pipes_is_not_inherited() -> None:
    with opened_spaces() as spaces:
        pid = await start(spaces, SLEEP)
        ours, its = (shell(f"grep SigIgn /proc/{who}/status").split()[1] for who in ("1", pid))
        broken_pipe = 1 << (signal.SIGPIPE - 1)

        assert int(ours, 16) & broken_pipe
        assert not int(its, 16) & broken_pipe


async def test_stop_ends_it_and_leaves_nothing() -> None:
    with opened_spaces() as spaces:
        pid = await start(spaces, SLEEP)
        await children.stop("child")
        await children.stop("child")

        assert state(pid) in ENDED
        assert children.find("child") is None
        assert not pidfile("child").exists()


async def test_what_does_not_hear_sigterm_is_killed() -> None:
    with opened_spaces() as spaces:
        argv = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
        pid = await start(spaces, argv)
        await eventually(f"cat {LOG}", "ready")
        os.kill(pid, signal.SIGTERM)
        await asyncio.sleep(0.1)
        deaf = state(pid)
        await children.stop("child", kill_after=0.1)

        assert deaf in ALIVE
        assert state(pid) in ENDED


async def test_its_end_is_noticed() -> None:
    with opened_spaces() as spaces:
        pid = await start(spaces, SLEEP)
        watch = asyncio.create_task(children.ended("child"))
        await asyncio.sleep(0.1)
        early = watch.done()
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(watch, 20)

        assert not early
        assert children.find("child") is None
        assert state(pid) in ENDED


async def test_a_name_that_lives_is_not_started_twice() -> None:
    with opened_spaces() as spaces:
        pid = await start(spaces, SLEEP)
        with pytest.raises(CannotError, match=f"it runs already as process {pid}") as caught:
            await start(spaces, SLEEP)

        assert caught.value.code == Exit.CONFLICT


async def test_a_name_that_died_is_started_again() -> None:
    with opened_spaces() as spaces:
        first = await start(spaces, SLEEP)
        os.kill(first, signal.SIGKILL)
        await children.ended("child")
        second = await start(spaces, SLEEP)

        assert children.find("child") == second != first


async def test_a_missing_program_is_named() -> None:
    with opened_spaces() as spaces:
        with pytest.raises(CannotError, match="cannot start child: there is no nope") as caught:
            await start(spaces, ["nope"])

        assert caught.value.code == Exit.NOT_FOUND


async def test_whoever_starts_again_finds_it_and_can_stop_it() -> None:
    """The starter is killed the moment the child is born: before it could write anything down."""
    starter = os.fork()
    if starter == 0:
        pidfile("child").parent.mkdir(parents=True)
        children._start(SLEEP_BY_PATH, pidfile("child"), Path("/run/child.log"))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(starter, 0)  # noqa: ASYNC222  # the loop has nothing else to do
    await eventually(f"cat {pidfile('child')}", " ")
    pid = children.find("child")
    assert pid is not None
    alive = state(pid)
    await children.stop("child")

    assert alive in ALIVE
    assert state(pid) in ENDED
    assert children.find("child") is None


async def test_a_pid_that_is_somebody_else_s_now_is_neither_adopted_nor_killed() -> None:
    with opened_spaces() as spaces:
        pid = await start(spaces, SLEEP)
        known, began = pidfile("child").read_text().split()
        pidfile("other").write_text(f"{pid} {int(began) + 1}\n")
        found = children.find("other")
        await children.stop("other")
        await children.ended("other")

        assert int(known) == pid
        assert found is None
        assert state(pid) in ALIVE
        assert children.find("child") == pid  # the control: with its own start time it is found


@pytest.mark.parametrize("text", ["", "12", "1 2", "x y\n", "1 2 3\n"])
async def test_a_pidfile_that_is_not_whole_is_nobody(text: str) -> None:
    children.DIRECTORY.mkdir(parents=True)
    pidfile("child").write_text(text)

    assert children.find("child") is None


async def test_a_zombie_is_dead() -> None:
    with opened_spaces() as spaces:
        pid = await start(spaces, SLEEP)
        os.kill(pid, signal.SIGKILL)
        for _ in range(2000):
            if state(pid) == "Z":
                break
            await asyncio.sleep(0.005)

        assert state(pid) == "Z"
        assert children.find("child") is None


async def test_what_others_in_this_process_started_is_left_to_them() -> None:
    with opened_spaces() as spaces:
        theirs = subprocess.Popen(["sh", "-c", "exit 7"])  # noqa: ASYNC220
        await eventually(f"cat /proc/{theirs.pid}/stat", " Z ")
        await start(spaces, SLEEP)
        await children.stop("child")

        assert theirs.wait() == 7

"""How the demo ends: by itself, kept, interrupted or killed; and what is left then."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.host import TREE, wait_until
from lab.record import DIRECTORY, start_time
from runtime.failure import Exit

pytestmark = pytest.mark.lab

LAB = (sys.executable, "-m", "lab")
HEARS_INTERRUPTS = ("env", "--default-signal=INT")  # also where a shell runs us in the background


@contextmanager
def demo(said: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`zosnet-lab demo` of a farm of our own; whatever a test does, it does not outlive it."""
    with said.open("wb") as file:
        process = subprocess.Popen(
            [*HEARS_INTERRUPTS, *LAB, "demo", "--name", name_of(said), *words],
            cwd=TREE,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        lab("down", "--name", name_of(said))


def name_of(said: Path) -> str:
    return f"{said.stem}-{os.getpid()}"


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAB, *words], cwd=TREE, capture_output=True, text=True, timeout=60, check=False
    )


def begotten(ancestor: int) -> dict[int, int]:
    """Every process below `ancestor`, with its start time; a farm's are, however they forked."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    below = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: started for pid in below - {ancestor} if (started := start_time(pid))}


def of_the_machine() -> tuple[list[str], list[str], list[str]]:
    """Links, named namespaces, mounts. A namespace in which nothing runs needs one of the latter
    to live on; its number proves nothing, the kernel gives it to the next.
    """
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    netns = Path("/run/netns")
    names = sorted(path.name for path in netns.iterdir()) if netns.is_dir() else []
    links = sorted(path.name for path in Path("/sys/class/net").iterdir())
    return links, names, sorted(mounts)


def is_gone(pids: dict[int, int]) -> bool:
    return all(start_time(pid) != started for pid, started in pids.items())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_demo_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    said = tmp_path / f"ended{number}.log"
    before = of_the_machine()
    with demo(said) as process:
        wait_until("an overlay", lambda: b"overlay after" in said.read_bytes(), timeout=60)
        # routers, nodes, agents, wireguard-go: all of the farm
        wait_until("the farm", lambda: len(begotten(process.pid)) > 30)
        pids = begotten(process.pid)
        process.send_signal(number)
        code = process.wait(60)
        wait_until("its processes to end", lambda: is_gone(pids))

    assert of_the_machine() == before
    assert not (DIRECTORY / f"{name_of(said)}.json").exists()
    assert code == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in said.read_text()


@pytest.mark.timeout(400)
def test_a_kept_demo_is_a_farm_one_can_use_until_it_is_ended(tmp_path: Path) -> None:
    said, report = tmp_path / "kept.log", tmp_path / "r.json"
    name = name_of(said)
    before = of_the_machine()
    with demo(said, "--keep", "--report", str(report)) as process:
        assert process.wait(240) == Exit.OK, said.read_text()
        told = json.loads(report.read_text())
        again = lab("demo", "--name", name)
        status = lab("exec", "--name", name, "n2", "zosnet-agent", "status", "-o", "json")
        (item,) = json.loads(status.stdout)["items"]
        (network,) = item["networkd"]["networks"]
        ping = ("ping", "-c1", "-W2", network["peers"][0]["addresses"][0])
        reached = lab("exec", "--name", name, "--in", network["namespace"], "n2", *ping)
        world = json.loads((DIRECTORY / f"{name}.json").read_text())["world"]["pid"]
        pids = {**begotten(world), world: start_time(world) or 0}
        down = lab("down", "--name", name)
        wait_until("its first process to be buried", lambda: is_gone(pids), timeout=10)

    assert told["ok"] is True
    assert [node["name"] for node in told["nodes"]] == ["n1", "n2", "n3"]
    assert len(told["pings"]) == 12
    assert f"zosnet-lab exec --name {name} n2 zosnet-agent status" in said.read_text()
    assert (again.returncode, "it is up already" in again.stderr) == (Exit.CONFLICT, True)
    assert reached.returncode == 0, reached.stdout
    assert len(pids) > 30
    assert down.returncode == Exit.OK
    assert of_the_machine() == before
    assert lab("status", "--name", name).returncode == Exit.NOT_FOUND

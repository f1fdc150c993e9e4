"""The farm and the command line that keeps one in the background."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from lab.farm import FARM, Farm, build_farm
from lab.host import TREE, wait_until
from lab.internet import WEB4, WEB6
from lab.world import World
from runtime.failure import Exit

pytestmark = pytest.mark.lab

NAME = f"test-{os.getpid()}"


@pytest.fixture
def farm(world: World) -> Farm:
    return build_farm(world)


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def background() -> Iterator[str]:
    made = lab("up", "--name", NAME)
    assert made.returncode == 0, made.stderr
    yield NAME
    lab("down", "--name", NAME)


def reaches(farm: Farm, machine: str, target: object) -> bool:
    return farm.machines[machine].ok("ping", "-c1", "-W1", str(target))


def test_every_site_has_the_way_to_the_internet_that_its_layout_says(farm: Farm) -> None:
    seen = {
        name: (reaches(farm, name, WEB4), reaches(farm, name, WEB6))
        for name in ("ctl", "r-a", "r-b", "r-c")
    }

    assert seen == {
        "ctl": (True, True),
        "r-a": (True, True),
        "r-b": (True, True),
        "r-c": (True, False),
    }


def test_a_lan_neighbour_answers_on_its_lan_and_a_public_one_from_outside(farm: Farm) -> None:
    private, global6 = (a.ip for a in FARM.neighbours[1].addresses)
    public, _ = (a.ip for a in FARM.neighbours[0].addresses)

    assert reaches(farm, "r-b", private)
    assert reaches(farm, "inet", global6)
    assert reaches(farm, "inet", public)
    assert not reaches(farm, "inet", private)


def test_a_nodes_cards_are_down_and_only_cabled_ones_get_a_carrier(farm: Farm) -> None:
    node = farm.nodes["n2"]
    before = node.output("ip", "-br", "link", "show", "up")
    node.script("for i in 0 1 2; do ip link set eth$i up; done")
    carriers = node.script("cat /sys/class/net/eth?/carrier").split()

    assert before.split()[0] == "lo"
    assert len(before.splitlines()) == 1
    assert carriers == ["1", "1", "0"]


def test_a_changed_plan_makes_a_changed_farm(world: World) -> None:
    farm = build_farm(world, FARM.with_lan("c", check_address=True))
    options = {
        switch: router.output("ps", "ax", "-o", "args") for switch, router in farm.routers.items()
    }

    assert "--no-ping" not in options["lan-c"]
    assert "--no-ping" in options["lan-b"]


def test_a_router_may_have_one_lease_to_give(world: World) -> None:
    farm = build_farm(world, FARM.with_lan("a", leases=1).with_lan("b", leases=1))
    options = [router.output("ps", "ax", "-o", "args") for router in farm.routers.values()]

    assert "--dhcp-range=192.168.7.100,192.168.7.100," in "".join(options)
    assert "--dhcp-range=198.51.100.130,198.51.100.130," in "".join(options)


def test_a_farm_in_the_background_takes_commands_and_is_gone_after_down(background: str) -> None:
    record = json.loads(Path(f"/run/zosnet-lab/{NAME}.json").read_text())
    machines = [Path(f"/proc/{m['pid']}") for m in (record["world"], record["machines"]["n2"])]
    hostname = lab("exec", "--name", NAME, "n2", "hostname")
    failing = lab("exec", "--name", NAME, "n2", "sh", "-c", "exit 7")
    shown = lab("status", "--name", NAME, "-o", "json")
    again = lab("up", "--name", NAME)
    unknown = lab("exec", "--name", NAME, "n9", "true")
    down = lab("down", "--name", NAME)
    wait_until("their end", lambda: not any(path.exists() for path in machines), timeout=10)
    gone = lab("status", "--name", NAME)

    assert hostname.stdout == "n2\n"
    assert failing.returncode == 7
    assert [item["name"] for item in json.loads(shown.stdout)["items"]] == ["n1", "n2", "n3"]
    assert (again.returncode, "it is up already" in again.stderr) == (4, True)
    assert (unknown.returncode, "has none" in unknown.stderr) == (3, True)
    assert down.returncode == 0
    assert (gone.returncode, "it is not up" in gone.stderr) == (3, True)


def test_down_kills_nothing_that_only_has_the_pid_of_a_world() -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    path = Path(f"/run/zosnet-lab/{NAME}-stale.json")
    path.parent.mkdir(exist_ok=True)
    stale = {
        "name": f"{NAME}-stale",
        "world": {"pid": sleeper.pid, "started": 1},
        "machines": {},
        "layouts": {},
    }
    path.write_text(json.dumps(stale))
    ended = lab("down", "--name", f"{NAME}-stale")
    alive = sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()

    assert alive
    assert ended.returncode == 3
    assert not path.exists()


# Everything is imported before root is given up: the tree may be where only root can read.
AS_NOBODY = """
import os, sys
from lab import __main__
from lab.cli import up
os.setuid(65534)
sys.argv = ["zosnet-lab", "up"]
sys.exit(__main__.main())
"""


def test_who_is_not_root_is_told_so() -> None:
    said = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert said.returncode == Exit.DENIED
    assert said.stderr == "error: cannot make a farm: not root\nhint: run it with sudo\n"


def test_a_farm_is_up_in_well_under_a_second() -> None:
    took = []
    for _ in range(3):
        with World() as world:
            begun = monotonic()
            build_farm(world)
            took.append(monotonic() - begun)

    assert min(took) < 2.0  # 0.15 s on an idle machine; tests run beside each other


def test_a_boot_runs_the_units_on_the_disk_and_keeps_what_they_say(
    farm: Farm, tmp_path: Path
) -> None:
    node = farm.nodes["n1"]
    node.write("/etc/zinit/hello.yaml", "exec: sh -c 'echo hello from $HOSTNAME; sleep 1000'\n")
    log = node.path("/var/log/zosnet/hello.log")

    def times_said() -> int:
        return log.read_text().count("hello") if log.exists() else 0

    node.boot(programs=True)
    wait_until("the unit's first words", lambda: times_said() == 1)
    node.power_cut()
    node.boot(programs=True)
    log = node.path("/var/log/zosnet/hello.log")
    wait_until("its words after the second boot", lambda: times_said() == 2)
    farm.world.save_logs(tmp_path / "kept")

    assert (tmp_path / "kept/n1/hello.log").read_text().count("hello") == 2
    assert not Path("/etc/zinit/hello.yaml").exists()

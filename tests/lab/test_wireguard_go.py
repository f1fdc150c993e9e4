"""wireguard-go outlives networkd however that is stopped, and what kills it is mended."""

import asyncio
import re
from collections.abc import Iterator
from time import sleep

import pytest

from agent.overlay.network import LOOK_EACH
from lab.node import Node
from lab.world import World
from netns import cgroup
from netns.wireguard import uapi
from netns.wireguard.device import Device
from tests.lab.living import Living, await_that, kill, make_living, pid_of, processes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

NETWORKD = "zosnet-agent networkd"
PING = ("ping", "-q", "-i", "0.01", "-c", "1200", "-W", "1")
GROUPS = "/run/cgroup"
ENDS_WITHIN = 5.0  # seconds, after SIGTERM too


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world)
    yield living
    living.kill_controller()


def wireguard_of(node: Node) -> int:
    return next(pid for pid, args in processes(node).items() if "/wireguard-go " in args)


def device_of(farm: Living, name: str) -> Device:
    """As its wireguard-go says."""
    path = f"/run/wireguard/{farm.status(name)['networks'][0]['device']}.sock"
    reading = asyncio.run(uapi.read(farm.node(name).path(path)))
    assert reading is not None
    return reading.device


def test_a_killed_one_is_made_again_at_once_with_its_key_and_port(farm: Living) -> None:
    """At once: five times in a row sooner than somebody who looks now and then could be lucky to be."""
    for name in ("n1", "n2"):
        node, device = farm.node(name), device_of(farm, name)
        took = []
        for _ in range(5):
            made = times_made(node)
            kill(node, wireguard_of(node))
            took.append(
                await_that("another one", lambda: times_made(node) > made, LOOK_EACH * 0.75)  # noqa: B023  # called at once
            )
        healed = farm.await_answers(30)
        print(f"wireguard-go of {name} killed: another after {max(took):.2f} s, {healed:.2f} s")
        after = device_of(farm, name)

        assert (after.secret, after.port) == (device.secret, device.port)


def times_made(node: Node) -> int:
    """How often networkd has made its device whole: one that dies before is an error, and waited for."""
    return node.path("/var/log/zosnet/networkd.log").read_text().count("WireGuard device made")


def process_group(node: Node) -> list[str]:
    pid = pid_of(node, NETWORKD)
    group = node.output("ps", "-o", "pgid=", "-p", str(pid)).strip()
    return [f"-{group}"]


def child_list(node: Node) -> list[str]:
    """networkd and all that it started, and what that started."""
    found = [str(pid_of(node, NETWORKD))]
    for pid in found:
        listed = node.run("ps", "--ppid", pid, "-o", "pid=", check=False).stdout
        found += listed.split()
    return found


WHOM = {"group": process_group, "children": child_list}


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
@pytest.mark.parametrize("whom", WHOM)
def test_networkd_is_stopped_and_no_packet_is_lost(farm: Living, signal: str, whom: str) -> None:
    n2 = farm.node("n2")
    targets = " ".join(WHOM[whom](n2))
    stop_and_lose_nothing(farm, f"kill -{signal} {targets} || :")  # one may have ended by itself


def test_its_control_group_is_killed_and_no_packet_is_lost(
    farm: Living, control_group: str
) -> None:
    """As systemd ends a service that has not KillMode=process."""
    n2 = farm.node("n2")
    n2.script(f"echo {pid_of(n2, NETWORKD)} >{control_group}/cgroup.procs")
    made = times_made(n2)
    kill(n2, wireguard_of(n2))
    await_that("another wireguard-go", lambda: times_made(n2) > made)
    farm.await_answers(30)
    stop_and_lose_nothing(farm, f"echo 1 >{control_group}/cgroup.kill")


def stop_and_lose_nothing(farm: Living, command: str) -> None:
    """`command` ends the networkd of n2."""
    n2 = farm.node("n2")
    networkd, wireguard = pid_of(n2, NETWORKD), wireguard_of(n2)
    place = farm.views()["n2"].namespace
    targets = [address for name in ("n1", "n3") for address in farm.views()[name].overlay]
    logs = [n2.log(f"ping-besides-{networkd}-{number}") for number in range(len(targets))]
    flows = [
        n2.spawn(*n2.inside(place, *PING, address), log=log)
        for log, address in zip(logs, targets, strict=True)
    ]
    sleep(0.5)
    n2.script(command)
    gone = await_that("its end", lambda: networkd not in processes(n2), ENDS_WITHIN)
    back = await_that("the next networkd", lambda: sees_all(farm, "n2", besides=networkd))
    running = [flow.poll() is None for flow in flows]
    ended = [flow.wait(20) for flow in flows]
    said = [
        re.findall(r"(\d+) packets transmitted, (\d+) received", log.read_text()) for log in logs
    ]
    print(f"{command}: gone after {gone:.2f} s, back after {back:.2f} s")

    assert all(running)  # over the whole absence
    assert ended == [0] * len(flows)
    assert said == [[("1200", "1200")]] * len(flows)
    assert wireguard_of(n2) == wireguard


def sees_all(farm: Living, name: str, *, besides: int) -> bool:
    now = farm.status(name)
    peers = [peer for network in now["networks"] for peer in network["peers"]]
    return now["pid"] != besides and len(peers) == 2 and all(p["reachable"] for p in peers)


@pytest.fixture
def control_group(farm: Living) -> Iterator[str]:
    """A control group that n2 can put processes into."""
    n2, path = farm.node("n2"), f"{GROUPS}/zosnet-test-{farm.node('n2').pid}"
    n2.script(f"mkdir -p {GROUPS}; mount -t cgroup2 none {GROUPS}; mkdir {path}")
    yield path
    left = f"{GROUPS}/{cgroup.NAME}"
    n2.script(f"for pid in $(cat {left}/cgroup.procs); do echo $pid >{GROUPS}/cgroup.procs; done")
    gone = f"rmdir {path} {left} 2>/dev/null; [ ! -d {path} ] && [ ! -d {left} ]"
    await_that("empty groups", lambda: n2.ok("sh", "-c", gone))

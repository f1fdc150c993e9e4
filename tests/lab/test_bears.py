"""What a node bears beside kills: a disk that takes nothing, a namespace that somebody deleted."""

from collections.abc import Iterator
from ipaddress import IPv4Interface
from time import monotonic, sleep
from typing import Any

import pytest

from lab.internet import WEB4
from lab.node import Node
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from tests.lab.boot_node import addresses, configure, internet
from tests.lab.living import Living, await_that, kill, make_living, pid_of

pytestmark = pytest.mark.lab

STATE = "/var/lib/zosnet"
# what is there stays, and nothing more fits
FILL = f"""
    mkdir -p {STATE} /run/full
    mount -t tmpfs -o size=1m none /run/full
    cp -a {STATE}/. /run/full
    mount --move /run/full {STATE}
    dd if=/dev/zero of={STATE}/fill bs=4k 2>/dev/null || true
"""
READ_ONLY = f"""
    mkdir -p {STATE}
    mount --bind {STATE} {STATE}
    mount -o remount,bind,ro {STATE}
"""
SPOILT = {"full": FILL, "read-only": READ_ONLY}
NETWORKD = "zosnet-agent networkd"
SOON = 2.5  # seconds: half of what it may be until a look that comes anyway
GOES_ON = 3.0  # seconds; with something in its way it would begin anew meanwhile


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world)
    yield living
    living.kill_controller()


def takes_nothing(node: Node) -> bool:
    return not node.ok("dd", "if=/dev/zero", f"of={STATE}/more", "bs=4k", "count=1")


@pytest.mark.parametrize("how", SPOILT)
def test_a_node_whose_disk_takes_nothing_finds_its_uplink(world: World, how: str) -> None:
    lone_server(world, "r", "lan", Lan(IPv4Interface("192.168.7.1/24")))
    node = world.node("n")
    world.plug(Nic("n", "eth0", "lan"))
    configure(node, "probe: {grace: 0.05}")
    node.script(SPOILT[how])
    ended = internet(node)

    assert takes_nothing(node)
    assert ended.returncode == 0, ended.stderr
    assert len(addresses(node, "zos", family=4)) == 1


def test_a_network_whose_namespace_was_deleted_has_its_way_to_the_internet_again(
    farm: Living,
) -> None:
    n2 = farm.node("n2")
    space = farm.status("n2")["networks"][0]["namespace"]
    ping = n2.inside(space, "ping", "-c1", "-W1", "-q", str(WEB4))

    assert n2.ok(*ping)

    networkd = str(pid_of(n2, NETWORKD))
    n2.run("kill", "-STOP", networkd)  # or it is mended before we look
    n2.run("ip", "netns", "delete", space)

    assert not n2.ok(*ping)

    n2.run("kill", "-CONT", networkd)
    seconds = await_that("the Internet from a network", lambda: n2.ok(*ping), 20)
    print(f"behind ndmz again after {seconds:.1f} s")
    farm.await_answers(20)


@pytest.mark.parametrize("how", SPOILT)
def test_networkd_that_starts_where_nothing_can_be_written_goes_on(farm: Living, how: str) -> None:
    n3 = farm.node("n3")
    n3.script(SPOILT[how])
    before = pid_of(n3, NETWORKD)
    kill(n3, before)
    await_that("another networkd", lambda: _runs(n3, besides=before), 20)
    now = pid_of(n3, NETWORKD)
    farm.await_answers(20)
    await_that("its controller", lambda: _online(farm.status("n3"), now))
    until, gone = monotonic() + GOES_ON, 0
    while monotonic() < until:
        gone += not _online(farm.status("n3"), now)
        sleep(0.05)
    why = n3.output("zosnet-agent", "why")
    spoilt = takes_nothing(n3)
    n3.run("umount", "-l", STATE)

    assert gone == 0
    assert pid_of(n3, NETWORKD) == now
    assert f"cannot write {STATE}/clock" in why
    assert spoilt


def _online(status: dict[str, Any], pid: int) -> bool:
    connections = [one["connection"] for one in status["enrol"]["farms"]]
    return (status["pid"], connections) == (pid, ["online"])


def _runs(node: Node, *, besides: int) -> bool:
    found = node.run("pgrep", "-f", NETWORKD, check=False).stdout.split()
    return any(int(pid) != besides for pid in found)


def test_what_was_destroyed_while_events_were_lost_is_repaired(farm: Living) -> None:
    """More happens while networkd cannot look than the kernel keeps for it. The second time it is soon
    after a look, and the next one that comes anyway is seconds away.
    """
    n2 = farm.node("n2")
    pid = pid_of(n2, NETWORKD)
    many = "".join(f"addr add 127.1.{n // 250}.{n % 250}/32 dev lo\n" for n in range(5000))
    took = []
    for _ in range(2):
        n2.run("kill", "-STOP", str(pid))
        for batch in (many, many.replace("addr add", "addr del")):
            n2.run(*n2.inside("ndmz", "ip", "-batch", "-"), input=batch)
        n2.script(f"ip -n ndmz route flush default; kill -CONT {pid}")
        took.append(
            await_that("the route", lambda: "default" in n2.output("ip", "-n", "ndmz", "route"), 12)
        )
    print("the route is back after", *(f"{seconds:.2f} s" for seconds in took))

    assert n2.path("/var/log/zosnet/networkd.log").read_text().count("events were lost") >= 2
    assert took[1] < SOON
    farm.await_answers(20)

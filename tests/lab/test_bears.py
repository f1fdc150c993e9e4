"""What a node bears beside kills: a disk without room, a namespace that somebody deleted."""

from collections.abc import Iterator
from ipaddress import IPv4Interface
from time import sleep

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
NETWORKD = "zosnet-agent networkd"


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world)
    yield living
    living.kill_controller()


def is_full(node: Node) -> bool:
    return not node.ok("dd", "if=/dev/zero", f"of={STATE}/more", "bs=4k", "count=1")


def test_a_node_without_room_on_its_disk_finds_its_uplink(world: World) -> None:
    lone_server(world, "r", "lan", Lan(IPv4Interface("192.168.7.1/24")))
    node = world.node("n")
    world.plug(Nic("n", "eth0", "lan"))
    configure(node, "probe: {grace: 0.05}")
    node.script(FILL)
    ended = internet(node)

    assert is_full(node)
    assert ended.returncode == 0, ended.stderr
    assert len(addresses(node, "zos", family=4)) == 1


def test_a_network_whose_namespace_was_deleted_has_its_way_to_the_internet_again(
    farm: Living,
) -> None:
    n2 = farm.node("n2")
    space = farm.status("n2")["networks"][0]["namespace"]
    ping = n2.inside(space, "ping", "-c1", "-W1", "-q", str(WEB4))

    assert n2.ok(*ping)

    n2.run("ip", "netns", "delete", space)

    assert not n2.ok(*ping)

    seconds = await_that("the Internet from a network", lambda: n2.ok(*ping), 12)
    print(f"behind ndmz again after {seconds:.1f} s")
    farm.await_answers(20)


def test_networkd_that_starts_without_room_on_the_disk_keeps_the_node_in_the_overlay(
    farm: Living,
) -> None:
    n3 = farm.node("n3")
    n3.script(FILL)
    before = pid_of(n3, NETWORKD)
    kill(n3, before)
    await_that("another networkd", lambda: _runs(n3, besides=before), 10)
    now = pid_of(n3, NETWORKD)
    farm.await_answers(20)
    sleep(3)  # a networkd that dies of it would be another one by now

    assert is_full(n3)
    assert pid_of(n3, NETWORKD) == now
    assert farm.status("n3")["pid"] != before


def _runs(node: Node, *, besides: int) -> bool:
    found = node.run("pgrep", "-f", NETWORKD, check=False).stdout.split()
    return any(int(pid) != besides for pid in found)


def test_a_node_whose_state_is_read_only_finds_its_uplink(world: World) -> None:
    lone_server(world, "r", "lan", Lan(IPv4Interface("192.168.7.1/24")))
    node = world.node("n")
    world.plug(Nic("n", "eth0", "lan"))
    configure(node, "probe: {grace: 0.05}")
    node.script(f"mkdir -p {STATE}; mount --bind {STATE} {STATE}; mount -o remount,bind,ro {STATE}")
    ended = internet(node)

    assert not node.ok("touch", f"{STATE}/more")
    assert ended.returncode == 0, ended.stderr
    assert len(addresses(node, "zos", family=4)) == 1


def test_what_was_destroyed_while_events_were_lost_is_repaired(farm: Living) -> None:
    """More happens while networkd cannot look than the kernel keeps for it."""
    n2 = farm.node("n2")
    pid = pid_of(n2, NETWORKD)
    many = "".join(f"addr add 127.1.{n // 250}.{n % 250}/32 dev lo\n" for n in range(5000))
    n2.script(f"kill -STOP {pid}; ip -n ndmz route flush default")
    for batch in (many, many.replace("addr add", "addr del")):
        n2.run(*n2.inside("ndmz", "ip", "-batch", "-"), input=batch)
    n2.script(f"kill -CONT {pid}")
    log = n2.path("/var/log/zosnet/networkd.log")
    seconds = await_that(
        "the route", lambda: "default" in n2.output("ip", "-n", "ndmz", "route"), 12
    )
    print(f"the route is back after {seconds:.1f} s")

    assert "events were lost" in log.read_text()
    farm.await_answers(20)

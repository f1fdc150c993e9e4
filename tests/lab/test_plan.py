"""`zosnet-agent plan` tells what networkd would change, and networkd then changes just that."""

import json

import pytest

from lab.host import Process, wait_until
from lab.node import Node
from lab.router import lone_server
from lab.wiring import Nic
from lab.world import World
from runtime.failure import Exit
from tests.lab.boot_node import configure, internet
from tests.lab.test_dhcp import HOME

pytestmark = pytest.mark.lab


def changes(node: Node) -> list[str]:
    items = json.loads(node.output("zosnet-agent", "plan", "-o", "json"))["items"]
    return [f"{item['where']}: {item['change']}" for item in items if "change" in item]


def start_networkd(node: Node) -> Process:
    running = node.spawn("zosnet-agent", "networkd", log=node.log("networkd"))
    wait_until("ndmz", lambda: node.ok("zosnet-agent", "wait", "ndmz", "--timeout", "0"))
    return running


def test_what_ndmz_lacks_is_told_and_then_mended(world: World) -> None:
    lone_server(world, "r", "lan", HOME)
    node = world.node("n1")
    world.plug(Nic("n1", "eth0", "lan"))
    configure(node)
    assert internet(node).returncode == Exit.OK
    unborn = changes(node)
    running = start_networkd(node)
    wait_until("all that is to be", lambda: changes(node) == [])
    table = node.output("zosnet-agent", "plan")
    running.kill()
    running.wait(5)
    node.script("ip -n ndmz link delete tonrs; ip link set ndz4 nomaster")
    torn = changes(node)
    again = changes(node)
    running = start_networkd(node)
    wait_until("it to be mended", lambda: changes(node) == [])
    running.kill()
    running.wait(5)
    node.script("ip netns delete ndmz; ip netns add ndmz")
    foreign = changes(node)

    assert unborn == ["ndmz: make the node's key, and all of ndmz, whose addresses follow from it"]
    assert table.endswith("\na start would change nothing\n")
    assert "ndmz: make tonrs and its other end tonrs-br" in torn
    assert "ndmz: give tonrs the address 100.127.0.1/16" in torn
    assert "ndmz: make ndz4 a port of zos" in torn
    assert torn == again  # telling is not doing
    assert foreign[-1].startswith("ndmz: nothing: cannot use namespace ndmz: it exists")


def test_without_root_it_says_so(world: World) -> None:
    node = world.node("n1")
    user = ("setpriv", "--reuid=65534", "--clear-groups")
    said = node.output(*user, "zosnet-agent", "plan")

    assert "not looked at: it takes root" in said

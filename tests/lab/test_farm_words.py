"""What `zosnet-agent` says of a node at each stage, how it exits, and what leave and reset leave."""

import io
import json
import re
import subprocess
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest
from msgspec.structs import replace

from lab import programs
from lab.demo import prepare
from lab.farm import FARM, build_farm
from lab.internet import WEB4
from lab.node import Node
from lab.progress import Progress
from lab.tamper import forge, netmap_of
from lab.world import World
from runtime.failure import Exit
from tests.lab.living import Living, await_that, power_on, processes

pytestmark = pytest.mark.lab

LONE = replace(FARM, nodes=FARM.nodes[:1])
PAIR = replace(FARM, nodes=FARM.nodes[:2])
OF_ITS_OWN = ("last_seen", "age", "last_at", "endpoints", "families")  # a node tells these any time
AS_FOUND = "/var/lib/as-found.json"  # what a node was like before its first boot


def agent(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    return node.run("zosnet-agent", *words, check=False, timeout=120)


def fails(node: Node, code: Exit, *words: str) -> str:
    """What it says on stderr, and nothing on stdout."""
    said = agent(node, *words)
    assert (said.returncode, said.stdout) == (code, ""), said
    assert said.stderr.startswith("error: cannot "), said
    return said.stderr


def says(node: Node, *words: str) -> str:
    """What it says on stdout, and nothing on stderr."""
    said = agent(node, *words)
    assert (said.returncode, said.stderr) == (Exit.OK, ""), said
    return said.stdout


def item(node: Node) -> dict[str, Any]:
    """The one item of `status -o json`."""
    told = json.loads(says(node, "status", "-o", "json"))
    assert (told["schema"], told["kind"]) == ("zosnet/v1", "status")
    (only,) = told["items"]
    assert isinstance(only, dict)
    return only


def reasons(node: Node) -> dict[str, str]:
    """The items of `why -o json`; the text says the same, unless it changed in between."""
    told, text = says(node, "why", "-o", "json"), says(node, "why")
    found = {reason["about"]: reason["said"] for reason in json.loads(told)["items"]}
    if not all(said in text for said in found.values()):
        assert told != says(node, "why", "-o", "json")
        return reasons(node)
    return found


def test_a_node_says_at_each_stage_what_it_has_and_what_it_waits_for(world: World) -> None:
    farm = build_farm(world, LONE)
    node = farm.nodes["n1"]

    # Before its first boot.
    off = "zosnet has not started since power-on"
    assert reasons(node) == {"uplink": off}
    assert (item(node)["running"], item(node)["seconds"]) == (False, {})
    assert off in says(node, "status")
    assert off in fails(node, Exit.NOT_CONVERGED, "wait", "--timeout", "0")
    assert "networkd is not running" in fails(node, Exit.UNREACHABLE, "leave", "home")
    assert "knows no 'n2'" in fails(node, Exit.NOT_FOUND, "why", "n2")
    controller = prepare(farm, Progress(io.StringIO()))  # with install and join on the node
    assert "used as soon as networkd runs" in says(node, "join", programs.JOIN_FILE)
    assert "start with the next boot" in says(node, "install", "--no-start")

    # Powered on, without a cable.
    node.pull_cable("eth0")
    node.start_programs()
    await_that("the first round", lambda: "no carrier" in says(node, "status"))
    assert re.fullmatch(r"none yet \(round \d+\): eth0: no carrier", reasons(node)["uplink"])
    assert "eth0: no carrier" in fails(node, Exit.NOT_CONVERGED, "wait", "--timeout", "0")
    assert "no carrier" in says(node, "why", "uplink")

    # An uplink, and no controller.
    controller.kill()
    controller.wait(5)
    node.plug_cable("eth0")
    assert re.fullmatch(r"uplink after \d+\.\d\d s\n", says(node, "wait", "uplink"))
    assert re.fullmatch(r"ndmz after \d+\.\d\d s\n", says(node, "wait", "ndmz"))
    await_that("a try", lambda: "cannot reach the controller" in reasons(node).get("farm", ""))
    late = fails(node, Exit.NOT_CONVERGED, "wait", "overlay", "--timeout", "0")
    assert "cannot wait longer for overlay: cannot reach the controller at tcp://" in late
    known, text = reasons(node)["farm"], says(node, "status")
    assert re.search(r"cannot reach the controller at tcp://\S+, for \d+ s \(is it running", known)
    assert re.search(r"farm: cannot reach the controller at tcp://\S+, for \d+ s", text)
    assert node.ok(*node.inside("ndmz", "ping", "-c", "1", "-W", "2", str(WEB4)))
    assert "is not in it" in fails(node, Exit.NOT_FOUND, "leave", "home")
    assert "public IPv4 198.51.100." in says(node, "why", "uplink")
    assert says(node, "why", "ndmz").startswith("ndmz")

    # With one: the first member of its network.
    programs.serve(farm.controller)
    assert re.fullmatch(r"overlay after \d+\.\d\d s\n", says(node, "wait", "overlay"))
    assert says(node, "wait", "first_ping") == (
        "first_ping: nobody was in the network before this node\n"
    )
    assert set(item(node)["seconds"]) == {"uplink", "ndmz", "admitted", "overlay"}
    await_that("IPv6 in ndmz", lambda: not reasons(node).keys() & {"ndmz", "farm", "network"})
    assert reasons(node) == {"node": "everything is as it should be"}
    assert "home" in says(node, "why", "home")
    assert "did you mean 'home'?" in fails(node, Exit.NOT_FOUND, "why", "hone")


@pytest.fixture(scope="module")
def pair(shared_world: World) -> Iterator[Living]:
    farm = build_farm(shared_world, PAIR)
    farm.nodes["n2"].write(AS_FOUND, json.dumps(snapshot(farm.nodes["n2"])))
    living = power_on(farm)
    yield living
    living.kill_controller()


def snapshot(node: Node) -> dict[str, object]:
    """What zosnet may change on a node, but for its own directories on the disk."""
    links = json.loads(node.output("ip", "-j", "-d", "address", "show"))
    return {
        "links": {link["ifname"]: ["UP" in link["flags"], link["address"]] for link in links},
        "addresses": {link["ifname"]: link["addr_info"] for link in links},
        "ipv6": node.script("cd /proc/sys/net/ipv6/conf; grep . */disable_ipv6 | sort"),
        "namespaces": node.output("ip", "netns"),
        "processes": [
            args
            for args in processes(node).values()
            if "zosnet-agent" in args or "wireguard" in args
        ],
        "files": node.script("find /run/zosnet /etc/netns /etc/zinit || true"),
        "name servers": node.path("/etc/resolv.conf").read_text(),
    }


def rest(node: Node, found: dict[str, object]) -> dict[str, object]:
    """What is there when the last process that was ended is buried, which is soon."""
    until = monotonic() + 10
    while (left := snapshot(node)) != found and monotonic() < until:
        sleep(0.1)
    return left


def members(pair: Living) -> dict[str, dict[str, Any]]:
    rows = programs.ncadm(pair.farm.controller, "member", "list", programs.NETWORK.name)
    return {row["name"]: row for row in rows}


def test_who_leaves_gives_its_addresses_back_and_may_join_again(pair: Living) -> None:
    n2 = pair.node("n2")
    before, place = members(pair), pair.views()["n2"].namespace
    assert says(n2, "leave", "home") == "left network home\n"
    assert "this node is not in it" in fails(n2, Exit.NOT_FOUND, "leave", "home")
    late = fails(n2, Exit.NOT_CONVERGED, "wait", "overlay", "--timeout", "0")
    assert "cannot wait longer for overlay: " in late
    await_that("the controller to hear it", lambda: not members(pair)["n2"]["joined"])
    away = members(pair)
    await_that("the namespace to go", lambda: place not in n2.output("ip", "netns"))
    await_that("n1 to be told", lambda: not pair.status("n1")["networks"][0]["peers"])
    await_that("n2 to know", lambda: "network" not in reasons(n2))

    assert len(before["n2"]["ip"]) == 2
    assert away["n2"]["ip"] == []
    assert away["n1"] == before["n1"] | {name: away["n1"][name] for name in OF_ITS_OWN}
    assert not [args for args in processes(n2).values() if "wireguard-go" in args]
    assert list(n2.path("/etc/netns").iterdir()) == []
    assert item(n2)["networkd"]["networks"] == []
    await_that(
        "n2 to be in no network",
        lambda: "is in no network" in agent(n2, "wait", "first_ping", "--timeout", "0").stderr,
    )

    programs.give_join_string(pair.farm.controller, n2, programs.NETWORK, transit=False)
    joining = says(n2, "join", programs.JOIN_FILE)
    waited = says(n2, "wait", "overlay")
    back = {address.partition("/")[0] for address in members(pair)["n2"]["ip"]}
    assert joining.startswith("joining farm ")
    assert waited.startswith("overlay after ")
    assert back == set(pair.views()["n2"].overlay)
    pair.await_answers(30)


def test_a_member_with_the_role_lets_another_in(pair: Living) -> None:
    n1, n2, controller = pair.node("n1"), pair.node("n2"), pair.farm.controller
    join, network = "/run/join-of-n1", programs.NETWORK.name
    create = ("token", "create", network, "--output-file", join)
    assert "has not the role mint" in fails(n1, Exit.DENIED, *create)
    assert not n1.path(join).exists()
    roles = ("--role", "transit", "--role", "mint")
    programs.ncadm(controller, "member", "set", network, "n1", *roles)
    programs.ncadm(controller, "member", "forget", network, "n2", "--yes")
    await_that("n2 to be out", lambda: "n2" not in members(pair))
    assert says(n1, *create) == ""
    n2.write(programs.JOIN_FILE, n1.path(join).read_text())
    says(n2, "join", programs.JOIN_FILE)
    await_that("n2 to be back", lambda: members(pair).get("n2", {}).get("joined"), within=60)
    tokens = programs.ncadm(controller, "token", "list", network)

    assert members(pair)["n2"]["authorized_by"] == f"token {tokens[-1]['token']}"
    assert tokens[-1]["created_by"] == f"node {members(pair)['n1']['address']}"
    pair.await_answers(30)


def test_a_peer_that_is_not_believed_is_named_with_the_reason(pair: Living) -> None:
    n2, refused = pair.node("n2"), "n1 is not believed: the signature is wrong"
    pair.kill_controller()
    n2.power_cut()
    forge(netmap_of(n2), "n1")
    n2.boot(programs=True)
    says(n2, "wait", "overlay")
    await_that("the reason", lambda: reasons(n2).get("network") == refused)
    status, why = says(n2, "status"), says(n2, "why", "n1")
    late = fails(n2, Exit.NOT_CONVERGED, "wait", "first_ping", "--timeout", "0")
    pair.serve()
    await_that("a true certificate", lambda: "network" not in reasons(n2), within=30)

    assert f"network: {refused}" in status
    assert why == "n1 in home  not believed: the signature is wrong\n"
    assert refused in late or "cannot reach the controller" in late
    pair.await_answers(30)


def test_a_reset_leaves_nothing_but_the_nodes_own_key_and_it_comes_up_again(pair: Living) -> None:
    n2 = pair.node("n2")
    before = members(pair)["n2"]
    found = json.loads(n2.path(AS_FOUND).read_text())
    taken = snapshot(n2)
    assert "nobody is here to ask" in fails(n2, Exit.USAGE, "reset")
    said = says(n2, "reset", "--yes")

    assert "NIC eth1 is home" in said
    assert rest(n2, found) == found
    differing = [key for key, found in found.items() if taken[key] != found]
    assert differing == list(taken)  # the control: each of them would show what is left
    assert reasons(n2) == {"uplink": "zosnet has not started since power-on"}
    assert says(n2, "reset", "--yes") == "nothing of zosnet was here\n"

    # By hand, without a supervisor: networkd is the operator's, so reset does not end it.
    booted = n2.run("zosnet-agent", "internet", "--supervisor", "none")
    networkd = n2.spawn("zosnet-agent", "networkd", log=n2.log("networkd"))
    says(n2, "wait", "first_ping")
    refused = fails(n2, Exit.CONFLICT, "reset", "--yes")
    pid = pair.status("n2")["pid"]
    networkd.terminate()
    networkd.wait(10)
    says(n2, "reset", "--yes")

    assert booted.returncode == 0
    assert f"kill {pid}\n" in refused
    assert rest(n2, found) == found
    assert "they run now" in says(n2, "install")
    says(n2, "wait", "first_ping")
    pair.await_answers(30)
    assert members(pair)["n2"]["ip"] == before["ip"]

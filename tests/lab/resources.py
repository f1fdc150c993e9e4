"""networkd on a node of a home LAN, and network resources on it: for the tests of those."""

import json
from collections.abc import Iterator
from typing import Any

from lab.host import Process, wait_until
from lab.internet import WEB4, WEB6
from lab.world import World
from tests.lab.home import Home, all_kinds, make_home

WEB = (str(WEB4), str(WEB6))
INTERNET = all_kinds(*WEB)
RANGES = ("--ipv4", "10.1.1.0/24", "--ipv6", "fd12:3456:789a::/64")
GATEWAYS = ("192.168.7.1", "2001:db8:b:1::1")
FIRST = ("10.1.1.2", "fd12:3456:789a::2")
REPAIR = 20  # seconds; each few of them it looks by itself, and a machine may be slow


def with_networkd() -> Iterator[Home]:
    with World() as world:
        home = make_home(world)
        start(home)
        yield home


def with_blue(home: Home) -> Iterator[Home]:
    """A resource `blue` with workload `web` in it."""
    nr(home, "create", "blue", *RANGES)
    home.node.script("ip netns add web")
    nr(home, "attach", "blue", "web")
    yield home
    home.node.script("ip netns delete web")
    for one in items(home):
        nr(home, "delete", one["name"])


def start(home: Home) -> Process:
    """networkd, when ndmz has both families and knows all prefixes."""
    home.node.path("/run/zosnet/ndmz.json").unlink(missing_ok=True)
    process = home.node.spawn("zosnet-agent", "networkd", log=home.node.log("networkd"))
    wait_until("ndmz", home.is_known)
    return process


def networkd(home: Home) -> int:
    """Its pid, as the node sees it."""
    return int(json.loads(home.node.path("/run/zosnet/networkd.json").read_text())["pid"])


def kill(home: Home) -> None:
    pid = networkd(home)
    home.node.script(f"kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.01; done")


def nr(home: Home, *words: str) -> str:
    return home.node.output("zosnet-agent", "nr", *words)


def refused(home: Home, *words: str) -> dict[str, Any]:
    """What a command that fails says."""
    done = home.node.run("zosnet-agent", "nr", *words, "-o", "json", check=False)
    error: dict[str, Any] = json.loads(done.stderr)
    assert done.returncode == error["code"]
    return error


def items(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(nr(home, "list", "-o", "json"))["items"]
    return found


def item(home: Home, name: str = "blue") -> dict[str, Any]:
    """Once it is told of: a networkd that has just started looks first."""
    wait_until(name, lambda: any(one["name"] == name for one in items(home)))
    return next(one for one in items(home) if one["name"] == name)


def links(home: Home, space: str) -> list[tuple[int, str]]:
    shown = home.node.output("ip", "-n", space, "-j", "link")
    return [(link["ifindex"], link["ifname"]) for link in json.loads(shown)]


def inside(home: Home, space: str, command: str) -> str:
    return home.node.output(*home.node.inside(space, "sh", "-c", command))


def whole(home: Home, workload: str = "web") -> bool:
    return home.node.ok("ip", "netns", "pids", workload) and (
        home.reach(workload, *WEB, wait=0.3) == INTERNET
    )

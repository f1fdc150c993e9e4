"""The programs of a farm, started as a person would start them: controller, ncadm, agent.

controller = start_controller(farm.controller)
create_network(farm.controller, NETWORK)
give_join_string(farm.controller, node, NETWORK, transit=True)
install_agent(node); node.start_programs()
"""

import json
from typing import Any

from msgspec import Struct

from lab.host import CommandError, Process, last_words, wait_until
from lab.internet import CONTROLLER4, CONTROLLER6
from lab.node import Node

PORT = 9930
CONFIG = f"""\
endpoints: ["tcp://{CONTROLLER4}:{PORT}", "tcp://[{CONTROLLER6}]:{PORT}"]
"""
SOCKET = "/run/zosnet/controller/admin.sock"
JOIN_FILE = "/etc/zosnet/join"


class Overlay(Struct, frozen=True):
    """The network that the farm's nodes join."""

    name: str = "home"
    ipv4: str = "10.90.0.0/16"
    ipv6: str = "fd90:5a4f:5e00::/64"


NETWORK = Overlay()


def start_controller(host: Node) -> Process:
    """Make its keys and database, serve, and wait until it can be asked."""
    host.write("/etc/zosnet/controller.yaml", CONFIG)
    host.run("zosnet-controller", "init")
    return serve(host)


def serve(host: Node) -> Process:
    process = host.spawn("zosnet-controller", "serve", log=host.log("controller"))

    def is_ready() -> bool:
        if process.poll() is not None:
            words = last_words(host.log("controller").read_text())
            raise CommandError(f"cannot serve on {host.name}: {words}")
        return host.path(SOCKET).exists()

    wait_until("the controller's admin socket", is_ready)
    return process


def ncadm(host: Node, *words: str) -> list[dict[str, Any]]:
    """The items that `ncadm WORDS -o json` prints."""
    items: list[dict[str, Any]] = json.loads(host.output("ncadm", *words, "-o", "json"))["items"]
    return items


def create_network(host: Node, network: Overlay) -> None:
    ncadm(host, "network", "create", network.name, "--ipv4", network.ipv4, "--ipv6", network.ipv6)


def give_join_string(host: Node, node: Node, network: Overlay, *, transit: bool) -> None:
    """A token of its own for each node, as a file that only root reads."""
    role = ["--role", "transit"] if transit else []
    token = ncadm(host, "token", "create", network.name, *role)[0]
    node.write(JOIN_FILE, f"{token['join']}\n", mode=0o600)


def install_agent(node: Node) -> None:
    """Units on its disk, and the join string taken: both for the next boot."""
    node.run("zosnet-agent", "install")
    node.run("zosnet-agent", "join", JOIN_FILE)

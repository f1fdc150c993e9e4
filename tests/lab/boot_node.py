"""A lab node that boots: its config, its `internet`, its status, and its kernel's state to compare."""

import json
from collections.abc import Iterable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from agent.boot import status
from agent.boot.status import BootStatus
from lab.host import ENVIRONMENT, Process
from lab.node import Node

CONFIG = """
nics: {kinds: [physical, veth]}
supervisor: none
log: {level: debug}
"""


def configure(node: Node, *lines: str) -> None:
    """A lab's NICs are veth ends, and without units `internet` starts the keeper itself."""
    node.write("/etc/zosnet/agent.yaml", CONFIG + "\n".join(lines) + "\n")


def internet(node: Node, *options: str, path: str = "") -> CompletedProcess[str]:
    """Run it to its end; `path` goes before the directories where programs are looked for."""
    environment = {"PATH": f"{path}:{ENVIRONMENT['PATH']}"} if path else None
    return node.run("zosnet-agent", "internet", *options, check=False, environment=environment)


def start_internet(node: Node) -> Process:
    return node.spawn("zosnet-agent", "internet", log=node.log("internet"))


def boot_status(node: Node) -> BootStatus | None:
    return status.load(node.path(str(status.PATH)))


def known_status(node: Node) -> BootStatus:
    found = boot_status(node)
    assert found is not None
    return found


def reasons(node: Node) -> dict[str, str]:
    return {nic.name: nic.reason for nic in known_status(node).nics}


def ip_json(node: Node, *words: str, space: str = "") -> list[dict[str, Any]]:
    where = ("-n", space) if space else ()
    found = json.loads(node.output("ip", "-j", *where, *words) or "[]")
    return [entry for entry in found if entry]


def links(node: Node, space: str = "") -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in ip_json(node, "-d", "link", space=space)}


def addresses(node: Node, link: str, *, family: int, space: str = "") -> list[str]:
    """Global addresses that are no longer tentative."""
    found = ip_json(node, f"-{family}", "addr", "show", "dev", link, "scope", "global", space=space)
    return [
        f"{address['local']}/{address['prefixlen']}"
        for entry in found
        for address in entry.get("addr_info", [])
        if address and not address.get("tentative")
    ]


def ports(node: Node) -> list[str]:
    """The ports of zos."""
    return sorted(name for name, link in links(node).items() if link.get("master") == "zos")


def spaces(node: Node) -> list[str]:
    """Namespaces that exist. `ip netns` also lists the plain file that is there before the mount."""
    return node.script("""
        for file in /run/netns/*; do
            if [ "$(stat -f -c %t "$file" 2>&1)" = 6e736673 ]; then basename "$file"; fi
        done
    """).split()


def nics(node: Node) -> list[str]:
    """Every NIC of the node, at home and in probe namespaces."""
    everywhere = [links(node), *(links(node, space) for space in spaces(node))]
    return sorted(name for found in everywhere for name, link in found.items() if _is_nic(link))


def _is_nic(link: dict[str, Any]) -> bool:
    kind = link.get("linkinfo", {}).get("info_kind")
    return kind == "veth" and not link.get("ifalias", "").startswith("zosnet:")


# -- the whole kernel state, without what differs from run to run

_SYSCTLS = ("accept_ra", "disable_ipv6", "router_solicitation_delay", "use_tempaddr")


def kernel_state(node: Node) -> dict[str, Any]:
    """Links, IPv4, routes and sysctls in every namespace; who owns them; which files mark them."""
    return {
        "spaces": {space or "host": _space_state(node, space) for space in ["", *spaces(node)]},
        "marks": sorted(path.name for path in node.path("/run/zosnet/namespaces").glob("*")),
        "keepers": node.output("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").count(
            "zosnet-agent dhcp zos"
        ),
    }


def _space_state(node: Node, space: str) -> dict[str, Any]:
    found = {name: link for name, link in links(node, space).items() if name != "lo"}
    return {
        "links": {name: _link_state(link) for name, link in found.items()},
        "ipv4": {name: addresses(node, name, family=4, space=space) for name in found},
        "routes": [
            {key: route.get(key) for key in ("dst", "gateway", "dev", "metric", "protocol")}
            for route in ip_json(node, "-4", "route", space=space)
        ],
        "sysctls": _sysctls(node, space, found),
    }


def _link_state(link: dict[str, Any]) -> dict[str, Any]:
    bridge = link.get("linkinfo", {}).get("info_data", {})
    return {
        "mac": link["address"],
        "up": "UP" in link["flags"],
        "master": link.get("master"),
        "alias": link.get("ifalias"),
        "mtu": link["mtu"],
        "kind": link.get("linkinfo", {}).get("info_kind"),
        "bridge": {key: bridge.get(key) for key in ("forward_delay", "stp_state")},
    }


def _sysctls(node: Node, space: str, names: Iterable[str]) -> list[str]:
    files = [f"/proc/sys/net/ipv6/conf/{name}/{key}" for name in names for key in _SYSCTLS]
    argv = ("grep", "-H", ".", *files)
    return (
        node.output(*(node.inside(space, *argv) if space else argv)).splitlines() if files else []
    )


def log_lines(path: Path, *needles: str) -> list[str]:
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines() if all(needle in line for needle in needles)]

"""What two network resources of a node may not reach, asked from both at once, in every layout.

    asked = matrices(side)            # a Matrix for each layout that has an ndmz
    asked["oob"].near                 # all of it should be silent

Near is each neighbour, the router on its LAN and on its cable, who is beyond it, the node, ndmz and the
other resource, link-local addresses and broadcast. The members of a group would answer from addresses
of their own: what is sent there is counted where it would leave the node, and so is the rest.
"""

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from lab import checks
from lab.host import Process
from lab.knock import Answer, Question, knock_all
from lab.node import Node
from tests.lab import frames
from tests.lab.beside import WEB, WITH_NDMZ, Side, beyond_the_gateway, zos_addresses
from tests.lab.test_isolation import seen, watch

RANGES = {
    "one": ("10.1.1.0/24", "fd12:3456:789a::/64"),
    "two": ("10.1.2.0/24", "fd12:3456:789b::/64"),
}
COUNTED = f"udp/{{}}/{frames.PORT}"
KNOCKS = (
    "icmp/{}",
    *(f"{kind}/{{}}/{port}" for kind in ("tcp", "udp") for port in (7, 53)),
    COUNTED,
)
WATCHED = {"family": "bridge", "hook": "postrouting"}
LOCAL = ("100.127.0.1", "169.254.1.1", "fe80::1%public")
GROUPS = ("224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1%public", "ff05::2")


@dataclass(slots=True)
class Matrix:
    near: dict[str, Answer] = field(default_factory=dict)  # by resource and target
    web: dict[str, Answer] = field(default_factory=dict)
    left: int = 0  # of the COUNTED datagrams of both resources, on the node's cable
    control: int = 0  # the same from the node itself, or from its ndmz


@dataclass(frozen=True, slots=True)
class Resource:
    namespace: str
    addresses: tuple[str, ...]  # as workloads' gateway, and as ndmz knows it


def matrices(side: Side) -> dict[str, Matrix]:
    """Of the first node of each layout."""
    making = {name: make_resources(side.node(side.first(name))) for name in WITH_NDMZ}
    there = {name: await_resources(side, name, process) for name, process in making.items()}
    found = {name: Matrix() for name in there}
    for name in found:
        layout = side.layout(name)
        cable = layout.carrier or layout.uplink
        watch(side.node(side.first(name)), **WATCHED, match=f'oifname "{cable}"')
    asked = [(found[name], q) for name, pair in there.items() for q in questions(side, name, pair)]
    web = {*checks.doors(WEB.values())}
    for (matrix, question), told in zip(
        asked, knock_all([q for _, q in asked], seconds=5), strict=True
    ):
        for target, answer in told.items():
            part = matrix.web if target in web else matrix.near
            part[f"{question.namespace} {target}"] = answer
    for name, matrix in found.items():
        matrix.left = counted(side, name)
    knock_all([control(side, name) for name in found], seconds=2)
    for name, matrix in found.items():
        matrix.control = counted(side, name)
        side.node(side.first(name)).run("nft", "delete", "table", "bridge", "watch")
    return found


def make_resources(node: Node) -> Process:
    made = [
        f"zosnet-agent nr create {name} --ipv4 {four} --ipv6 {six} >/dev/null"
        for name, (four, six) in RANGES.items()
    ]
    script = " && ".join([*made, "zosnet-agent nr list -o json"])
    log = node.log("matrix")
    log.unlink(missing_ok=True)
    return node.spawn("sh", "-c", script, log=log)


def await_resources(side: Side, name: str, making: Process) -> list[Resource]:
    said = side.node(side.first(name)).log("matrix")
    assert making.wait(120) == 0, said.read_text()
    listed = json.loads(said.read_text())["items"]
    ours = [item for item in listed if item["name"] in RANGES]
    assert all(item["state"] == "up" and item["outside"] for item in ours), ours
    return [Resource(i["namespace"], (*i["gateways"], *i["outside"])) for i in ours]


def near_addresses(side: Side, name: str, asking: Resource, resources: list[Resource]) -> list[str]:
    layout, view = side.layout(name), side.view(name)
    found = [address for site in layout.sites for address in beyond_the_gateway(layout, site)]
    found += [str(f.network.broadcast_address) for f in lans4(side, name)]
    found += [address.partition("/")[0] for address in zos_addresses(side, name)]
    found += [address.partition("/")[0] for address in view.ndmz.addresses]
    found += [a for other in resources if other != asking for a in other.addresses]
    return [*found, *LOCAL]


def lans4(side: Side, name: str) -> list[IPv4Interface]:
    return [site.lan.interface4 for site in side.layout(name).sites if site.lan.interface4]


def questions(side: Side, name: str, resources: list[Resource]) -> list[Question]:
    """From each of the two: all that is near, and the Internet."""
    node, asked = side.node(side.first(name)), []
    for resource in resources:
        near = near_addresses(side, name, resource, resources)
        targets = [knock.format(address) for address in near for knock in KNOCKS]
        targets += [COUNTED.format(group) for group in GROUPS]
        asked.append(Question(node, [*targets, *checks.doors(WEB.values())], resource.namespace))
    return asked


def control(side: Side, name: str) -> Question:
    """By the same cable, to those who are near: where ndmz has one of its own, from there."""
    layout = side.layout(name)
    near = beyond_the_gateway(layout, layout.site)
    space = "ndmz" if layout.carrier else ""
    return Question(side.node(side.first(name)), [COUNTED.format(a) for a in near], space)


def counted(side: Side, name: str) -> int:
    return seen(side.node(side.first(name)), "bridge")

"""The pretend Internet: a router between sites, a public resolver, and a server that says whom it saw.

Its addresses are documentation prefixes (RFC 5737, RFC 3849), so nothing here may classify
addresses by `ipaddress`'s is_private or is_global. WEB4 and WEB6 answer with the source they saw
(HTTP, and TCP and UDP on port 7), RESOLVER4 and RESOLVER6 know NAMES, and BEYOND is a private
address that every site reaches through its gateway, as if a provider's modem had it.
"""

from ipaddress import IPv4Address, IPv6Address

from lab import answer
from lab.host import PYTHON, Process, wait_until
from lab.node import Node
from lab.router import DNSMASQ, FORWARDING, LINK_LOCAL, RESOLVER4, ip_script
from lab.wiring import Nic
from lab.world import World

NAME = "inet"
BACKBONE = "backbone"  # the switch that hosts on the Internet side hang on
GATEWAY4, GATEWAY6 = IPv4Address("203.0.113.1"), IPv6Address("2001:db8:ffff::1")
RESOLVER6 = IPv6Address("2001:db8:ffff::53")
WEB4, WEB6 = IPv4Address("203.0.113.80"), IPv6Address("2001:db8:ffff::80")
CONTROLLER4, CONTROLLER6 = IPv4Address("203.0.113.10"), IPv6Address("2001:db8:ffff::10")
BEYOND = IPv4Address("10.9.9.9")
# Real public resolvers that programs fall back to; in here they are ours.
FALLBACKS4 = (IPv4Address("9.9.9.9"), IPv4Address("1.1.1.1"))
FALLBACKS6 = (IPv6Address("2620:fe::fe"), IPv6Address("2606:4700:4700::1111"))
NAMES = {
    "web.example": (WEB4, WEB6),
    "controller.example": (CONTROLLER4, CONTROLLER6),
}


def internet(world: World) -> Node:
    """Make it, ready to answer; sites are connected by `router.router`."""
    node = world.node(NAME, disk=False)
    world.plug(internet_nic())
    node.script(internet_script())
    serve_internet(node)
    await_internet(node)
    return node


def host_on_the_internet(
    world: World, name: str, address4: IPv4Address, address6: IPv6Address
) -> Node:
    """A machine with fixed public addresses, such as a controller's."""
    node = world.node(name)
    world.plug(Nic(name, "eth0", BACKBONE))
    node.script(host_script(address4, address6))
    return node


def internet_nic() -> Nic:
    return Nic(NAME, "net0", BACKBONE)


def internet_script() -> str:
    lines = [
        "link set net0 addrgenmode none up",
        *(f"addr add {a}/24 dev net0" for a in (GATEWAY4, RESOLVER4, WEB4)),
        *(f"addr add {a}/64 dev net0 nodad" for a in (LINK_LOCAL, GATEWAY6, RESOLVER6, WEB6)),
        *(f"addr add {a}/32 dev lo" for a in (BEYOND, *FALLBACKS4)),
        *(f"addr add {a}/128 dev lo" for a in FALLBACKS6),
    ]
    return FORWARDING + ip_script(lines)


def host_script(address4: IPv4Address, address6: IPv6Address) -> str:
    lines = [
        "link set eth0 addrgenmode none up",
        "addr add fe80::2/64 dev eth0 nodad",
        f"addr add {address4}/24 dev eth0",
        f"addr add {address6}/64 dev eth0 nodad",
        f"route add default via {GATEWAY4}",
        f"route add default via {GATEWAY6}",
    ]
    return ip_script(lines) + f"echo nameserver {RESOLVER4} >/etc/resolv.conf\n"


def serve_internet(node: Node) -> None:
    addresses = [f"--address=/{name}/{a}" for name, both in NAMES.items() for a in both]
    resolvers = (RESOLVER4, RESOLVER6, *FALLBACKS4, *FALLBACKS6)
    listen = [f"--listen-address={address}" for address in resolvers]
    node.spawn("dnsmasq", *DNSMASQ, *listen, *addresses, log=node.log("dnsmasq"))
    start_answering(node)


def await_internet(node: Node) -> None:
    log = node.log("dnsmasq")
    wait_until("the resolver", lambda: "started, version" in log.read_text())
    await_answering(node)


def start_answering(node: Node) -> Process:
    """Run the who-am-I server (`answer`) on any node."""
    return node.spawn(PYTHON, "-I", "-S", answer.__file__, log=node.log("answer"))


def await_answering(node: Node) -> None:
    log = node.log("answer")
    wait_until(f"the server on {node.name}", lambda: "ready" in log.read_text())

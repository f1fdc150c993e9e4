"""Every rule of the host's table is needed: without it something passes, or something does not that
should.

As in test_guard_rules: each case looks twice, and where another layer would stop the packet as
well, that layer is open for both looks. ndmz's own guard is whole unless the case says otherwise.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_address
from typing import Any

import pytest
from msgspec.structs import replace

from agent.ndmz.guard import render as render_guard
from agent.ndmz.host_guard import HostGuard, render, rules
from agent.ndmz.pair import Pair
from lab.internet import WEB4
from lab.node import Node
from lab.world import World
from tests.lab import frames
from tests.lab.flows import send_from
from tests.lab.home import (
    NEIGHBOUR,
    NODE,
    PROGRAMS,
    PUBLIC_GATEWAY,
    SYSTEM_PYTHON,
    Home,
    make_home,
    probe_command,
)
from tests.lab.test_guard_rules import high_port, looked_at, reaches
from tests.lab.test_isolation import seen, watch

pytestmark = pytest.mark.lab

Look = Callable[[Home], bool]
PAIR = Pair(IPv4Network("192.0.0.6/31"))
HOST_ONLY = "203.0.113.200"  # an address of the node that no prefix of its LAN holds
SEND = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"))


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        home = make_home(world, leases=0)
        home.node.write("/etc/zosnet/agent.yaml", "ndmz: {ipv4: shared}")
        running = home.start_ndmz("n-one", "n-two")
        running.kill()
        running.wait(5)
        home.node.script(f"""
            ip addr add {HOST_ONLY}/32 dev lo
            for s in all zos ndzs4; do sysctl -qw net.ipv4.conf.$s.rp_filter=0; done
        """)
        yield home


def mac_of(node: Node, link: str) -> str:
    return node.output("cat", f"/sys/class/net/{link}/address").strip()


def by_neighbour(home: Home, source: str, target: str) -> None:
    frame = frames.udp4(mac_of(home.node, "zos"), mac_of(home.neighbour, "eth0"), source, target)
    home.neighbour.run(*SEND, "eth0", frame.hex())


def after(home: Home) -> None:
    """What was sent before this has arrived."""
    home.neighbour.ok("ping", "-c1", "-W1", NODE[0])
    home.reach("n-one", str(WEB4))


def comes_in(home: Home) -> bool:
    """Whether the neighbour's datagram for ndmz gets there."""
    home.in_ndmz("nft", "add", "table", "ip", "watch")
    home.load("""
        delete table ip watch
        table ip watch {
            chain seen {
                type filter hook prerouting priority -400; policy accept;
                udp dport 4242 counter
            }
        }
    """)
    by_neighbour(home, NEIGHBOUR["private"], str(PAIR.ndmz.ip))
    after(home)
    return "packets 0 " not in home.in_ndmz("nft", "list", "table", "ip", "watch")


def forged_leaves(source: str) -> Look:
    """Whether the neighbour's datagram with another's source gets to the Internet by the node."""

    def look(home: Home) -> bool:
        watch(home.inet)
        by_neighbour(home, source, str(WEB4))
        after(home)
        return seen(home.inet) > 0

    return look


def from_ndmz(home: Home, frame: Callable[[str, str], bytes]) -> None:
    far, near = mac_of(home.node, "ndzs4"), home.in_ndmz("cat", "/sys/class/net/nshared4/address")
    send_from(home, "ndmz", "nshared4", frame(far, near.strip()))


def other_source(home: Home) -> bool:
    """Whether ndmz can send as somebody else."""
    watch(home.router, match="ip saddr 203.0.113.99")
    from_ndmz(home, lambda far, near: frames.udp4(far, near, "203.0.113.99", str(WEB4)))
    after(home)
    return seen(home.router) > 0


def bare(home: Home) -> bool:
    """Whether a packet that conntrack cannot place is seen on the LAN with the pair's address."""
    text = f"""
        table ip watch {{}}
        delete table ip watch
        table ip watch {{
            chain seen {{
                type filter hook prerouting priority -400; policy accept;
                ip saddr {PAIR.ndmz.ip} counter
            }}
        }}
    """
    home.router.run("nft", "-f", "-", input=text)
    from_ndmz(home, lambda far, near: frames.tcp4(far, near, str(PAIR.ndmz.ip), str(WEB4), flags=3))
    after(home)
    return seen(home.router, "ip") > 0


def routes_for_the_lan(home: Home) -> bool:
    """Whether the neighbour has the Internet by the node."""
    home.neighbour.script(f"ip route replace {WEB4} via {NODE[0]}")
    found = json.loads(home.neighbour.output(*probe_command(str(WEB4))))
    home.neighbour.script(f"ip route delete {WEB4}")
    return bool(found)


def small_segments(home: Home) -> bool:
    """Whether the Internet is told of zos' small MTU when a connection begins."""
    home.node.script("ip link set zos mtu 1300")
    text = """
        table ip watch {}
        delete table ip watch
        table ip watch {
            chain seen {
                type filter hook prerouting priority -400; policy accept;
                tcp dport 7 tcp flags syn tcp option maxseg size <= 1260 counter
            }
        }
    """
    home.inet.run("nft", "-f", "-", input=text)
    home.reach("n-one", str(WEB4))
    home.node.script("ip link set zos mtu 1500")
    return seen(home.inet, "ip") > 0


@dataclass(frozen=True)
class Case:
    """`look` is True only without the rule when it `stops` something, else only with it."""

    look: Look
    stops: bool
    also_without: frozenset[str] = frozenset()  # other rules, of ndmz too, for both looks
    guard: dict[str, Any] = field(default_factory=dict)  # ndmz's
    host: dict[str, Any] = field(default_factory=dict)
    before: str = ""  # a script on the node


def opens(look: Look, **more: Any) -> Case:
    return Case(look, stops=False, **more)


def stops(look: Look, *also_without: str, **more: Any) -> Case:
    return Case(look, stops=True, also_without=frozenset(also_without), **more)


ONE = frozenset({IPv4Network("192.168.7.50/32")})
GATEWAYS = frozenset({ip_address("192.168.7.1"), PAIR.host.ip})
BY_NAME = {"dns_gateway": True}
# ndmz knows nothing of the second LAN, by whose gateway the host leaves
BLIND = {"gateways": frozenset({PAIR.host.ip}), "own": frozenset()}
VIA_PUBLIC = f"ip route replace default via {PUBLIC_GATEWAY} dev zos metric 5"
PUBLIC = {"gateways": frozenset({ip_address(PUBLIC_GATEWAY)})}
CASES = {
    "pair-to": stops(comes_in, "host-inward", "fence"),
    "pair-as": stops(forged_leaves(str(PAIR.ndmz.ip)), "fence"),
    "pair-source": stops(other_source),
    "host": stops(reaches(f"tcp {HOST_ONLY}")),
    "host-answers": opens(reaches(f"tcp {WEB4}", f"icmp {WEB4}")),
    "host-inward": stops(comes_in, "pair-to", "fence"),
    "host-outward": stops(reaches(f"tcp {NEIGHBOUR['public']}"), guard=BLIND),
    "fence": stops(routes_for_the_lan),
    "host-invalid": stops(bare),
    "host-dns": opens(reaches("tcp 192.168.7.1", port=53), guard=BY_NAME, host=BY_NAME),
    "host-gateway": stops(
        reaches(f"tcp {PUBLIC_GATEWAY}"), guard=BLIND, host=PUBLIC, before=VIA_PUBLIC
    ),
    "host-clamp": opens(small_segments),
    "host-allowed": opens(
        reaches("tcp 192.168.7.50"), guard={"allowed": ONE}, host={"allowed": ONE}
    ),
    "host-internet": opens(reaches(f"tcp {WEB4}")),
    "host-rest": stops(reaches(f"tcp {NEIGHBOUR['public']}"), guard=BLIND),
    "host-nat-ports": stops(high_port(4), "nat44-ports"),
    "host-nat": opens(reaches(f"icmp {WEB4}")),
}


def make_host_guard(home: Home) -> HostGuard:
    gateway = frozenset({ip_address("192.168.7.1")})
    return HostGuard(PAIR, mac=mac_of(home.node, "zos"), gateways=gateway)  # type: ignore[arg-type]


def test_there_is_a_case_for_every_rule_and_the_host_holds_what_they_begin_from(
    home: Home,
) -> None:
    guard = replace(make_host_guard(home), dns_gateway=True, allowed=ONE)
    listed = ("nft", "list", "table", "ip", "zosnet_shared")
    loaded = home.node.output(*listed)
    home.node.run("nft", "-f", "-", input=render(make_host_guard(home)))

    assert {rule.name for rule in rules(guard)} == set(CASES)
    assert home.status().pair == str(PAIR.network)
    assert home.node.output(*listed) == loaded


@pytest.mark.parametrize("name", CASES)
def test_without_this_rule_the_host_is_another(home: Home, name: str) -> None:
    case = CASES[name]
    host = replace(make_host_guard(home), **case.host)
    home.node.script(case.before)
    home.load(render_guard(home.make_guard(**case.guard), without=case.also_without))
    found = []
    for without, passes in (
        (case.also_without, not case.stops),
        (case.also_without | {name}, case.stops),
    ):
        home.node.run("nft", "-f", "-", input=render(host, without=without))
        found.append(looked_at(case.look, home, passes=passes))
    home.node.script("ip route flush metric 5")

    assert tuple(found) == ((False, True) if case.stops else (True, False))

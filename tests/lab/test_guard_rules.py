"""Every rule of the guard is needed: without it something passes, or something that should does not.

Each case looks twice, at the whole guard and at the guard without one rule. Where another layer
would stop the packet as well, that layer is opened for both looks: the port check for the sources
that `outward` checks, `through` for what `early` drops, and rp_filter for both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from agent.ndmz.guard import Guard, render, rules
from lab.host import wait_until
from lab.internet import BEYOND, WEB4, WEB6
from lab.world import World
from runtime.failure import CannotError
from tests.lab import frames
from tests.lab.flows import FRESH, RECOUNT, keep_flows, open_flows, send_flow, send_from, tracked
from tests.lab.home import (
    HOME,
    NEIGHBOUR,
    OFF_LINK,
    PROGRAMS,
    PUBLIC_GATEWAY,
    PUBLIC_LAN,
    SYSTEM_PYTHON,
    Home,
    make_home,
)
from tests.lab.test_isolation import frame_ends, seen, watch

pytestmark = pytest.mark.lab

ULA_BEYOND, SIX_TO_FOUR = "fd99::1", "2002:c0a8:101::1"
SITE4, SITE6 = HOME.ends4[1].ip, HOME.ends6[1].ip
GATEWAY6 = "2001:db8:b:1::1"
OPEN_PORTS = "flush chain bridge zosnet_ndmz port_check\nadd chain bridge zosnet_ndmz port_check { policy accept ; }\n"
OPEN_THROUGH = (
    "flush chain inet zosnet_ndmz through\nadd chain inet zosnet_ndmz through { policy accept ; }\n"
)
JUDGED = f"add rule inet zosnet_ndmz shares udp dport {frames.PORT} counter\n"
FEW = 500  # flows
FORGET = """
    ip -n ndmz neigh flush dev tonrs
    ip -n n-one neigh flush all
    ip -n ndmz route flush cache
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        home = make_home(world)
        running = home.start_ndmz("n-one", "n-two")
        running.kill()
        running.wait(5)
        keep_flows(home)
        home.inet.script(
            f"ip addr add {ULA_BEYOND}/128 dev lo; ip addr add {SIX_TO_FOUR}/128 dev lo"
        )
        home.node.script(
            "for s in all npub4 tonrs; do"
            " ip netns exec ndmz sysctl -qw net.ipv4.conf.$s.rp_filter=0; done"
        )
        # so that IPv6 works also while the route that RAs give is away
        home.in_ndmz(
            "ip", "route", "add", "default", "via", "fe80::1", "dev", "npub6", "metric", "2000"
        )
        yield home


Look = Callable[[Home], bool]


def reaches(*targets: str, port: int = 7) -> Look:
    """Whether n-one's probes of these ("tcp 192.0.2.1") are all answered."""

    def look(home: Home) -> bool:
        home.node.script(FORGET)
        addresses = [target.split()[1] for target in targets]
        return set(targets) <= home.reach("n-one", *addresses, wait=0.4, port=port)

    return look


def ndmz_reaches(address: str) -> Look:
    def look(home: Home) -> bool:
        return home.node.ok(*home.node.inside("ndmz", "ping", "-c1", "-W1", address))

    return look


def arrives(send: Callable[[Home], None]) -> Look:
    """Whether the datagram that `send` sends to the Internet gets there."""

    def look(home: Home) -> bool:
        watch(home.inet)
        send(home)
        home.node.ok(*home.node.inside("ndmz", "ping", "-c1", "-W1", str(WEB4)))
        return seen(home.inet) > 0

    return look


def forged4(home: Home) -> None:
    gateway, mac, _ = frame_ends(home)
    send_from(home, "n-one", "public", frames.udp4(gateway, mac, "203.0.113.99", str(WEB4)))


def forged6(home: Home) -> None:
    gateway, mac, _ = frame_ends(home)
    send_from(home, "n-one", "public", frames.udp6(gateway, mac, "2001:db8:ffff::99", str(WEB6)))


def from_neighbour(
    home: Home, uplink: str, make: Callable[..., bytes], ends: tuple[str, str]
) -> None:
    mac = home.in_ndmz("cat", f"/sys/class/net/{uplink}/address").strip()
    own = home.neighbour.output("cat", "/sys/class/net/eth0/address").strip()
    frame = make(mac, own, *ends)
    home.neighbour.run(
        SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"), "eth0", frame.hex()
    )


def as_inside4(home: Home) -> None:
    inside = home.addresses_of("n-two")[0]
    from_neighbour(home, "npub4", frames.udp4, (inside, str(WEB4)))


def as_inside6(home: Home) -> None:
    inside = home.addresses_of("n-two")[1]
    from_neighbour(home, "npub6", frames.udp6, (inside, str(WEB6)))


def comes_in(version: int) -> Look:
    """Whether the neighbour's datagram for n-one, sent to ndmz's MAC, gets there."""

    def look(home: Home) -> bool:
        inside = home.addresses_of("n-one")[0 if version == 4 else 1]
        uplink, make = ("npub4", frames.udp4) if version == 4 else ("npub6", frames.udp6)
        source = NEIGHBOUR["private" if version == 4 else "ipv6"]
        counter = "/sys/class/net/public/statistics/rx_bytes"
        home.reach("n-one", str(WEB4), str(WEB6))  # neighbours are known: nothing else arrives
        before = home.node.output(*home.node.inside("n-one", "cat", counter))
        from_neighbour(home, uplink, make, (source, inside))
        return home.node.output(*home.node.inside("n-one", "cat", counter)) != before

    return look


def high_port(version: int) -> Look:
    """Whether a source port above 49151 is seen on the Internet."""

    def look(home: Home) -> bool:
        watch(home.inet, match="udp sport > 49151")
        gateway, mac, _ = frame_ends(home)
        own = home.addresses_of("n-one")[0 if version == 4 else 1]
        make, web = (frames.udp4, WEB4) if version == 4 else (frames.udp6, WEB6)
        first = next(FRESH)
        sent = [make(gateway, mac, own, str(web), sport=first + port) for port in range(8)]
        send_from(home, "n-one", "public", *sent)
        home.reach("n-one", str(WEB4), str(WEB6))
        return seen(home.inet) > 0

    return look


def small_segments(home: Home) -> bool:
    """Whether the Internet is told of npub4's small MTU when a connection begins."""
    home.in_ndmz("ip", "link", "set", "npub4", "mtu", "1300")
    home.inet.run(
        "nft",
        "-f",
        "-",
        input="""
            table ip watch {}
            delete table ip watch
            table ip watch {
                chain seen {
                    type filter hook prerouting priority -400; policy accept;
                    tcp dport 7 tcp flags syn tcp option maxseg size <= 1260 counter
                }
            }
        """,
    )
    home.reach("n-one", str(WEB4))
    home.in_ndmz("ip", "link", "set", "npub4", "mtu", "1500")
    return seen(home.inet, "ip") > 0


def advertised(home: Home) -> bool:
    """Whether a solicited router advertisement brings the default route back."""
    link = home.in_ndmz("ip", "-6", "addr", "show", "dev", "npub6", "scope", "link")
    local = link.split("inet6 ")[1].split("/")[0]
    mac = home.in_ndmz("cat", "/sys/class/net/npub6/address").strip()
    home.in_ndmz("ip", "-6", "route", "flush", "default", "proto", "ra")
    send_from(home, "ndmz", "npub6", frames.router_solicit(mac, local))
    show = ("ip", "-6", "route", "show", "default", "proto", "ra")
    return happens(lambda: home.in_ndmz(*show) != "", within=1)


def listeners_report(home: Home) -> bool:
    """Whether npub6 answers a multicast listener query of its LAN."""
    mac = home.in_ndmz("cat", "/sys/class/net/npub6/address").strip()
    home.neighbour.run(
        "nft",
        "-f",
        "-",
        input=f"""
            table netdev watch {{}}
            delete table netdev watch
            table netdev watch {{
                chain seen {{
                    type filter hook ingress device eth0 priority 0; policy accept;
                    ether saddr {mac} icmpv6 type mld2-listener-report counter
                }}
            }}
        """,
    )
    own = home.neighbour.output("cat", "/sys/class/net/eth0/address").strip()
    shown = home.neighbour.output("ip", "-6", "addr", "show", "dev", "eth0", "scope", "link")
    local = shown.split("inet6 ")[1].split("/")[0]
    query = frames.listener_query(own, local)
    program = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"))
    home.neighbour.run(*program, "eth0", query.hex())
    return happens(lambda: seen(home.neighbour, "netdev") > 0, within=0.5)


def happens(holds: Callable[[], bool], *, within: float) -> bool:
    try:
        wait_until("it", holds, timeout=within)
    except CannotError:
        return False
    return True


def looked_at(look: Look, home: Home, *, passes: bool) -> bool:
    """What should pass may come late on a busy machine: then it is looked again."""
    return any(look(home) for _ in range(5 if passes else 1))


def duplicate_is_told(home: Home) -> bool:
    """Whether a workload that takes tonrs' address is told so."""
    gateway = str(home.make_guard().inside6[1])
    in_one = home.node.inside("n-one", "ip", "addr")
    setting = "net.ipv6.conf.public.dad_transmits=1"
    home.node.run(*home.node.inside("n-one", "sysctl", "-qw", setting))
    home.node.run(*in_one, "add", f"{gateway}/128", "dev", "public")

    def shown() -> str:
        return next(line for line in home.node.output(*in_one).splitlines() if gateway in line)

    told = happens(lambda: "dadfailed" in shown() or "tentative" not in shown(), within=3)
    failed = "dadfailed" in shown()
    home.node.run(*in_one, "del", f"{gateway}/128", "dev", "public")
    return told and failed


def hoards(version: int) -> Look:
    """Whether n-one can have more than its share of the kernel's table of flows."""

    def look(home: Home) -> bool:
        before = tracked(home)
        open_flows(home, WEB4 if version == 4 else WEB6, 3 * FEW)
        return tracked(home) - before > 2 * FEW

    return look


def judged_each_time(version: int) -> Look:
    """Whether all rules see each packet of a flow that was let through."""

    def look(home: Home) -> bool:
        send_flow(home, version, next(FRESH), 8)
        listed = home.in_ndmz("nft", "list", "chain", "inet", "zosnet_ndmz", "shares")
        return int(listed.split("counter packets ")[1].split()[0]) > 4

    return look


def place_is_taken(home: Home) -> bool:
    """Whether n-one's advertisement of n-two's address is believed."""
    gateway, mac, local = frame_ends(home)
    other = home.addresses_of("n-two")[1]
    home.reach("n-two", str(WEB6))
    send_from(home, "n-one", "public", frames.advert_claim(gateway, mac, local, other, "fe80::1"))
    home.reach("n-one", str(WEB6))
    return f"{other} lladdr {mac}" in home.in_ndmz("ip", "neigh", "show", "dev", "tonrs")


@dataclass(frozen=True)
class Case:
    """`look` is True only without the rule when it `stops` something, else only with it."""

    look: Look
    stops: bool
    guard: dict[str, Any] = field(default_factory=dict)
    also: str = ""  # nftables text, for both looks
    before: str = ""  # a script on the node


def opens(look: Look, **more: Any) -> Case:
    return Case(look, stops=False, **more)


def stops(look: Look, **more: Any) -> Case:
    return Case(look, stops=True, **more)


ONE = frozenset({ip_network("192.168.7.50/32"), ip_network("2001:db8:b:1::50/128")})
BY_NAME = {
    "gateways": frozenset({ip_address("192.168.7.1"), ip_address(GATEWAY6)}),
    "dns_gateway": True,
}
PUBLIC = {
    "gateways": frozenset({ip_address(PUBLIC_GATEWAY), ip_address(GATEWAY6)}),
    "own": frozenset({ip_network("192.168.7.0/24")}),
}
VIA_PUBLIC = f"ip -n ndmz route replace default via {PUBLIC_GATEWAY} dev npub4 onlink metric 5"
CASES = {
    "inside": opens(reaches(f"tcp {WEB4}")),
    "loopback": opens(ndmz_reaches("100.127.0.1")),
    "outside-as-inside4": stops(arrives(as_inside4), also=OPEN_THROUGH),
    "outside-as-inside6": stops(arrives(as_inside6), also=OPEN_THROUGH),
    "outside-to-inside4": stops(comes_in(4), also=OPEN_THROUGH),
    "outside-to-inside6": stops(comes_in(6), also=OPEN_THROUGH),
    "ndmz-loopback": opens(ndmz_reaches("127.0.0.1")),
    "ndmz-answers": opens(ndmz_reaches(str(WEB4))),
    "ndmz-neighbours": opens(reaches(f"tcp {WEB6}")),
    "ndmz-adverts": opens(advertised),
    "ndmz-listener-query": opens(listeners_report),
    "answers": opens(reaches(f"tcp {WEB4}", f"icmp {WEB6}")),
    "workloads": opens(reaches(f"tcp {WEB4}", f"icmp {WEB6}")),
    "known4": stops(judged_each_time(4), also=JUDGED),
    "known6": stops(judged_each_time(6), also=JUDGED),
    "source4": stops(arrives(forged4), also=OPEN_PORTS),
    "source6": stops(arrives(forged6), also=OPEN_PORTS),
    "shares": stops(hoards(4), guard={"flows_max": FEW}),
    "share4": stops(hoards(4), guard={"flows_max": FEW}),
    "share6": stops(hoards(6), guard={"flows_max": FEW}),
    "dns-gateway4": opens(reaches("tcp 192.168.7.1", port=53), guard=BY_NAME),
    "dns-gateway6": opens(reaches(f"tcp {GATEWAY6}", port=53), guard=BY_NAME),
    "gateway4": stops(reaches(f"tcp {PUBLIC_GATEWAY}"), guard=PUBLIC, before=VIA_PUBLIC),
    "gateway6": stops(reaches(f"tcp {GATEWAY6}"), guard=PUBLIC),
    "clamp": opens(small_segments),
    "allowed4": opens(reaches("tcp 192.168.7.50"), guard={"allowed": ONE}),
    "allowed6": opens(reaches("tcp 2001:db8:b:1::50"), guard={"allowed": ONE}),
    "closed4": stops(reaches(f"tcp {BEYOND}")),
    "open6": stops(reaches(f"tcp {ULA_BEYOND}")),
    "closed6": stops(reaches(f"tcp {SIX_TO_FOUR}")),
    "own4": stops(reaches(f"tcp {NEIGHBOUR['public']}")),
    "own6": stops(reaches(f"tcp {NEIGHBOUR['off-link']}")),
    "site4": stops(reaches(f"tcp {SITE4}"), guard={"site": frozenset({SITE4})}),
    "site6": stops(reaches(f"tcp {SITE6}"), guard={"site": frozenset({SITE6})}),
    "internet4": opens(reaches(f"tcp {WEB4}")),
    "internet6": opens(reaches(f"tcp {WEB6}")),
    "nat44-ports": stops(high_port(4)),
    "nat44": opens(reaches(f"icmp {WEB4}")),
    "nat66-ports": stops(high_port(6)),
    "nat66": opens(reaches(f"icmp {WEB6}")),
    "port-inside": opens(reaches(f"tcp {WEB4}")),
    "port-arp": opens(reaches(f"tcp {WEB4}")),
    "port-ip4": opens(reaches(f"tcp {WEB4}")),
    "port-dad": opens(duplicate_is_told),
    "port-claims": stops(place_is_taken),
    "port-ip6": opens(reaches(f"tcp {WEB6}")),
}


def test_there_is_a_case_for_every_rule(home: Home) -> None:
    guard = home.make_guard(dns_gateway=True, allowed=ONE)

    assert {rule.name for rule in rules(guard)} == set(CASES)
    assert ip_network(PUBLIC_LAN) in guard.own
    assert ip_network(f"{OFF_LINK}/64") in guard.own


@pytest.mark.parametrize("name", CASES)
def test_without_this_rule_the_guard_is_another(home: Home, name: str) -> None:
    case = CASES[name]
    guard: Guard = home.make_guard(**case.guard)
    home.node.script(case.before)
    home.load(RECOUNT, render(guard), case.also)
    whole = looked_at(case.look, home, passes=not case.stops)
    home.load(RECOUNT, render(guard, without={name}), case.also)
    without = looked_at(case.look, home, passes=case.stops)
    home.node.script("ip -n ndmz route flush metric 5")

    assert (whole, without) == ((False, True) if case.stops else (True, False))

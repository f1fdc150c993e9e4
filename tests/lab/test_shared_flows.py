"""What workloads open through the host's NAT never takes the port of the host's WireGuard."""

import json
from collections.abc import Iterator
from time import monotonic, sleep

import pytest

from agent.ndmz.guard import render as render_guard
from agent.ndmz.host_guard import render
from lab.host import Process
from lab.internet import WEB4
from lab.node import Node
from lab.world import World
from tests.lab.home import PROGRAMS, SYSTEM_PYTHON, Home, make_home
from tests.lab.test_shared_rules import make_host_guard

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

PORT = 51820
WORKLOADS = [f"n-{number}" for number in range(16)]
FLOWS = 64_000
EACH = FLOWS // len(WORKLOADS) // 2  # of both kinds
NODE, PEER = "10.99.0.1", "10.99.0.2"
DEVICE = """
    mkdir -p /run/wireguard /var/run/wireguard
    WG_PROCESS_FOREGROUND=1 setsid wireguard-go {name} >/dev/null 2>&1 &
    until wg show {name} >/dev/null 2>&1; do sleep 0.02; done
    wg genkey >/run/{name}.key
    wg set {name} listen-port {port} private-key /run/{name}.key
    ip addr add {address}/24 dev {name}
    ip link set {name} up
"""
SPEAK = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("", {own}))
    sock.sendto(b"y", ("{address}", {port}))
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        home = make_home(world, leases=0)
        home.node.write("/etc/zosnet/agent.yaml", "ndmz: {ipv4: shared}")
        home.start_ndmz(*WORKLOADS)
        for name in (home.node.inside("ndmz"), ()):  # else the first are gone before the last come
            setting = "net.netfilter.nf_conntrack_udp_timeout=300"
            home.node.run(*name, "sysctl", "-qw", setting)
        key = add_device(home.node, "wg-flow-n", NODE)
        peer_key = add_device(home.inet, "wg-flow-i", PEER)
        home.node.script(f"wg set wg-flow-n peer {peer_key} allowed-ips {PEER}/32")
        home.inet.script(f"wg set wg-flow-i peer {key} allowed-ips {NODE}/32")
        home.node.write("/run/peer", peer_key)
        yield home
        for node in (home.node, home.inet):
            node.script("pkill wireguard-go")


def add_device(node: Node, name: str, address: str) -> str:
    node.script(DEVICE.format(name=name, port=PORT, address=address))
    return node.output("wg", "show", name, "public-key").strip()


def shake_hands(home: Home, port: int = PORT) -> bool:
    """A handshake from the beginning, and a packet there and back.

    A peer lets 50 ms pass between two beginnings, or it drops the later one.
    """
    sleep(0.1)
    key = home.node.path("/run/peer").read_text()
    peer = f"wg set wg-flow-n peer {key}"
    home.node.script(f"""
        {peer} remove
        {peer} allowed-ips {PEER}/32 endpoint {WEB4}:{port}
    """)
    return home.node.ok("ping", "-c1", "-W2", PEER)


def tracked(home: Home) -> int:
    return int(home.node.output("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))


def start_flows(home: Home, workload: str) -> Process:
    program = (SYSTEM_PYTHON, "-I", "-S", PROGRAMS / "many_flows.py", WEB4, PORT, EACH)
    log = home.world.log_path(f"flows-{workload}")
    return home.node.spawn(*home.node.inside(workload, *map(str, program)), log=log)


# On the site's router: handshakes by the port that they come from, and flows that come from a port
# that no masquerade of ours may use.
WATCH = """
table ip watch {{}}
delete table ip watch
table ip watch {{
    counter stayed {{}}
    counter moved {{}}
    counter high {{}}
    chain seen {{
        type filter hook prerouting priority -400; policy accept;
        iifname != "lan0" accept
        udp dport {port} udp length > 100 udp sport {own} counter name stayed accept
        udp dport {port} udp length > 100 counter name moved accept
        udp sport > 49151 counter name high
    }}
}}
"""


def watch_router(home: Home, port: int) -> None:
    home.router.run("nft", "-f", "-", input=WATCH.format(port=port, own=PORT))


def counted(home: Home) -> dict[str, int]:
    listed = json.loads(home.router.output("nft", "-j", "list", "counters", "table", "ip", "watch"))
    found = [item["counter"] for item in listed["nftables"] if "counter" in item]
    return {counter["name"]: counter["packets"] for counter in found}


def test_flows_without_number_leave_wireguard_its_port(home: Home) -> None:
    watch_router(home, PORT)
    before = shake_hands(home)
    began = monotonic()
    flows = [start_flows(home, workload) for workload in WORKLOADS]
    during = []
    while any(process.poll() is None for process in flows) and monotonic() < began + 100:
        during.append(shake_hands(home))
    most = tracked(home)
    after = [shake_hands(home) for _ in range(10)]
    seen = counted(home)
    print(f"{most} flows, {len(during)} handshakes in {monotonic() - began:.1f} s, {seen}")

    assert all(process.poll() == 0 for process in flows)
    assert most >= 0.9 * FLOWS
    assert before
    assert len(during) > 5
    assert sum(during) >= 0.9 * len(during)  # a busy machine may lose one
    assert all(after)
    assert seen["stayed"] >= len(during) + len(after)
    assert (seen["moved"], seen["high"]) == (0, 0)


def test_without_the_limit_a_workload_takes_it(home: Home) -> None:
    """The control: the same words from a workload's port 51820, with both limits away."""
    other = PORT + 1  # a place that nobody has spoken to yet
    pid = home.node.output("pgrep", "-f", "run_ndmz").split()[0]
    home.node.script(f"kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.01; done")
    home.load(render_guard(home.make_guard(), without={"nat44-ports"}))
    text = render(make_host_guard(home), without={"host-nat-ports"})
    home.node.run("nft", "-f", "-", input=text)
    home.inet.script(f"wg set wg-flow-i listen-port {other}")
    watch_router(home, other)
    speak = SPEAK.format(own=PORT, address=WEB4, port=other)
    home.node.run(*home.node.inside(WORKLOADS[0], SYSTEM_PYTHON, "-c", speak))
    shake_hands(home, other)
    seen = counted(home)

    assert seen["high"] > 0
    assert (seen["stayed"], seen["moved"] > 0) == (0, True)

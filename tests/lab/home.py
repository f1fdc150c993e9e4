"""A home LAN with a node on it, for the tests of ndmz: NAT44, routed IPv6, neighbours, prefixes.

Beside what DHCP and RA give, the LAN has a second public IPv4 prefix out of which only the node's
own `zos` holds an address, and an IPv6 prefix that an RA announces as off-link. The router leads
to both, so that a packet that gets out arrives.
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.identity import load_identity
from agent.ndmz.guard import Guard
from agent.ndmz.plan import INSIDE4
from agent.ndmz.status import NdmzStatus
from agent.ndmz.workload import place_of
from lab.host import PYTHON, Process, wait_until
from lab.internet import await_answering, internet, start_answering
from lab.network import switch
from lab.node import Node
from lab.router import RESOLVER4, Lan, Site, router
from lab.world import World

SYSTEM_PYTHON = "/usr/bin/python3"
PROGRAMS = Path(__file__).parent / "programs"
HOME = Site("b", 2, Lan(IPv4Interface("192.168.7.1/24"), IPv6Interface("2001:db8:b:1::1/64")))
OFF_LINK = "2001:db8:b:2::"
PUBLIC_LAN = "198.51.100.192/28"
PUBLIC_GATEWAY = "198.51.100.193"
NEIGHBOUR = {
    "private": "192.168.7.50",
    "public": "198.51.100.195",
    "ipv6": "2001:db8:b:1::50",
    "off-link": f"{OFF_LINK}50",
}
NODE = ("192.168.7.20", "198.51.100.194", "2001:db8:b:1::20")
FILTERS = (
    *(f"inet zosnet_ndmz {chain}" for chain in ("early", "to_ndmz", "through", "outward")),
    "bridge zosnet_ndmz port_check",
)
# With an address of its own, as `internet` makes it: else it takes the lowest of its ports'.
BRIDGE = """
    ip link add zos address $(cat /sys/class/net/eth0/address) type bridge forward_delay 0 \
        mcast_snooping 0
    ip link set eth0 master zos up
    ip link set zos up
"""
RADVD = f"""
interface lan0 {{
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvDefaultLifetime 60;
    prefix {OFF_LINK}/64 {{ AdvOnLink off; AdvAutonomous on; }};
}};
"""


@dataclass(frozen=True, slots=True)
class Home:
    world: World
    inet: Node
    router: Node
    neighbour: Node
    node: Node
    prefixes: frozenset[str] = frozenset()  # what RAs announce, now and then

    def start_ndmz(self, *workloads: str, wait: bool = True) -> Process:
        """Run Ndmz on the node until it is ready for both families and knows all prefixes."""
        self.node.path("/run/orders").unlink(missing_ok=True)
        process = self.node.spawn(
            PYTHON, PROGRAMS / "run_ndmz.py", *workloads, log=self.node.log("ndmz")
        )
        if wait:
            wait_until("ndmz for both families", lambda: self.is_ready(process), timeout=120)
        return process

    def is_ready(self, process: Process) -> bool:
        assert process.poll() is None, self.node.log("ndmz").read_text()[-3000:]
        return self.is_known() and self.node.path("/run/orders").exists()

    def is_known(self) -> bool:
        """Whether ndmz has both families, and the prefixes of both who announce some: the guard that
        it has loaded then is the one that it stays with.
        """
        status = self.status()
        return status.ready4 and status.ready6 and self.prefixes <= {*status.own}

    def status(self) -> NdmzStatus:
        path = self.node.path("/run/zosnet/ndmz.json")
        return (
            msgspec.json.decode(path.read_bytes(), type=NdmzStatus)
            if path.exists()
            else NdmzStatus()
        )

    def order(self, text: str, *, within: float = 30) -> None:
        """Have run_ndmz obey, and wait until it has."""
        log = self.node.log("ndmz")
        before = log.read_text().count("done ")
        self.node.script(f"echo {text} >/run/orders")
        wait_until(text, lambda: log.read_text().count("done ") > before, timeout=within)

    def reach(self, workload: str, *addresses: str, wait: float = 0.6, port: int = 7) -> set[str]:
        """What of `addresses` answers a probe from inside `workload`: {"icmp 192.0.2.1", …}."""
        probe = probe_command(*addresses, wait=wait, port=port)
        return set(json.loads(self.node.output(*self.node.inside(workload, *probe))))

    def make_guard(self, **changes: object) -> Guard:
        """The guard that Ndmz has loaded, from what it says and the node's key."""
        identity = load_identity(self.node.path("/var/lib/zosnet/node.key"))
        status = self.status()
        ula = next(identity.ula.subnets(new_prefix=64))
        numbers = json.loads(self.node.path("/var/lib/zosnet/ndmz-numbers.json").read_text())
        places = [
            place_of(numbers["numbers"][w.name], w.name, ula, identity.mac(f"workload {w.name}"))
            for w in status.workloads
        ]
        guard = Guard(
            inside4=INSIDE4,
            inside6=ula,
            gateways=frozenset(map(ip_address, [*status.gateways, *self.pair[:1]])),
            own=frozenset(map(ip_network, status.own)),
            site=frozenset(map(ip_address, status.site)),
            ports=frozenset(place.guard_port for place in places),
        )
        return replace(guard, **changes)

    def load(self, *texts: str) -> None:
        """nftables in ndmz; only while Ndmz does not run: it would put its own back."""
        self.node.run(*self.node.inside("ndmz", "nft", "-f", "-"), input="".join(texts))

    @property
    def pair(self) -> list[str]:
        """The addresses of the cable between ndmz and the host, if IPv4 is shared."""
        text = self.status().pair
        return [str(address) for address in ip_network(text)] if text else []

    def open_host(self) -> None:
        """Of the host's rules for a shared IPv4 only the translation is left."""
        if self.pair:
            chains = ("early", "to_host", "through", "outward")
            text = "".join(f"flush chain ip zosnet_shared {chain}\n" for chain in chains)
            self.node.run("nft", "-f", "-", input=text)

    def in_ndmz(self, *argv: str) -> str:
        return self.node.output(*self.node.inside("ndmz", *argv))

    def take_guard_away(self) -> None:
        """NAT is left, and nothing else; ports may talk to each other."""
        self.open_host()
        self.load(
            "".join(f"flush chain {chain}\n" for chain in FILTERS),
            "".join(
                f"add chain {chain} {{ policy accept ; }}\n"
                for chain in FILTERS
                if "outward" not in chain
            ),
        )
        for port in self.in_ndmz("ls", "/sys/class/net").split():
            if port.startswith("nr-"):
                self.in_ndmz("bridge", "link", "set", "dev", port, "isolated", "off")
        for workload in self.status().workloads:  # who did not answer is not asked for a second
            self.node.run(*self.node.inside(workload.name, "ip", "neigh", "flush", "all"))

    def addresses_of(self, namespace: str) -> list[str]:
        """Its global addresses."""
        shown = self.node.output(
            *self.node.inside(namespace, "ip", "-o", "addr", "show", "scope", "global")
        )
        return [line.split()[3].split("/")[0] for line in shown.splitlines()]


def probe_command(*addresses: str, wait: float = 0.6, port: int = 7) -> tuple[str, ...]:
    """What to run on a node; its output is a JSON list of what answered."""
    options = ("--wait", str(wait), "--port", str(port))
    return (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "probe.py"), *options, *addresses)


def all_kinds(*addresses: str) -> set[str]:
    """What `reach` says when every probe of `addresses` is answered."""
    return {f"{kind} {address}" for kind in ("icmp", "tcp", "udp") for address in addresses}


def make_home(world: World, *, quiet: bool = False, leases: int | None = None) -> Home:
    """With `quiet` nothing sends RAs, and DHCP names the Internet's resolver. The node's own address
    is no lease: with `leases` 0 the site gave all that it has.
    """
    lan = replace(HOME.lan, advertise=False, dns=RESOLVER4) if quiet else HOME.lan
    site = replace(HOME, lan=replace(lan, leases=leases))
    inet = internet(world)
    home = router(world, inet, site)
    neighbour, node = world.nodes("neighbour", "n2")
    switch(world, HOME.switch, (neighbour, "eth0"), (node, "eth0"))
    home.script(f"""
        ip addr add {OFF_LINK}1/64 dev lan0 nodad
        ip addr add {PUBLIC_GATEWAY}/28 dev lan0
        cat >/run/radvd.conf <<'END'
{RADVD}
END
    """)
    if not quiet:
        home.script("radvd -C /run/radvd.conf -p /run/radvd.pid -m none")
    neighbour.script(f"""
        ip addr add {NEIGHBOUR["private"]}/24 dev eth0
        ip addr add {NEIGHBOUR["public"]}/28 dev eth0
        ip addr add {NEIGHBOUR["ipv6"]}/64 dev eth0 nodad
        ip addr add {NEIGHBOUR["off-link"]}/64 dev eth0 nodad
        ip link set eth0 up
        ip route add default via 192.168.7.1
    """)
    node.script(f"""
        {BRIDGE}
        ip addr add {NODE[0]}/24 dev zos
        ip addr add {NODE[1]}/28 dev zos
        ip addr add {NODE[2]}/64 dev zos nodad
        ip route add default via 192.168.7.1
    """)
    for host in (home, neighbour, node):  # a refusal is an answer, but hosts send few a second
        start_answering(host)
        await_answering(host)
    prefixes = [] if quiet else ["2001:db8:b:1::/64", f"{OFF_LINK}/64"]
    return Home(world, inet, home, neighbour, node, frozenset(prefixes))

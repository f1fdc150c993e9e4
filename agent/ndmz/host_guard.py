"""What may pass the host when ndmz shares its IPv4, as nftables text: a table of its own.

    run(render(HostGuard(pair, gateways=…, …)))      # at the start and after every change

`render` is one transaction as that of `guard` is, and deletes no base chain either. What workloads
may reach is ndmz's guard's business; the host sees to what that cannot know: that a packet leaves by
`zos` to a default gateway and nowhere else, that nothing of the host answers, that nothing comes
in but answers, and that the LAN finds no router here. Packets of others are let be.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from msgspec import Struct

from agent.ndmz.guard import Rule
from agent.ndmz.pair import FAR, Pair

TABLE = "zosnet_shared"
UPLINK = "zos"


class HostGuard(Struct, frozen=True):
    """All that the rules depend on. Without gateways nothing leaves."""

    pair: Pair
    mac: str = ""  # of zos: what is sent to it asks to be routed, the rest is bridged
    gateways: frozenset[IPv4Address] = frozenset()
    allowed: frozenset[IPv4Network] = frozenset()
    dns_gateway: bool = False
    fenced: bool = True  # nobody but us made the host a router


_IP = f"ip {TABLE}"
_CHAINS = (
    ("early", "type filter hook prerouting priority -300 ; policy accept ;"),
    ("to_host", "type filter hook input priority 0 ; policy accept ;"),
    ("through", "type filter hook forward priority 0 ; policy accept ;"),
    ("outward", ""),
    # before the masquerades of others (100), whose ports may be WireGuard's
    ("masks", "type nat hook postrouting priority 90 ; policy accept ;"),
)


def render(guard: HostGuard, *, without: Collection[str] = ()) -> str:
    """The transaction that makes the kernel hold `guard`; `without` leaves out rules, for tests."""
    lines = [f"add table {_IP}"]
    lines.append(f"add set {_IP} gw4 {{ type ipv4_addr ; }}")
    for chain, hook in _CHAINS:
        lines.append(f"add chain {_IP} {chain}" + (f" {{ {hook} }}" if hook else ""))
    lines += [f"flush chain {_IP} {chain}" for chain, _ in _CHAINS]
    lines.append(f"flush set {_IP} gw4")
    if guard.gateways:
        lines.append(f"add element {_IP} gw4 {{ {', '.join(sorted(map(str, guard.gateways)))} }}")
    lines += [
        f"add rule {r.table} {r.chain} {r.text}" for r in rules(guard) if r.name not in without
    ]
    return "\n".join(lines) + "\n"


def rules(guard: HostGuard) -> tuple[Rule, ...]:
    """Every rule, in order; order matters within a chain."""
    return (
        *_chain("early", _early(guard.pair)),
        *_chain("to_host", (("host", f'iifname "{FAR}" drop'),)),
        *_chain("through", _through(guard)),
        *_chain("outward", _outward(guard)),
        *_chain("masks", _masks(guard.pair)),
    )


def _chain(chain: str, rows: Iterable[tuple[str, str]]) -> tuple[Rule, ...]:
    return tuple(Rule(name, _IP, chain, text) for name, text in rows)


def _early(pair: Pair) -> list[tuple[str, str]]:
    """The pair's addresses on the wrong side, and others than ndmz's on this one."""
    elsewhere = f'iifname != {{ "{FAR}", "lo" }}'
    return [
        ("pair-to", f"{elsewhere} ip daddr {pair.network} drop"),
        ("pair-as", f"{elsewhere} ip saddr {pair.network} drop"),
        ("pair-source", f'iifname "{FAR}" ip saddr != {pair.ndmz.ip} drop'),
    ]


def _through(guard: HostGuard) -> list[tuple[str, str]]:
    """Inwards only answers. The fence: since `zos` forwards for us, it would for the LAN."""
    inwards = f'iifname "{UPLINK}" oifname "{FAR}" ct direction reply'
    rows = [
        ("host-answers", f"{inwards} ct state established,related accept"),
        ("host-inward", f'oifname "{FAR}" drop'),
        ("host-outward", f'iifname "{FAR}" goto outward'),
    ]
    if guard.fenced and guard.mac:
        rows.append(("fence", f'iifname "{UPLINK}" ether daddr {guard.mac} drop'))
    return rows


def _outward(guard: HostGuard) -> list[tuple[str, str]]:
    ask = "meta l4proto { tcp, udp } th dport 53 accept"
    out = f'oifname "{UPLINK}"'
    allowed = collapse_addresses(guard.allowed)
    except_for = [("host-allowed", f"{out} ip daddr {net} accept") for net in allowed]
    dns = [("host-dns", f"{out} ip daddr @gw4 {ask}")] if guard.dns_gateway else []
    return [
        ("host-invalid", "ct state invalid drop"),  # it would leave with the pair's address
        *dns,
        ("host-gateway", "ip daddr @gw4 drop"),
        ("host-clamp", "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"),
        *except_for,
        ("host-internet", f"{out} rt ip nexthop @gw4 accept"),
        ("host-rest", "drop"),
    ]


def _masks(pair: Pair) -> list[tuple[str, str]]:
    """Not above 49151: there the host's WireGuard listens, and conntrack would take its port."""
    ours = f'oifname "{UPLINK}" ip saddr {pair.ndmz.ip}'
    return [
        (
            "host-nat-ports",
            f"{ours} meta l4proto {{ tcp, udp }} masquerade to :1024-49151 fully-random",
        ),
        ("host-nat", f"{ours} masquerade"),
    ]

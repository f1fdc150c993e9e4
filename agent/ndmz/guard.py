"""The guard: what may pass through ndmz, as nftables text.

    guard = Guard(inside4=…, inside6=…, gateways=…, …)
    run(render(guard))               # at the start and after every change: always the whole of it

`render` is one transaction: it makes tables, sets and base chains where they are missing, empties
rules and sets, and fills them again. Base chains and their policies are never deleted: deleting and
creating them anew in one transaction let 43 % of a flood through, this way nothing passed. A
prefix stands in a rule of its own, in no set: there are kernels that do not find it for a moment while
a set of intervals is emptied and filled (6.1), or is new (6.18). Nothing here talks to the kernel.

A flow that was let through to the Internet carries a mark, and its next packets are asked for that and
for their next hop alone. The mark is of the very text that let it through: with any other guard
each flow is judged anew (decision 42). What counts a workload's flows is never emptied.

A packet from a workload leaves only towards a current default gateway. It is dropped when it is for
a gateway itself, a private, link-local or multicast destination, a prefix out of which the uplink
holds an address (an RA may announce one that is not on-link), or the site's own outside address
(a router would turn it back to its own administration page). Without a gateway nothing leaves.

Sources out of a delegated prefix leave untranslated; they get answers and nothing else, as all do.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from msgspec import Struct

from agent.ndmz import counts
from netns.values import IPAddress, IPNetwork

TABLE = "zosnet_ndmz"
UPLINK4, UPLINK6, INSIDE, BRIDGE_END = "npub4", "npub6", "tonrs", "tonrs-br"
WIREGUARD_PORTS = "51820-52843"
SHARED4 = "nshared4"  # the uplink that goes through the host, see `pair`

# Nobody's place in the Internet (RFC 6890). The documentation prefixes are missing on purpose:
# they lead nowhere, and a lab's Internet is made of them.
CLOSED4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the Internet's IPv4 half, on IPv6-only sites
OPEN6 = (IPv6Network("2000::/3"), NAT64)
# What would be unwrapped to an IPv4 destination: 6to4 and Teredo, and NAT64 of a closed address.
CLOSED6 = (
    IPv6Network("2002::/16"),
    IPv6Network("2001::/32"),
    *(
        IPv6Network((int(NAT64.network_address) + int(net.network_address), 96 + net.prefixlen))
        for net in CLOSED4
    ),
)


def is_internet(address: IPAddress) -> bool:
    """Whether the guard would let a packet to `address` out, gateways and own prefixes aside."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in CLOSED4)
    return any(address in net for net in OPEN6) and not any(address in net for net in CLOSED6)


class Port(Struct, frozen=True):
    """One workload's port of br-ndmz, and the only source it may speak from."""

    name: str
    mac: str
    ip4: IPv4Address
    ip6: IPv6Address
    link_local: IPv6Address
    subnet: IPv6Network | None = None  # of the delegated prefix: it speaks for all of it


class Guard(Struct, frozen=True):
    """All that the rules depend on. With no gateways it is closed."""

    inside4: IPv4Network
    inside6: IPv6Network
    gateways: frozenset[IPAddress] = frozenset()
    own: frozenset[IPNetwork] = frozenset()
    site: frozenset[IPAddress] = frozenset()
    allowed: frozenset[IPNetwork] = frozenset()
    dns_gateway: bool = False
    ports: frozenset[Port] = frozenset()
    flows_max: int = counts.FLOWS_MAX
    listens: bool = False  # WireGuard's sockets are in ndmz
    asks: bool = False  # a DHCPv6 client is in ndmz
    delegated: IPv6Network | None = None  # workloads leave with addresses of it as they are


class Rule(Struct, frozen=True):
    """`name` says what it stops or lets through; tests take rules away by it."""

    name: str
    table: str
    chain: str
    text: str


_INET, _BRIDGE = f"inet {TABLE}", f"bridge {TABLE}"
_CHAINS = (
    (_INET, "early", "type filter hook prerouting priority -300 ; policy accept ;"),
    (_INET, "to_ndmz", "type filter hook input priority 0 ; policy drop ;"),
    (_INET, "through", "type filter hook forward priority 0 ; policy drop ;"),
    (_INET, "outward", ""),
    (_INET, "shares", ""),
    (_INET, "masks", "type nat hook postrouting priority 100 ; policy accept ;"),
    (_BRIDGE, "port_check", "type filter hook prerouting priority -300 ; policy drop ;"),
)
_POLICY = "@policy"  # in a rule's text: the mark of flows that this guard let through
# A set whose size is known is looked up faster. Of gateways and site addresses `policy` takes fewer.
_FEW, _PORTS = "size 64", "size 8192"
_SETS = (
    (_INET, "gw4", f"type ipv4_addr ; {_FEW}"),
    (_INET, "gw6", f"type ipv6_addr ; {_FEW}"),
    (_INET, "site4", f"type ipv4_addr ; {_FEW}"),
    (_INET, "site6", f"type ipv6_addr ; {_FEW}"),
    (_BRIDGE, "port_mac", f"type ifname . ether_addr ; {_PORTS}"),
    (_BRIDGE, "port4", f"type ifname . ether_addr . ipv4_addr ; {_PORTS}"),
    (_BRIDGE, "port6", f"type ifname . ether_addr . ipv6_addr ; {_PORTS}"),
    # nft 1.0.6 has no icmpv6 taddr
    (_BRIDGE, "port_target", f"typeof iifname . @th,64,128 ; {_PORTS}"),
)


def render(guard: Guard, *, without: Collection[str] = ()) -> str:
    """The transaction that makes the kernel hold `guard`, whatever of it was there before.

    `without` leaves out rules by name: only tests do that, to see that each one is needed.
    """
    lines = [f"add table {table}" for table in (_INET, _BRIDGE)]
    lines += [f"add set {table} {name} {{ {kind} ; }}" for table, name, kind in _SETS]
    lines += counts.render_sets(_INET)
    for table, chain, hook in _CHAINS:
        lines.append(f"add chain {table} {chain}" + (f" {{ {hook} }}" if hook else ""))
    lines += [f"flush chain {table} {chain}" for table, chain, _ in _CHAINS]
    lines += [f"flush set {table} {name}" for table, name, _ in _SETS]
    contents = _elements(guard)
    for table, name, _ in _SETS:
        if contents[name]:
            lines.append(f"add element {table} {name} {{ {', '.join(contents[name])} }}")
    for rule in rules(guard):
        if rule.name not in without:
            lines.append(f"add rule {rule.table} {rule.chain} {rule.text}")
    text = "\n".join(lines) + "\n"
    return text.replace(_POLICY, f"0x{_mark_of(text):08x}")


def render_over(guard: Guard, listing: str) -> str:
    """`render` where the kernel has what `listing` shows, both tables as nft lists them."""
    return counts.render_forget(_INET, listing, guard.flows_max) + render(guard)


def _mark_of(text: str) -> int:
    """Never 0, which is what a flow begins with."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) or 1


def _elements(guard: Guard) -> dict[str, list[str]]:
    """What stands in each set, in order."""
    ports = sorted(guard.ports, key=lambda port: port.name)
    sources6 = [(port, address) for port in ports for address in (port.ip6, port.link_local)]
    elements = {
        "port_mac": [f'"{port.name}" . {port.mac}' for port in ports],
        "port4": [f'"{port.name}" . {port.mac} . {port.ip4}' for port in ports],
        "port6": [f'"{port.name}" . {port.mac} . {address}' for port, address in sources6],
        "port_target": [f'"{port.name}" . 0x{int(address):032x}' for port, address in sources6],
    }
    for family in (4, 6):
        for name, addresses in (("gw", guard.gateways), ("site", guard.site)):
            elements[f"{name}{family}"] = sorted(str(a) for a in addresses if a.version == family)
    return elements


def _prefixes(name: str, networks: Iterable[IPNetwork], verdict: str) -> list[tuple[str, str]]:
    """A rule for each of `networks`, merged, under one name a family."""
    rows = []
    for family, field in ((4, "ip"), (6, "ip6")):
        merged = collapse_addresses(n for n in networks if n.version == family)  # type: ignore[type-var]
        rows += [(f"{name}{family}", f"{field} daddr {net} {verdict}") for net in merged]
    return rows


def rules(guard: Guard) -> tuple[Rule, ...]:
    """Every rule, in order; order matters within a chain."""
    return (
        *_early(guard),
        *_to_ndmz(guard),
        *_through(),
        *_outward(guard),
        *_shares(guard),
        *_masks(guard),
        *_port_check(guard),
    )


def _chain(table: str, chain: str, rows: Iterable[tuple[str, str]]) -> tuple[Rule, ...]:
    return tuple(Rule(name, table, chain, text) for name, text in rows)


_UPLINKS = f'{{ "{UPLINK4}", "{UPLINK6}", "{SHARED4}" }}'
_OUT4, _OUT6 = f'oifname {{ "{UPLINK4}", "{SHARED4}" }}', f'oifname "{UPLINK6}"'


def _early(guard: Guard) -> tuple[Rule, ...]:
    """Addresses on the wrong side. Never `ip6 saddr :: drop`: that is duplicate address detection.

    What comes from inside, which is most of it, leaves by the first rule.
    """
    p = guard.delegated
    spoofed = (("outside-as-delegated", f"iifname {_UPLINKS} ip6 saddr {p} drop"),) if p else ()
    return _chain(
        _INET,
        "early",
        (
            ("inside", f'iifname "{INSIDE}" accept'),
            ("loopback", 'iifname "lo" accept'),
            *spoofed,
            ("outside-as-inside4", f"ip saddr {guard.inside4} drop"),
            ("outside-as-inside6", f"ip6 saddr {guard.inside6} drop"),
            ("outside-to-inside4", f"ip daddr {guard.inside4} drop"),
            ("outside-to-inside6", f"ip6 daddr {guard.inside6} drop"),
        ),
    )


def _to_ndmz(guard: Guard) -> tuple[Rule, ...]:
    """Policy drop. DHCP answers need no rule: the client's packet socket sees them before us."""
    neighbour = "{ nd-neighbor-solicit, nd-neighbor-advert }"
    own = f'iifname {{ "{UPLINK4}", "{UPLINK6}" }}'
    wireguard = (("ndmz-wireguard", f"{own} udp dport {WIREGUARD_PORTS} accept"),)
    # they come from another address than the one that was asked
    dhcp6 = f'iifname "{UPLINK6}" ip6 saddr fe80::/10 udp dport 546 accept'
    return _chain(
        _INET,
        "to_ndmz",
        (
            ("ndmz-loopback", 'iifname "lo" accept'),
            # answers and ICMP errors for what ndmz itself sent
            (
                "ndmz-answers",
                f"iifname {_UPLINKS} ct direction reply ct state established,related accept",
            ),
            (
                "ndmz-neighbours",
                f'iifname {{ "{UPLINK6}", "{INSIDE}" }} icmpv6 type {neighbour} ip6 hoplimit 255 accept',
            ),
            (
                "ndmz-adverts",
                f'iifname "{UPLINK6}" ip6 saddr fe80::/10 icmpv6 type nd-router-advert ip6 hoplimit 255 accept',
            ),
            # a snooping switch that hears no report stops passing on neighbour solicitations
            (
                "ndmz-listener-query",
                f'iifname "{UPLINK6}" ip6 saddr fe80::/10 icmpv6 type mld-listener-query accept',
            ),
            *(wireguard if guard.listens else ()),
            *((("ndmz-dhcp6", dhcp6),) if guard.asks else ()),
        ),
    )


def _through() -> tuple[Rule, ...]:
    """Policy drop. Inwards only answers; `ct direction` keeps a flow that began outside closed."""
    inwards = f'iifname {_UPLINKS} oifname "{INSIDE}" ct direction reply'
    return _chain(
        _INET,
        "through",
        (
            ("workloads", f'iifname "{INSIDE}" oifname {_UPLINKS} goto outward'),
            ("answers", f"{inwards} ct state established,related accept"),
        ),
    )


def _outward(guard: Guard) -> tuple[Rule, ...]:
    closed4, closed6 = (
        [(f"closed{net.version}", f"{field} daddr {net} drop") for net in closed]
        for field, closed in (("ip", CLOSED4), ("ip6", CLOSED6))
    )
    elsewhere6 = " ".join(f"ip6 daddr != {net}" for net in OPEN6)
    ask = "meta l4proto { tcp, udp } th dport 53 accept"
    dns = (("dns-gateway4", f"ip daddr @gw4 {ask}"), ("dns-gateway6", f"ip6 daddr @gw6 {ask}"))
    delegated = f" ip6 saddr != {guard.delegated}" if guard.delegated else ""
    clamp = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"
    # not `related`: such an ICMP error carries the mark of the flow that it speaks of
    known = f"ct mark {_POLICY} ct state new,established"
    know = f"ct mark set {_POLICY} accept"
    return _chain(
        _INET,
        "outward",
        (
            ("clamp", clamp),
            ("known4", f"{known} rt ip nexthop @gw4 accept"),
            ("known6", f"{known} rt ip6 nexthop @gw6 accept"),
            ("source4", f"meta nfproto ipv4 ip saddr != {guard.inside4} drop"),
            ("source6", f"meta nfproto ipv6 ip6 saddr != {guard.inside6}{delegated} drop"),
            ("shares", "ct state new jump shares"),
            *(dns if guard.dns_gateway else ()),
            ("gateway4", "ip daddr @gw4 drop"),
            ("gateway6", "ip6 daddr @gw6 drop"),
            *_prefixes("allowed", guard.allowed, "accept"),
            *closed4,
            ("open6", f"{elsewhere6} drop"),
            *closed6,
            *_prefixes("own", [*guard.own, *filter(None, [guard.delegated])], "drop"),
            ("site4", "ip daddr @site4 drop"),
            ("site6", "ip6 daddr @site6 drop"),
            ("internet4", f"{_OUT4} rt ip nexthop @gw4 {know}"),
            ("internet6", f"{_OUT6} rt ip6 nexthop @gw6 {know}"),
        ),
    )


def _shares(guard: Guard) -> tuple[Rule, ...]:
    """No workload has more than its share of the flows that the kernel tracks. Its element of the
    set counts them, and says whether there are more; those of a subnet are counted together.
    """
    over = f"ct count over {guard.flows_max} drop"
    ports = sorted(guard.ports, key=lambda port: port.name)
    counted6 = f"ip6 saddr {guard.inside6} {counts.render_rule(6, guard.flows_max)}"
    return _chain(
        _INET,
        "shares",
        [
            ("share4", counts.render_rule(4, guard.flows_max)),
            ("share6", counted6),
            *(("share6", f"ip6 saddr {port.subnet} {over}") for port in ports if port.subnet),
        ],
    )


def _masks(guard: Guard) -> tuple[Rule, ...]:
    """NAT44 and NAT66. Not above 49151: there WireGuard listens, and conntrack would take its port."""
    ports = "meta l4proto { tcp, udp } masquerade to :1024-49151 fully-random"
    from4 = f"{_OUT4} ip saddr {guard.inside4}"
    from6 = f"{_OUT6} ip6 saddr {guard.inside6}"
    return _chain(
        _INET,
        "masks",
        (
            ("nat44-ports", f"{from4} {ports}"),
            ("nat44", f"{from4} masquerade"),
            ("nat66-ports", f"{from6} {ports}"),
            ("nat66", f"{from6} masquerade"),
        ),
    )


def _port_check(guard: Guard) -> tuple[Rule, ...]:
    """Policy drop: a port speaks with its own MAC and its own addresses, ARP and IP only.

    Who sends from another's MAC would get its traffic: the bridge learns from every frame that
    passes here (and from no others, see `netns.netlink.add_bridge`).
    The neighbour advertisement's target is checked as its source is: tonrs would believe it. The
    target stands 64 bits into the ICMPv6 message. Questions of duplicate detection pass, so that
    a workload that takes tonrs' address hears that it is taken.
    """
    mac, target = "iifname . ether saddr", "iifname . @th,64,128"
    arp = "arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp operation { request, reply }"
    sender = "iifname . arp saddr ether . arp saddr ip @port4"
    ip6 = "ether type ip6"
    probe = "icmpv6 type nd-neighbor-solicit iifname . ether saddr @port_mac"
    subnets = [
        (
            "port-subnet",
            f'{ip6} iifname "{port.name}" ether saddr {port.mac} ip6 saddr {port.subnet} accept',
        )
        for port in sorted(guard.ports, key=lambda port: port.name)
        if port.subnet
    ]
    return _chain(
        _BRIDGE,
        "port_check",
        (
            ("port-inside", f'iifname "{BRIDGE_END}" accept'),
            ("port-ip4", f"ether type ip {mac} . ip saddr @port4 accept"),
            ("port-dad", f"{ip6} ip6 saddr :: {probe} accept"),
            ("port-claims", f"{ip6} icmpv6 type nd-neighbor-advert {target} != @port_target drop"),
            ("port-ip6", f"{ip6} {mac} . ip6 saddr @port6 accept"),
            *subnets,
            ("port-arp", f"ether type arp {arp} {mac} . arp saddr ip @port4 {sender} accept"),
        ),
    )

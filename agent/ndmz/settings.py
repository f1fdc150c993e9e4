"""Kernel settings of ndmz, each written explicitly: what a new namespace starts with differs. Pure.

`set_sysctls` writes them in order, and only where the kernel has another value.
"""

from agent.ndmz.firewall import KEYS as BRIDGE_NF
from agent.ndmz.guard import BRIDGE_END, INSIDE, SHARED4, UPLINK4, UPLINK6
from agent.ndmz.host_guard import UPLINK
from agent.ndmz.pair import FAR
from agent.ndmz.plan import BRIDGE

FORWARD4, FORWARD6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"
CLOSED = {FORWARD4: "0", FORWARD6: "0"}
OPEN = {FORWARD4: "1", FORWARD6: "1"}  # only with the guard loaded, and npub6's accept_ra at 2

_DEAF = {"accept_ra": "0", "autoconf": "0", "accept_redirects": "0"}
_NO_IPV6 = {"disable_ipv6": "1"}
_BY_ROUTER = {
    "disable_ipv6": "0",
    # 2, and before forwarding: with 1 the default route of an RA is purged when forwarding begins
    "accept_ra": "2",
    "accept_ra_defrtr": "1",
    "accept_ra_pinfo": "1",
    "accept_ra_rt_info_max_plen": "0",  # no routes but the default one
    "accept_redirects": "0",
    "autoconf": "1",
    "use_tempaddr": "0",
    "proxy_ndp": "0",
    "addr_gen_mode": "0",
    "router_solicitation_delay": "0",
    "router_solicitations": "-1",  # a router may come back after any time
}


def _ipv4(scope: str, values: dict[str, str]) -> dict[str, str]:
    return {f"net/ipv4/conf/{scope}/{key}": value for key, value in values.items()}


def _ipv6(scope: str, values: dict[str, str]) -> dict[str, str]:
    return {f"net/ipv6/conf/{scope}/{key}": value for key, value in values.items()}


_ROUTER4 = {
    "accept_redirects": "0",
    "secure_redirects": "0",
    "send_redirects": "0",
    "accept_source_route": "0",
    "rp_filter": "1",
    "proxy_arp": "0",
    "arp_ignore": "1",  # or the LAN could ask npub4 for tonrs' address
    "arp_announce": "2",
}

# Before any link of it is up. `default` is what later links begin with, `all` is for those there.
SPACE = {
    # at 1, frames between ports pass the inet chains: it would hide what isolation does not stop
    **dict.fromkeys(BRIDGE_NF, "0"),
    **_ipv4("default", _ROUTER4),
    **_ipv4("all", _ROUTER4),
    **_ipv6("default", _DEAF),
    **_ipv6("all", {"accept_redirects": "0", "accept_source_route": "0"}),
}

LINKS = {
    BRIDGE: _ipv6(BRIDGE, _NO_IPV6),
    UPLINK4: _ipv6(UPLINK4, _NO_IPV6),
    UPLINK6: _ipv6(UPLINK6, _BY_ROUTER),
    SHARED4: _ipv6(SHARED4, _NO_IPV6),
    # addr_gen_mode 1: no link-local address of its own beside fe80::1
    INSIDE: _ipv6(INSIDE, {"disable_ipv6": "0", "addr_gen_mode": "1", "accept_dad": "0", **_DEAF}),
    BRIDGE_END: _ipv6(BRIDGE_END, _NO_IPV6),
}

# On the host, when ndmz shares its IPv4; with its rules loaded. By link: `all` would make a router
# of every link that the host has.
FORWARD_ALL = "net/ipv4/ip_forward"
FORWARD_ZOS = f"net/ipv4/conf/{UPLINK}/forwarding"
HOST_END = {**_ipv6(FAR, _NO_IPV6), **_ipv4(FAR, {**_ROUTER4, "forwarding": "1"})}
FLOWS_TABLE = "net/netfilter/nf_conntrack_max"

# Everything above that is looked at again and again.
MINDED = (*SPACE, *OPEN, *(key for values in LINKS.values() for key in values))
MINDED_ON_HOST = (*BRIDGE_NF, FORWARD_ALL, FORWARD_ZOS, *HOST_END, FLOWS_TABLE)


def port(name: str) -> dict[str, str]:
    """A port of a bridge has no addresses of its own."""
    return _ipv6(name, _NO_IPV6)


def workload(link: str) -> dict[str, str]:
    """A workload's uplink end: it is told where to go, and nobody beside it is listened to."""
    return {
        **_ipv4(link, {"accept_redirects": "0", "send_redirects": "0"}),
        **_ipv6(link, {"disable_ipv6": "0", "addr_gen_mode": "0", "dad_transmits": "0", **_DEAF}),
    }

"""A site whose router delegates prefixes: ISC's server and radvd on a home LAN's router."""

import json
import re
from ipaddress import IPv6Network

from lab.host import Process, wait_until
from lab.node import Node
from tests.lab.home import Home

FIRST, SECOND = "2001:db8:b:10::/60", "2001:db8:b:20::/60"
LEASES = "/run/dhcpd6.leases"
STARTED = "Server starting service"
_ADVERTS = """
interface lan0 {{
    AdvSendAdvert on;
    AdvOtherConfigFlag {told};
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvDefaultLifetime 60;
    prefix 2001:db8:b:1::/64 {{ }};
}};
"""
_SERVER = """
authoritative;
default-lease-time {valid};
preferred-lifetime {preferred};
option dhcp-renewal-time {renew};
option dhcp-rebinding-time {rebind};
subnet6 2001:db8:b:1::/64 {{ {pools} }}
"""


def advertise(home: Home, *, told: bool = True) -> None:
    """RAs for the LAN; `told`: they say that there is a DHCPv6 server."""
    config = _ADVERTS.format(told="on" if told else "off")
    home.router.script(f"""
        [ ! -e /run/radvd.pid ] || kill $(cat /run/radvd.pid) || :
        rm -f /run/radvd.pid
        cat >/run/radvd.conf <<'END'
{config}
END
        radvd -C /run/radvd.conf -p /run/radvd.pid -m none
    """)


def delegate(
    home: Home,
    *prefixes: str,
    valid: int = 3600,
    preferred: int = 1800,
    renew: int = 900,
    rebind: int = 1440,
) -> Process:
    """A server with these to give, and no memory."""
    pools = " ".join(
        f"prefix6 {net.network_address} {net.network_address} /{net.prefixlen};"
        for net in map(IPv6Network, prefixes)
    )
    config = _SERVER.format(
        pools=pools, valid=valid, preferred=preferred, renew=renew, rebind=rebind
    )
    home.router.write("/run/dhcpd6.conf", config)
    home.router.script(f": >{LEASES}")
    return serve(home.router)


def serve(router: Node) -> Process:
    log = router.log("dhcpd6")
    before = log.read_text().count(STARTED) if log.exists() else 0
    files = ("-cf", "/run/dhcpd6.conf", "-lf", LEASES, "-pf", "/run/dhcpd6.pid")
    process = router.spawn("dhcpd", "-6", "-f", "-d", "--no-pid", *files, "lan0", log=log)
    wait_until("the DHCPv6 server", lambda: log.read_text().count(STARTED) > before)
    return process


def lead(home: Home, prefix: str) -> None:
    """What a delegating router does when it has delegated: route it to who got it."""
    home.router.script(f"ip -6 route replace {prefix} via {npub6(home)} dev lan0")


def npub6(home: Home) -> str:
    """Its link-local address."""
    shown = json.loads(home.in_ndmz("ip", "-j", "-6", "addr", "show", "dev", "npub6"))
    (local,) = (a["local"] for a in shown[0]["addr_info"] if a["scope"] == "link")
    return str(local)


def held(router: Node) -> list[str]:
    """The prefixes that the server has given away, as it wrote last of each."""
    text = router.path(LEASES).read_text()
    states = dict(re.findall(r"iaprefix (\S+) \{\s+binding state (\w+);", text))
    return [prefix for prefix, state in states.items() if state == "active"]

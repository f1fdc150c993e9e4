"""What passes through the namespace of a network, as nftables text. Pure.

Loading it again is flush and add in one transaction; base chains are never deleted, between
deletion and creation packets would pass. Forwarding is closed but for: overlay to overlay on a
transit member (who may send what is checked by WireGuard's keys), workloads to the overlay and
back, workloads out by `public` and the answers. From `public` comes nothing but answers and pings.
TCP is told on its way how large its segments may be where it leaves.
"""

from ipaddress import IPv6Network

from agent.nr.plan import Names

TABLE = "zosnet_nr"
PUBLIC = "public"

# ndmz lets out only what comes from the address it gave; ports as in all masquerades of ours, so
# that none takes WireGuard's
_MASQUERADE = """
add rule inet {t} outward oifname "{public}" meta l4proto {{ tcp, udp }} masquerade to :1024-49151 fully-random
add rule inet {t} outward oifname "{public}" masquerade"""

_TEXT = """\
add table inet {t}
add chain inet {t} through {{ type filter hook forward priority 0 ; policy drop ; }}
add chain inet {t} inward {{ type filter hook input priority 0 ; policy accept ; }}
add chain inet {t} outward {{ type nat hook postrouting priority 100 ; policy accept ; }}
flush chain inet {t} through
flush chain inet {t} inward
flush chain inet {t} outward
add rule inet {t} through tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
add rule inet {t} through iifname "{b}" oifname "{public}" accept
add rule inet {t} through iifname "{public}" oifname "{b}" ct state established,related accept
add rule inet {t} inward iifname "{public}" ct state established,related accept
add rule inet {t} inward iifname "{public}" icmp type echo-request accept
add rule inet {t} inward iifname "{public}" icmpv6 type {{ echo-request, nd-neighbor-solicit, nd-neighbor-advert }} accept
add rule inet {t} inward iifname "{public}" drop"""

# of a prefix that is routed to here, through ndmz: they leave as they are
_ROUTED = """
add rule inet {t} outward oifname "{public}" ip6 saddr {routed} accept"""

_OVERLAY = """
add rule inet {t} through iifname "{w}" oifname "{b}" accept
add rule inet {t} through iifname "{b}" oifname "{w}" accept"""

_TRANSIT = """
add rule inet {t} through iifname "{w}" oifname "{w}" accept"""


def render(names: Names, *, transit: bool, routed: IPv6Network | None = None) -> str:
    text = _TEXT + (_ROUTED if routed else "") + _MASQUERADE
    if names.device:
        text += _OVERLAY + (_TRANSIT if transit else "")
    named = text.format(t=TABLE, w=names.device, b=names.bridge, public=PUBLIC, routed=routed)
    return named + "\n"


def sysctls() -> dict[str, str]:
    """Of the namespace, before anything is in it. A relayed packet leaves where it came in: the
    kernel would tell its sender a shorter way that there is not.
    """
    values = {
        "net/ipv4/conf/all/send_redirects": "0",
        "net/ipv4/conf/default/send_redirects": "0",
        "net/ipv4/conf/all/accept_redirects": "0",
        "net/ipv4/conf/default/accept_redirects": "0",
        "net/ipv6/conf/all/accept_ra": "0",
        "net/ipv6/conf/default/accept_ra": "0",
        "net/ipv6/conf/all/accept_redirects": "0",
        "net/ipv6/conf/default/accept_redirects": "0",
        "net/ipv4/ip_forward": "1",
        "net/ipv6/conf/all/forwarding": "1",
    }
    bridged = ("iptables", "ip6tables", "arptables")
    return {f"net/bridge/bridge-nf-call-{table}": "0" for table in bridged} | values

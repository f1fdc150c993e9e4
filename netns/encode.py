"""What we ask the kernel: the fields and attributes of rtnetlink messages, by name. Pure.

`rtnl` turns them into bytes. Names and meanings are those of linux/if_link.h, if_addr.h,
rtnetlink.h and neighbour.h.
"""

import struct
from collections.abc import Sequence
from enum import Enum, IntFlag
from ipaddress import IPv4Interface
from typing import Any

from msgspec import Struct, field

from netns.values import (
    GROUP,
    MARK,
    AddressFlag,
    IPAddress,
    IPInterface,
    IPNetwork,
    NeighbourState,
    Scope,
)

Attribute = tuple[str, Any]

AF_INET, AF_INET6 = 2, 10
MAIN_TABLE = 254
_DOOMED = GROUP + 1
_UNICAST, _UNREACHABLE = 1, 7
_ONLINK = 4
_UP = 0x1
_USE = 0x1  # NTF_USE of linux/neighbour.h
_FOREVER = 0xFFFFFFFF
_NO_LL_LEARN = 1  # BR_BOOLOPT_NO_LL_LEARN of linux/if_bridge.h, as a bit
BOND_MODES = {"active-backup": 1, "802.3ad": 4}  # linux/if_bonding.h
_NOWHERE = 255  # as the scope of a route to delete: any


class Noun(Enum):
    LINK = "link"
    ADDRESS = "address"
    ROUTE = "route"
    NEIGHBOUR = "neighbour"


class Flag(IntFlag):
    """NLM_F_* of linux/netlink.h."""

    NONE = 0
    REQUEST = 0x1
    ACK = 0x4
    REPLACE = 0x100
    EXCL = 0x200
    DUMP = 0x300
    CREATE = 0x400


class Request(Struct, frozen=True):
    noun: Noun
    fields: dict[str, int] = field(default_factory=dict)
    attributes: Sequence[Attribute] = ()


class RefusedError(Exception):
    """The kernel said no: `errno`, and `reason` in its own words where it has some."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.errno, self.reason = code, reason


def new_link(
    name: str,
    kind: str,
    *,
    mac: str | None = None,
    lower: int | None = None,
    data: Sequence[Attribute] = (),
) -> Request:
    info: list[Attribute] = [("IFLA_INFO_KIND", kind)]
    if data:
        info.append(("IFLA_INFO_DATA", {"attrs": list(data)}))
    birth = _birth(name, mac)
    if lower is not None:
        birth.append(("IFLA_LINK", lower))
    return Request(Noun.LINK, {}, [*birth, ("IFLA_LINKINFO", {"attrs": info})])


def new_bridge(name: str, *, mac: str | None) -> Request:
    """A bridge that forwards from the first moment: no delay, no STP, no snooping.

    Frames to 01:80:c2:00:00:xx teach it nothing: they pass no hook of nftables, so a port could
    take any MAC by them.
    """
    quick = ("IFLA_BR_FORWARD_DELAY", "IFLA_BR_STP_STATE", "IFLA_BR_MCAST_SNOOPING")
    data: list[Attribute] = [(setting, 0) for setting in quick]
    data.append(("IFLA_BR_MULTI_BOOLOPT", struct.pack("=II", _NO_LL_LEARN, _NO_LL_LEARN)))
    return new_link(name, "bridge", mac=mac, data=data)


def new_veth(
    name: str, *, mac: str | None, peer: str, peer_mac: str | None, peer_fd: int
) -> Request:
    """`peer_fd`: the namespace in which the peer is born."""
    born = [*_birth(peer, peer_mac), ("IFLA_NET_NS_FD", peer_fd)]
    return new_link(name, "veth", mac=mac, data=[("VETH_INFO_PEER", {"attrs": born})])


def new_vlan(name: str, *, lower: int, number: int) -> Request:
    """The traffic of link `lower` that is tagged with this number (802.1Q)."""
    return new_link(name, "vlan", lower=lower, data=[("IFLA_VLAN_ID", number)])


def new_bond(name: str, mode: str) -> Request:
    """`mode` in the kernel's words. A carrier is looked at each 100 ms; 802.3ad: LACP each second,
    and flows are told apart by addresses and ports.
    """
    data: list[Attribute] = [("IFLA_BOND_MODE", BOND_MODES[mode]), ("IFLA_BOND_MIIMON", 100)]
    if mode == "802.3ad":
        data += [("IFLA_BOND_AD_LACP_RATE", 1), ("IFLA_BOND_XMIT_HASH_POLICY", 1)]
    return new_link(name, "bond", data=data)


def changed_link(
    index: int,
    *,
    up: bool | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    master: int | None = None,
    name: str | None = None,
    role: str | None = None,
) -> Request:
    alias = None if role is None else role and f"{MARK}{role}"
    wanted = {
        "IFLA_ADDRESS": mac,
        "IFLA_MTU": mtu,
        "IFLA_IFNAME": name,
        "IFLA_MASTER": master,
        "IFLA_IFALIAS": alias,
    }
    fields = {"index": index}
    if up is not None:
        fields |= {"flags": _UP if up else 0, "change": _UP}
    return Request(Noun.LINK, fields, [(k, v) for k, v in wanted.items() if v is not None])


def marked_link(name: str, role: str) -> Request:
    """The link of that name is ours from now on."""
    return Request(Noun.LINK, {}, [("IFLA_IFNAME", name), ("IFLA_IFALIAS", f"{MARK}{role}")])


def doomed_link(index: int) -> Request:
    """Into the group that `doomed_links` names."""
    return Request(Noun.LINK, {"index": index}, [("IFLA_GROUP", _DOOMED)])


def doomed_links() -> Request:
    """All links of that group, to delete them."""
    return Request(Noun.LINK, {}, [("IFLA_GROUP", _DOOMED)])


def changed_port(index: int, *, isolated: bool | None, learning: bool | None) -> Request:
    """The settings of a bridge port; there is nothing to ask when the attributes are empty."""
    wanted = {"IFLA_BRPORT_ISOLATED": isolated, "IFLA_BRPORT_LEARNING": learning}
    data = [(key, int(value)) for key, value in wanted.items() if value is not None]
    if not data:
        return Request(Noun.LINK)
    info = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": data})]
    return Request(Noun.LINK, {"index": index}, [("IFLA_LINKINFO", {"attrs": info})])


def moved_link(index: int, fd: int, name: str | None) -> Request:
    rename = [("IFLA_IFNAME", name)] if name else []
    return Request(Noun.LINK, {"index": index}, [("IFLA_NET_NS_FD", fd), *rename])


def new_address(
    index: int,
    interface: IPInterface,
    *,
    valid_s: int | None,
    preferred_s: int | None,
    nodad: bool,
) -> Request:
    """Lifetimes of None are for ever; `preferred_s` is cut to `valid_s`."""
    valid = _FOREVER if valid_s is None else valid_s
    preferred = valid if preferred_s is None else min(preferred_s, valid)
    lifetimes = {"ifa_preferred": preferred, "ifa_valid": valid, "cstamp": 0, "tstamp": 0}
    flags = AddressFlag.NODAD if nodad else AddressFlag(0)
    bare = old_address(index, interface)
    broadcast: list[Attribute] = []
    if isinstance(interface, IPv4Interface) and interface.network.prefixlen < 31:
        broadcast = [("IFA_BROADCAST", str(interface.network.broadcast_address))]
    extra = [("IFA_CACHEINFO", lifetimes), ("IFA_FLAGS", int(flags))]
    return Request(bare.noun, bare.fields, [*bare.attributes, *broadcast, *extra])


def probed_neighbour(link: int, address: IPAddress, mac: str) -> Request:
    """With a MAC the kernel checks it now (NUD_PROBE), without one it looks for it (NTF_USE)."""
    fields = {"family": kernel_family(address.version), "ifindex": link}
    if not mac:
        return Request(Noun.NEIGHBOUR, fields | {"flags": _USE}, [("NDA_DST", str(address))])
    fields["state"] = int(NeighbourState.PROBE)
    return Request(Noun.NEIGHBOUR, fields, [("NDA_DST", str(address)), ("NDA_LLADDR", mac)])


def old_address(index: int, interface: IPInterface) -> Request:
    """Names an address, to delete it."""
    fields = {
        "family": kernel_family(interface.version),
        "prefixlen": interface.network.prefixlen,
        "index": index,
    }
    text = str(interface.ip)
    local = [("IFA_LOCAL", text)] if interface.version == 4 else []
    return Request(Noun.ADDRESS, fields, [*local, ("IFA_ADDRESS", text)])


def new_route(
    destination: IPNetwork | None,
    *,
    link: int,
    via: IPAddress | None,
    metric: int | None,
    family: int | None,
    onlink: bool,
    protocol: int,
) -> Request:
    bare = old_route(destination, link=link, via=via, metric=metric, family=family)
    direct = via is None and bare.fields["family"] == AF_INET
    extra = {
        "proto": protocol,
        "flags": _ONLINK if onlink else 0,
        "scope": Scope.LINK if direct else Scope.UNIVERSE,
    }
    return Request(bare.noun, {**bare.fields, **extra}, bare.attributes)


def old_route(
    destination: IPNetwork | None,
    *,
    link: int,
    via: IPAddress | None,
    metric: int | None,
    family: int | None,
) -> Request:
    """Names a route, to delete it."""
    known = destination or via
    version = known.version if known is not None else family
    if version is None:
        raise ValueError("a default route without `via` needs its family")
    fields = {
        "family": kernel_family(version),
        "dst_len": destination.prefixlen if destination is not None else 0,
        "table": MAIN_TABLE,
        "scope": _NOWHERE,
        "type": _UNICAST,
    }
    named = {
        "RTA_DST": str(destination.network_address) if destination is not None else None,
        "RTA_OIF": link,
        "RTA_GATEWAY": str(via) if via is not None else None,
        "RTA_PRIORITY": metric,
    }
    return Request(Noun.ROUTE, fields, [(k, v) for k, v in named.items() if v is not None])


def refused_route(destination: IPNetwork, *, protocol: int) -> Request:
    """Who sends there is told that nobody is there."""
    fields = {
        "family": kernel_family(destination.version),
        "dst_len": destination.prefixlen,
        "table": MAIN_TABLE,
        "scope": Scope.UNIVERSE,
        "type": _UNREACHABLE,
        "proto": protocol,
    }
    return Request(Noun.ROUTE, fields, [("RTA_DST", str(destination.network_address))])


def all_routes(family: int) -> Request:
    """The main table of one family (4 or 6); the kernel filters."""
    fields = {"family": kernel_family(family), "table": MAIN_TABLE}
    return Request(Noun.ROUTE, fields, [("RTA_TABLE", MAIN_TABLE)])


def kernel_family(version: int) -> int:
    return AF_INET if version == 4 else AF_INET6


def _birth(name: str, mac: str | None) -> list[Attribute]:
    """Our group at once: the alias can only be set on a link that exists."""
    address = [("IFLA_ADDRESS", mac)] if mac else []
    return [("IFLA_IFNAME", name), ("IFLA_GROUP", GROUP), *address]

"""Other people's firewalls on the host, and whether bridged frames shall pass them. Pure.

With br_netfilter, frames between the port of `zos` or `br-pub` and ndmz's uplinks pass the host's
forward chains. One of Docker's, with policy drop, cuts ndmz off. Foreign tables are never edited: either
bridged frames stay out of the firewall, or the operator hears which table it is and what to do.
"""

import re
from typing import Literal

from msgspec import Struct

from agent.boot.recover import BRIDGE
from agent.ndmz.pair import FAR

OURS = "zosnet_"
KEYS = tuple(f"net/bridge/bridge-nf-call-{kind}" for kind in ("iptables", "ip6tables", "arptables"))
_TABLE = re.compile(r"^table (?P<family>\S+) (?P<name>\S+) \{$")
_FORWARD = re.compile(r"^\s+type filter hook forward priority [^;]*;(?: policy (?P<policy>\w+);)?")


class ForeignChain(Struct, frozen=True):
    table: str  # "ip filter"
    policy: str  # accept or drop


class Verdict(Struct, frozen=True):
    """What to do with bridge-nf-call-*, and what to tell the operator."""

    switch_off: bool
    said: str
    warning: str | None = None
    shut: str | None = None  # what may drop ndmz's IPv4 where that goes through the host


def find_foreign(listing: str, *, legacy_tables: str = "") -> tuple[ForeignChain, ...]:
    """Forward hooks in `nft list chains` (or ruleset) that are not ours.

    `legacy_tables` is /proc/net/ip_tables_names: iptables-legacy does not show in nftables.
    """
    found, table = [], ""
    for line in listing.splitlines():
        if begin := _TABLE.match(line):
            table = "" if begin["name"].startswith(OURS) else f"{begin['family']} {begin['name']}"
        elif table and (hook := _FORWARD.match(line)) and not table.startswith("bridge "):
            found.append(ForeignChain(table, hook["policy"] or "accept"))
    if "filter" in legacy_tables.split():
        found.append(ForeignChain("iptables-legacy filter", "unknown"))
    return tuple(found)


def judge(
    setting: Literal["auto", "keep", "off"],
    foreign: tuple[ForeignChain, ...],
    *,
    bridge: str = BRIDGE,
) -> Verdict:
    """What `host.bridge_nf` means where these firewalls are loaded. `bridge`: ndmz's uplinks are there."""
    if setting == "off":
        return Verdict(switch_off=True, said="off, by config")
    names = ", ".join(dict.fromkeys(chain.table for chain in foreign))
    if setting == "auto" and not foreign:
        return Verdict(switch_off=True, said="off")
    said = "kept, by config" if setting == "keep" else f"kept: foreign firewall {names}"
    if all(chain.policy == "accept" for chain in foreign):
        return Verdict(switch_off=False, said=said)
    warning = (
        f"the host's firewall ({names}) may drop what passes bridge {bridge}: set host.bridge_nf to"
        f' "off", or accept it there: iptables -I FORWARD -i {bridge} -o {bridge} -j ACCEPT (and'
        " ip6tables)"
    )
    return Verdict(switch_off=False, said=said, warning=warning)


def judge_sharing(foreign: tuple[ForeignChain, ...]) -> str | None:
    """What to say where ndmz's IPv4 goes through the host: all of it passes these firewalls."""
    names = ", ".join(dict.fromkeys(c.table for c in foreign if c.policy != "accept"))
    if not names:
        return None
    return (
        f"the host's firewall ({names}) may drop ndmz's IPv4, which goes through the host: accept it"
        f" there: iptables -I FORWARD -i {FAR} -j ACCEPT; iptables -I FORWARD -o {FAR} -j ACCEPT"
    )

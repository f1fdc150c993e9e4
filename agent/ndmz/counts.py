"""How many tracked flows a workload may have, as sets of nftables that outlive every load. Pure.

Each workload has an element in the set of its family, and the element does the counting. Its first packet
brings it, and the kernel takes it away when its last flow has ended: those that a load brings some kernels
take away for good (before 6.10). A set that is emptied would forget, and a workload that makes the
guard load again would have its share once more.
"""

import re

SETS = {4: ("flows4", "ipv4_addr"), 6: ("flows6", "ipv6_addr")}
# Tracked flows a workload and family. The kernel's table is one for all of them (262 144 by default):
# one that fills it would cut the others off.
FLOWS_MAX = 16_384
_LIMIT = re.compile(r"ct count over (\d+)")
_COUNTED = re.compile(r"\n\t+elements = \{[^}]*ct count over[^}]*\}")


def flows_each(table: int | None, workloads: int) -> int:
    """Their share where the host tracks them too: half of the host's table (`table` entries) stays
    its own.
    """
    if table is None:
        return FLOWS_MAX
    return min(FLOWS_MAX, table // 2 // max(1, workloads))


def render_sets(table: str) -> list[str]:
    kinds = SETS.values()
    return [
        f"add set {table} {name} {{ type {kind} ; size 65536 ; flags dynamic ; }}"
        for name, kind in kinds
    ]


def render_rule(family: int, flows_max: int) -> str:
    field = {4: "ip", 6: "ip6"}[family]
    return f"add @{SETS[family][0]} {{ {field} saddr ct count over {flows_max} }} drop"


def render_forget(table: str, listing: str, flows_max: int) -> str:
    """Before all else where `listing` of the table has another limit: an element keeps the one that it
    began with.
    """
    if set(_LIMIT.findall(listing)) <= {str(flows_max)}:
        return ""
    return "".join(f"flush set {table} {name}\n" for name, _ in SETS.values())


def without_counts(listing: str) -> str:
    """What nft lists, without the elements: packets bring them, and the kernel takes them away."""
    return _COUNTED.sub("", listing)

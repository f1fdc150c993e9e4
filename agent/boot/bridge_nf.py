"""Whether bridged frames pass the host's firewall (`host.bridge_nf`), decided in one place.

With br_netfilter loaded, frames between the ports of `zos` go through the host's forward chains
as well; a firewall that drops there (Docker's does) cuts npub4 and npub6 off. By default this is
switched off, but where a foreign firewall is loaded it is kept: somebody may rely on it. Then the
status names the tables and both remedies. Foreign tables are never edited.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from agent.boot.status import BridgeNf
from netns.nft import Nft
from netns.spaces import HOST, Spaces
from netns.sysctl import read_sysctl, set_sysctls

log = logging.getLogger(__name__)

KEYS = tuple(f"net/bridge/bridge-nf-call-{what}tables" for what in ("ip", "ip6", "arp"))
OURS = "zosnet_"
FAMILIES = ("ip", "ip6", "inet", "arp")  # those whose chains see bridged frames by br_netfilter
LEGACY = (Path("/proc/net/ip_tables_names"), Path("/proc/net/ip6_tables_names"))


async def settle_bridge_nf(spaces: Spaces, setting: str, *, space: str = HOST) -> BridgeNf:
    """Bring the sysctls of `space` to `setting` (auto, keep, off) and say how it stands."""
    values = [await read_sysctl(spaces, space, key) for key in KEYS]
    if not any(value == "1" for value in values):
        return BridgeNf(active=False)
    foreign = () if setting == "off" else await _foreign_tables(spaces, space)
    if setting == "off" or (setting == "auto" and not foreign):
        await set_sysctls(spaces, space, dict.fromkeys(KEYS, "0"), skip_missing=True)
        return BridgeNf(active=False)
    log.warning("bridged frames pass the host's firewall", extra={"tables": ", ".join(foreign)})
    return BridgeNf(active=True, tables=foreign, remedies=remedies(foreign))


def remedies(tables: Iterable[str]) -> tuple[str, ...]:
    """What a person may do when frames between the ports of `zos` are dropped."""
    rules = [
        f"nft insert rule {table} FORWARD iifname zos oifname zos accept"
        for table in tables
        if table.split()[0] in ("ip", "ip6", "inet")
    ]
    return ('set host.bridge_nf: "off" in agent.yaml', *rules)


def foreign(tables: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Those of `tables` (family, name) that are not ours and see bridged frames."""
    return tuple(
        f"{family} {name}"
        for family, name in sorted(tables)
        if family in FAMILIES and not name.startswith(OURS)
    )


async def _foreign_tables(spaces: Spaces, space: str) -> tuple[str, ...]:
    nft = await Nft.open(spaces, space)
    try:
        found = foreign(await nft.tables())
    finally:
        await nft.close()
    return (*found, *await spaces.run(space, _legacy_tables))


def _legacy_tables() -> tuple[str, ...]:
    """Tables of the iptables of old, which nft does not list."""
    names = []
    for path in LEGACY:
        try:
            names += [f"{path.stem.removesuffix('_names')} {n}" for n in path.read_text().split()]
        except OSError:  # the module is not loaded
            continue
    return tuple(names)

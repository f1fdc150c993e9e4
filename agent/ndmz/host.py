"""Whether bridged frames pass the host's firewall: looked at, and switched off where nobody minds."""

from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from agent.ndmz.firewall import KEYS, ForeignChain, Verdict, find_foreign, judge, judge_sharing
from agent.ndmz.plan import HOST
from netns.nft import Nft
from netns.spaces import Spaces
from netns.sysctl import set_sysctls

_LEGACY_TABLES = Path("/proc/thread-self/net/ip_tables_names")


async def mind_host_firewall(
    spaces: Spaces,
    nft: Nft,
    setting: Literal["auto", "keep", "off"],
    *,
    bridge: str,
    shared: bool,
) -> Verdict:
    """Do what `host.bridge_nf` means here; `nft` is the host's, `bridge` that of ndmz's uplinks.
    Raises CannotError.
    """
    foreign = await find_firewalls(spaces, nft)
    verdict = judge(setting, foreign, bridge=bridge)
    if shared:
        verdict = replace(verdict, shut=judge_sharing(foreign))
    if verdict.switch_off:
        await set_sysctls(spaces, HOST, dict.fromkeys(KEYS, "0"), skip_missing=True)
    return verdict


async def find_firewalls(spaces: Spaces, nft: Nft) -> tuple[ForeignChain, ...]:
    """Other people's on the host. Raises CannotError."""
    legacy = await spaces.run(HOST, read_legacy_tables)
    return find_foreign(await nft.listing("chains"), legacy_tables=legacy)


def read_legacy_tables() -> str:
    """Of the namespace we are in."""
    try:
        return _LEGACY_TABLES.read_text()
    except OSError:  # no iptables-legacy on this kernel
        return ""

"""The host's network as zosnet finds it: settings, NICs, other people's firewalls, and leftovers.

findings = await examine(config)
"""

import os
import re
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from agent.boot import status as boot_status
from agent.boot.nics import why_never
from agent.boot.recover import BRIDGE, PREFIX, PROBE_ROLE
from agent.boot.status import BootStatus
from agent.config import AgentConfig
from agent.doctor.finding import Finding, fail, ok, refused, unknown, warn
from agent.ndmz.firewall import KEYS, OURS, ForeignChain, judge, judge_sharing
from agent.ndmz.host import find_firewalls
from agent.ndmz.host_guard import TABLE
from agent.ndmz.pair import FAR
from agent.ndmz.plan import HOST_ENDS, SPACE
from netns.netlink import Netlink
from netns.nft import Nft
from netns.spaces import DIRECTORY, HOST, Spaces
from netns.sysctl import read_sysctl
from netns.values import Link
from runtime.failure import CannotError

LINKS = (BRIDGE, *HOST_ENDS, FAR)  # what zosnet makes on the host
_SPACES = re.compile(rf"{SPACE}|{PREFIX}\d+|n-[0-9a-f]{{12}}")


class Host(Struct, frozen=True):
    spaces: Spaces
    netlink: Netlink
    config: AgentConfig
    boot: BootStatus | None
    links: tuple[Link, ...]

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)

    async def setting(self, key: str) -> str | None:
        return await read_sysctl(self.spaces, HOST, key)


async def examine(config: AgentConfig) -> list[Finding]:
    spaces = Spaces()
    try:
        netlink = await Netlink.open(spaces)
        try:
            links = tuple(await netlink.links())
            host = Host(spaces, netlink, config, boot_status.load(), links)
            return [
                finding for about, check in CHECKS for finding in await _look(about, check, host)
            ]
        finally:
            await netlink.close()
    finally:
        spaces.close()


async def _look(about: str, check: "Check", host: Host) -> list[Finding]:
    try:
        return await check(host)
    except (CannotError, OSError) as error:
        return [refused(about, error)]


# -- NICs and settings


async def check_nics(host: Host) -> list[Finding]:
    """Those that may become the uplink; some may be away in their probe namespaces."""
    away = [nic.name for nic in host.boot.nics] if host.boot else []
    reasons = {link.name: why_never(link, host.config.eligible) for link in host.links}
    may = [name for name, reason in reasons.items() if reason is None]
    if may or away:
        return [ok("NICs", f"may become the uplink: {', '.join(dict.fromkeys([*may, *away]))}")]
    others = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if name != "lo")
    said = f"none may become the uplink: {others or 'there is none'}"
    return [fail("NICs", said, "nics in agent.yaml says which may: nics.kinds, include, exclude")]


async def check_ipv6(host: Host) -> list[Finding]:
    """Whether an RA's default route stays: forwarding purges it unless accept_ra is 2."""
    scope = f"net/ipv6/conf/{BRIDGE if host.link(BRIDGE) else 'all'}"
    if await host.setting(f"{scope}/disable_ipv6") == "1":
        return [warn("host's IPv6", f"{scope}/disable_ipv6 is 1", _set(f"{scope}/disable_ipv6", 0))]
    accept = await host.setting(f"{scope}/accept_ra")
    forwards = await host.setting("net/ipv6/conf/all/forwarding") == "1"
    if host.link(BRIDGE) and (accept == "0" or (accept == "1" and forwards)):
        said = f"{scope}/accept_ra is {accept}: the default route of a router is not taken"
        return [fail("host's IPv6", said, _set(f"{scope}/accept_ra", 2))]
    return [ok("host's IPv6", "a router's advertisements count")]


async def check_rp_filter(host: Host) -> list[Finding]:
    """Strict, it drops what arrives by `zos` while the best default route is another's."""
    about, zos = "reverse path", host.link(BRIDGE)
    if zos is None:
        return [ok(about, "there is no zos yet")]
    keys = [f"net/ipv4/conf/{scope}/rp_filter" for scope in ("all", BRIDGE)]
    values = [await host.setting(key) or "0" for key in keys]
    defaults = [r for r in await host.netlink.routes(4) if r.destination is None]
    best = min(defaults, key=lambda route: route.metric, default=None)
    if best is None or best.link == zos.index or max(values) != "1":
        return [ok(about, f"nothing is dropped (rp_filter {max(values)})")]
    said = f"rp_filter is 1 and the default route is not by {BRIDGE}: what comes there is dropped"
    return [warn(about, said, f"take that route away, or: {_set(keys[values.index('1')], 2)}")]


def _set(key: str, value: int) -> str:
    return f"sysctl -w {key}={value}"


# -- what others made


async def check_firewalls(host: Host) -> list[Finding]:
    if os.geteuid():
        return [unknown("firewalls"), unknown("tables")]
    nft = await Nft.open(host.spaces, HOST)
    try:
        foreign = await find_firewalls(host.spaces, nft)
        tables = await nft.tables()
    finally:
        await nft.close()
    passed = await host.setting(KEYS[0]) == "1"
    shares = host.link(FAR) is not None
    return [*_firewalls(foreign, host.config, passed=passed, shares=shares), _tables(tables)]


def _firewalls(
    foreign: tuple[ForeignChain, ...], config: AgentConfig, *, passed: bool, shares: bool
) -> list[Finding]:
    """`passed`: bridged frames pass them; `shares`: ndmz's IPv4 goes through the host."""
    warning = judge(config.host.bridge_nf, foreign).warning if passed else None
    warnings = [warning, judge_sharing(foreign) if shares else None]
    found = [warn("firewalls", *_halves(text)) for text in warnings if text]
    if found:
        return found
    names = ", ".join(dict.fromkeys(f"{chain.table} ({chain.policy})" for chain in foreign))
    return [ok("firewalls", f"nothing of ours passes {names}" if names else "none of others")]


def _halves(text: str) -> tuple[str, str]:
    """What is so, and what to do."""
    said, _, todo = text.partition(": ")
    return said, todo


def _tables(tables: Iterable[tuple[str, str]]) -> Finding:
    named = [f"{family} {name}" for family, name in sorted(tables) if name.startswith(OURS)]
    strange = [name for name in named if name != f"ip {TABLE}"]
    if strange:
        said = f"zosnet has no {', '.join(strange)} on the host: somebody else's"
        return fail("tables", said, f"look with: nft list table {strange[0]}; rename or delete it")
    return ok("tables", ", ".join(named) or "none of ours on the host")


async def check_links(host: Host) -> list[Finding]:
    found = []
    for link in host.links:
        where = f"ip -d link show {link.name}"
        if link.half_made:
            said = f"{link.name} is half-made: a start was killed"
            found.append(warn("links", said, "nothing: the next start makes it anew"))
        elif link.name in LINKS and link.role is None:
            said = f"{link.name} exists and is not ours"
            found.append(fail("links", said, f"look with: {where}; rename or delete it"))
    return found or [ok("links", "none of our names is taken")]


async def check_spaces(host: Host) -> list[Finding]:
    if os.geteuid():
        return [unknown("namespaces of ours")]
    ours = host.spaces.ours()
    named = sorted(path.name for path in DIRECTORY.glob("*") if _SPACES.fullmatch(path.name))
    found = [
        fail(
            "namespaces of ours",
            f"{name} exists and is not ours",
            f"look with: ip -n {name} address; remove it with: ip netns delete {name}",
        )
        for name in named
        if name not in ours and host.spaces.exists(name)
    ]
    probes = [name for name, role in ours.items() if role == PROBE_ROLE]
    if probes and not _boot_lives(host.boot):
        said = f"{', '.join(probes)}: a boot was killed, its NICs are still there"
        found.append(warn("namespaces of ours", said, "zosnet-agent internet brings them home"))
    return found or [ok("namespaces of ours", ", ".join(ours) or "none yet")]


def _boot_lives(boot: BootStatus | None) -> bool:
    """It is under way, or came to its end: then the other NICs wait there."""
    return boot is not None and (boot.stands or Path(f"/proc/{boot.pid}").exists())


Check = Callable[[Host], Coroutine[Any, Any, list[Finding]]]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("NICs", check_nics),
    ("host's IPv6", check_ipv6),
    ("reverse path", check_rp_filter),
    ("firewalls", check_firewalls),
    ("links", check_links),
    ("namespaces of ours", check_spaces),
)

"""Make the chosen NIC the one port of `zos`, and give `zos` its lease: each step once or twice, the
same.

    bridge = await ensure_bridge(spaces, home, mac)
    await ensure_port(spaces, home, bridge, nic)
    await ensure_address(home, bridge, lease, now, probed=True)
    await ensure_standby(spaces, home, config.nics)

The bridge takes the NIC's MAC before the NIC becomes its port: to the DHCP server and to SLAAC it
is the same machine that was probed, and nobody hears of another address.
"""

import logging

from agent.boot.recover import (
    BRIDGE,
    MOVED_KINDS,
    PREFIX,
    PROBE_ROLE,
    candidates,
    probe_space,
)
from agent.config import Nics
from agent.dhcp.apply import apply_lease
from agent.dhcp.keeper import DEFAULT_METRIC
from agent.dhcp.lease import Lease
from agent.static.config import Fixed
from agent.static.keeper import ensure_fixed
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from netns.values import IPInterface, Link
from runtime.failure import CannotError

log = logging.getLogger(__name__)

# accept_ra 2: networkd may switch forwarding on; with 1 the default route would go at that instant.
BRIDGE_SYSCTLS = {
    "disable_ipv6": "0",
    "accept_ra": "2",
    "router_solicitation_delay": "0",
    "use_tempaddr": "0",
}


async def ensure_bridge(spaces: Spaces, home: Netlink, mac: str) -> Link:
    """`zos`, ours, with this MAC; still down when it is new."""
    bridge = await home.link(BRIDGE)
    if bridge is None:
        bridge = await home.add_bridge(BRIDGE, role=BRIDGE, mac=mac)
    elif bridge.mac != mac:
        await home.set_link(bridge.index, mac=mac)
    values = {f"net/ipv6/conf/{BRIDGE}/{key}": value for key, value in BRIDGE_SYSCTLS.items()}
    await set_sysctls(spaces, HOST, values, skip_missing=True)
    return bridge


async def ensure_port(spaces: Spaces, home: Netlink, bridge: Link, name: str) -> None:
    """The NIC is a port, everything is up. Addresses belong to the bridge, so the NIC has no IPv6."""
    port = await home.link(name)
    if port is None:
        raise CannotError(f"cannot make {name} the port of {BRIDGE}: it is gone")
    quiet = {f"net/ipv6/conf/{name}/disable_ipv6": "1"}
    await set_sysctls(spaces, HOST, quiet, skip_missing=True)
    if port.master != bridge.index or not port.up:
        await home.set_link(port.index, master=bridge.index, up=True)
    # Last: the kernel asks for routers when the bridge comes up, and then its port is there.
    await home.set_link(bridge.index, up=True)


async def ensure_address(
    home: Netlink,
    bridge: Link,
    lease: Lease | None,
    now: float,
    *,
    probed: bool,
    fixed: Fixed | None = None,
) -> None:
    """Configure a valid lease at once, with its routes; INIT-REBOOT is the keeper's.

    Just `probed`, its address is the only IPv4 that `zos` may have; what an earlier NIC left goes.
    Else another address means that the keeper has got another lease since, which is left alone.
    `fixed`, static addresses, stand instead of any lease.
    """
    have = {a.interface for a in await home.addresses(bridge.index) if a.interface.version == 4}
    keep: set[IPInterface] = set()
    if fixed is not None:
        await ensure_fixed(home, bridge, fixed, metric=DEFAULT_METRIC)
        keep = set(fixed.addresses)
    elif lease is not None and lease.is_valid(now) and (probed or not have - {lease.address}):
        await apply_lease(home, bridge, lease, now=now, metric=DEFAULT_METRIC)
        keep = {lease.address}
    if probed or fixed is not None:
        for stale in have - keep:
            await home.delete_address(bridge.index, stale)


async def ensure_standby(spaces: Spaces, home: Netlink, nics: Nics) -> None:
    """Every other NIC is in its probe namespace, up, without address: ready to be probed again.

    One that cannot be brought there stays at home, down, and holds nothing up: a bond never can.
    """
    for link in await candidates(home, nics):
        try:
            await home.set_link(link.index, up=False)
            if not link.movable:
                continue
            await spaces.ensure(probe_space(link.index), role=PROBE_ROLE)
            await home.move(link.index, probe_space(link.index))
        except CannotError as error:
            log.warning("NIC not kept ready", extra={"nic": link.name, "why": error.message})
    for space, role in spaces.ours(PREFIX).items():
        if role == PROBE_ROLE:
            await _quiet(spaces, space)


async def _quiet(spaces: Spaces, space: str) -> None:
    inside = await Netlink.open(spaces, space)
    try:
        for link in await inside.links():
            if link.loopback or link.kind not in MOVED_KINDS:
                continue
            values = {f"net/ipv6/conf/{link.name}/disable_ipv6": "1"}
            await set_sysctls(spaces, space, values, skip_missing=True)
            if not link.up:
                await inside.set_link(link.index, up=True)
    except CannotError as error:
        log.warning("NIC not kept ready", extra={"space": space, "why": error.message})
    finally:
        await inside.close()

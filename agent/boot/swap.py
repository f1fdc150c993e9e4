"""Another NIC becomes the one port of `zos`.

    await swap_port(spaces, home, config.nics, space="znp-3", mac=mac, lease=lease,
                    static=config.static)

The old NIC goes into its probe namespace, the new one comes home with its MAC and its lease: its
address is on before the old one goes. What routers told of the old LAN goes with IPv6 of `zos`,
which is switched off and on. Killed in between, the next `internet` or `networkd` finds a bridge
without port and begins anew.
"""

import logging

from agent.boot import commit
from agent.boot.recover import BRIDGE, bring_home, observe
from agent.config import Nics
from agent.dhcp.lease import Lease
from agent.static.config import Static
from netns.netlink import Netlink
from netns.spaces import HOST, Spaces
from netns.sysctl import set_sysctls
from runtime.clock import boottime
from runtime.failure import CannotError

log = logging.getLogger(__name__)


async def swap_port(
    spaces: Spaces,
    home: Netlink,
    nics: Nics,
    *,
    space: str,
    mac: str,
    lease: Lease | None,
    static: Static,
) -> None:
    """`space`: the probe namespace of the NIC that takes over. Raises CannotError."""
    found = await observe(spaces, home, nics)
    if found.bridge is None:
        raise CannotError(f"cannot change the uplink: there is no {BRIDGE}")
    for port in found.uplinks:
        await home.set_link(port.index, master=0, up=False)
    names = await bring_home(spaces, home, space)
    if not names:
        raise CannotError(f"cannot change the uplink: there is no NIC in {space}")
    off = {f"net/ipv6/conf/{BRIDGE}/disable_ipv6": "1"}
    await set_sysctls(spaces, HOST, off, skip_missing=True)
    bridge = await commit.ensure_bridge(spaces, home, mac)
    await commit.ensure_port(spaces, home, bridge, names[0])
    nic = static.get(names[0])
    fixed = None if nic is None else nic.uplink
    await commit.ensure_address(home, bridge, lease, boottime(), probed=True, fixed=fixed)
    await commit.ensure_standby(spaces, home, nics)

"""Another LAN is behind `zos`: what ndmz learnt of the old one goes.

npub6 loses what the old routers told, and tracked flows go, since the address that they were
translated to is no more ours. npub4's lease is its keeper's.
"""

from agent.ndmz.guard import UPLINK6
from agent.ndmz.plan import SPACE
from agent.ndmz.watch import flush_flows
from netns.spaces import Spaces
from netns.sysctl import set_sysctls


async def renew_links(spaces: Spaces) -> None:
    """IPv6 of npub6 stays off; the next look switches it on. Raises CannotError."""
    off = {f"net/ipv6/conf/{UPLINK6}/disable_ipv6": "1"}
    await set_sysctls(spaces, SPACE, off, skip_missing=True)
    await flush_flows(spaces, SPACE)

"""What ndmz stands on, all of it at one go and cheaply: while it is as it was, a look is over.

    seen = await catch_glimpse(glances, lease, prefix)
    if seen != before: …look well…

Level, not edge: what somebody changed and changed back is nothing, and no event can be lost over it.
"""

from ipaddress import IPv6Network

from msgspec import Struct
from msgspec.structs import replace

from agent.dhcp.lease import Lease
from agent.ndmz import settings
from agent.ndmz.host import read_legacy_tables
from agent.ndmz.plan import HOST, SPACE
from netns.glance import Glances
from netns.values import View


class Glimpse(Struct, frozen=True):
    ndmz: View
    host: View
    legacy: str  # the tables of iptables-legacy on the host
    lease: Lease | None  # the host's, where it is shared
    prefix: IPv6Network | None  # the delegated one


async def catch_glimpse(
    glances: Glances,
    lease: Lease | None,
    prefix: IPv6Network | None,
    *,
    before: Glimpse | None = None,
) -> Glimpse:
    """With the settings of `before`: of them the kernel tells nobody, and to read them is half of the
    work. Raises CannotError.
    """
    minded, on_host = (settings.MINDED, settings.MINDED_ON_HOST) if before is None else ((), ())
    ndmz = _lasting(await glances.see(SPACE, keys=minded, rules=True))
    host = _lasting(await glances.see(HOST, keys=on_host, rules=True))
    if before is not None:
        ndmz = replace(ndmz, sysctls=before.ndmz.sysctls)
        host = replace(host, sysctls=before.host.sysctls)
    return Glimpse(ndmz, host, read_legacy_tables(), lease, prefix)


def _lasting(view: View) -> View:
    """Without the seconds that run down by themselves."""
    addresses = tuple(replace(a, valid_s=None, preferred_s=None) for a in view.addresses)
    return replace(view, addresses=addresses)

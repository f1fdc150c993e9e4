"""A lease that is given back before its time (DHCPRELEASE: RFC 2131, 4.4.6).

await give_back(spaces, "ndmz", "npub4", mac, lease)
await call_off(spaces, "znp-3", "eth1", mac, lease)      # was probed, and is not on the link

The server may give it to somebody else at once. It does not answer; one that did not hear it keeps
the lease until its end.
"""

import logging
import secrets
from contextlib import suppress

from agent.dhcp.apply import withdraw_lease
from agent.dhcp.keeper import DEFAULT_METRIC
from agent.dhcp.lease import Lease, client_id, hardware_address
from agent.dhcp.port import LinkPort
from agent.dhcp.store import forget_lease
from agent.dhcp.wire import MessageType, Query
from netns.netlink import Netlink
from netns.spaces import Spaces
from runtime.failure import CannotError

log = logging.getLogger(__name__)
SENT_WITHIN = 2.0  # seconds: ARP asks each second


def release_of(lease: Lease, mac: str, xid: int) -> Query:
    """With `ciaddr` and the server, and without option 50 (RFC 2131, table 5)."""
    return Query(
        type=MessageType.RELEASE,
        xid=xid,
        hardware=hardware_address(mac),
        client_id=client_id(mac),
        ciaddr=lease.address.ip,
        server=lease.server,
    )


async def call_off(spaces: Spaces, space: str, link: str, mac: str, lease: Lease) -> None:
    """To everybody on the link: there is no address from which to send it to the server."""
    port = LinkPort(spaces, space, link)
    with suppress(OSError, CannotError):  # the lease ends without it as well, later
        await port.send(release_of(lease, mac, secrets.randbits(32)), None)
    port.rest()


async def give_back(spaces: Spaces, space: str, link: str, mac: str, lease: Lease) -> None:
    """Say so as long as there is an address to say it from, then take it off. Raises CannotError."""
    port = LinkPort(spaces, space, link)
    with suppress(OSError, CannotError):  # no way to the server: it will find out
        await port.send(release_of(lease, mac, secrets.randbits(32)), lease.server)
        await port.until_sent(SENT_WITHIN)
    port.rest()
    forget_lease(mac)
    netlink = await Netlink.open(spaces, space)
    try:
        there = await netlink.link(link)
        if there is not None:
            await withdraw_lease(netlink, there, lease, metric=DEFAULT_METRIC)
    finally:
        await netlink.close()
    log.info("lease given back", extra={"link": link, "address": lease.address})

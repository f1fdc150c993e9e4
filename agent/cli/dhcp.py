"""`zosnet-agent dhcp LINK`: the process that keeps a link's lease, started by the supervisor.

Where agent.yaml gives the link's NIC static addresses, it keeps those and asks nobody.
It takes over the lease that `internet` or an earlier keeper stored in this boot. SIGTERM ends it
and leaves the address on: it has the lease's lifetime.
"""

import argparse
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from runtime.cli import require_root

if TYPE_CHECKING:
    from agent.static.config import Static

# Others go first: what starts beside it brings the node up, and a lease has half its time left.
BEHIND = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from agent.cli.patience import add_keep_trying

    parser.add_argument("link", metavar="LINK", help="the link, for example zos")
    parser.add_argument(
        "--metric",
        type=int,
        default=100,
        metavar="NUMBER",
        help="of the default route (default: 100)",
    )
    parser.add_argument("--no-dns", action="store_true", help="leave /etc/resolv.conf alone")
    parser.add_argument(
        "--static-routes",
        action="store_true",
        help="take the server's routes (option 121); any host on the link can then pull traffic",
    )

    add_keep_trying(parser)


def run(arguments: argparse.Namespace) -> int:
    require_root(f"keep the lease of {arguments.link}")
    with suppress(OSError):
        os.nice(BEHIND)
    from agent.cli.patience import start_or_wait

    return start_or_wait(arguments, lambda: _start(arguments))


def _start(arguments: argparse.Namespace) -> int:
    import asyncio

    from agent import config
    from runtime.log import start_logging

    settings = config.load()
    start_logging(settings.log, program=f"dhcp-{arguments.link}")
    return asyncio.run(_keep(arguments, settings.static))


async def _keep(arguments: argparse.Namespace, static: "Static") -> int:
    import asyncio
    import signal

    keeping = asyncio.create_task(_keep_link(arguments, static))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, keeping.cancel)
    try:
        await keeping
    except asyncio.CancelledError:
        return 0
    return 1


async def _keep_link(arguments: argparse.Namespace, static: "Static") -> None:
    from agent.dhcp.keeper import LinkGoneError, keep_lease
    from agent.dhcp.resolv import resolv_conf_path
    from agent.dhcp.store import load_lease
    from agent.static.config import static_port
    from agent.static.keeper import keep_fixed
    from netns.netlink import Netlink
    from netns.spaces import HOST, Spaces

    spaces = Spaces()
    try:
        netlink = await Netlink.open(spaces)
        links = await netlink.links()
        await netlink.close()
        link = next((link for link in links if link.name == arguments.link), None)
        if link is None:
            raise LinkGoneError(arguments.link, "there is no such link")
        resolv_conf = None if arguments.no_dns else resolv_conf_path(HOST)
        nic = static_port(links, link.name, static)
        if nic is not None:
            await keep_fixed(
                spaces,
                HOST,
                link.name,
                nic.uplink,
                metric=arguments.metric,
                resolv_conf=resolv_conf,
            )
        await keep_lease(
            spaces,
            HOST,
            link.name,
            link.mac,
            first=load_lease(link.mac),
            metric=arguments.metric,
            resolv_conf=resolv_conf,
            static_routes=arguments.static_routes,
        )
    finally:
        spaces.close()

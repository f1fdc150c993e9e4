"""`zosnet-agent plan`: which uplink `internet` would choose, from what is known; touches nothing."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from runtime.cli import add_output, print_items
from runtime.failure import Exit

if TYPE_CHECKING:
    from agent.boot.outlook import Outlook
    from agent.boot.status import BootStatus
    from netns.values import Link

COLUMNS = {
    "rank": "rank",
    "nic": "nic",
    "carrier": "carrier",
    "class": "class",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uplink": "uplink",
    "reason": "reason",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    from agent.boot import status
    from agent.boot.outlook import outlook
    from agent.config import load

    config, last = load(), status.load()
    seen = outlook(last, asyncio.run(_links()), config.nics)
    print_items("plan", _rows(seen, last), COLUMNS, output=arguments.output)
    return Exit.OK


def _rows(seen: "Outlook", last: "BootStatus | None") -> list[dict[str, Any]]:
    """`uplink`: "now" is the one in use, "next" what a new boot would take instead."""
    facts = {nic.name: nic for nic in last.nics} if last is not None else {}
    now = last.uplink.nic if last is not None and last.uplink is not None else None
    best = seen.choice.uplink.name if seen.choice.uplink is not None else None
    rows = []
    for rank, ranked in enumerate(seen.choice.ranking, 1):
        nic = facts.get(ranked.name)
        rows.append(
            {
                "rank": rank,
                "nic": ranked.name,
                "carrier": nic.carrier if nic is not None else None,
                "class": None if ranked.address_class is None else str(ranked.address_class),
                "ipv4": nic.ipv4 if nic is not None else None,
                "ipv6": list(nic.ipv6) if nic is not None else [],
                "uplink": "now" if ranked.name == now else "next" if ranked.name == best else None,
                "reason": ranked.reason,
            }
        )
    return rows + [{"nic": name, "reason": reason} for name, reason in seen.left_out]


async def _links() -> "list[Link]":
    from netns.netlink import Netlink
    from netns.spaces import Spaces

    spaces = Spaces()
    try:
        home = await Netlink.open(spaces)
        try:
            return await home.links()
        finally:
            await home.close()
    finally:
        spaces.close()

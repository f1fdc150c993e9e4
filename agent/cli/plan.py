"""`zosnet-agent plan`: which uplink a start would choose, and what it would change; touches nothing."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from runtime.cli import add_output, print_items, printable
from runtime.failure import Exit

if TYPE_CHECKING:
    from agent.boot.outlook import Outlook
    from agent.boot.status import BootStatus

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
    from agent.cli.outlook import read_outlook
    from agent.config import load
    from agent.preview import preview
    from agent.status import load_status

    last, daemon = status.load(), load_status()
    rows = _rows(read_outlook(), last, daemon.carrier.nic if daemon is not None else "")
    changes = asyncio.run(preview(load(), last))
    if arguments.output != "table":
        told = [{"where": change.where, "change": change.said} for change in changes]
        print_items("plan", [*rows, *told], {}, output=arguments.output)
        return Exit.OK
    print_items("plan", rows, COLUMNS, output=arguments.output)
    print("\na start would change nothing" if not changes else "\na start would")
    for change in changes:
        print(f"  {change.where:<8}{printable(change.said)}")
    return Exit.OK


def _rows(seen: "Outlook", last: "BootStatus | None", carrier: str) -> list[dict[str, Any]]:
    """`uplink`: "now" is the one in use, "next" what a new boot would take instead, "ndmz" carries
    ndmz alone.
    """
    facts = {nic.name: nic for nic in last.nics} if last is not None else {}
    now = last.uplink.nic if last is not None and last.uplink is not None else None
    best = seen.choice.uplink.name if seen.choice.uplink is not None else None
    uplinks = {carrier: "ndmz", best: "next", now: "now"}
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
                "uplink": uplinks.get(ranked.name),
                "reason": ranked.reason,
            }
        )
    return rows + [{"nic": name, "reason": reason} for name, reason in seen.left_out]

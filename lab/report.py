"""The demo's report: as JSON for programs, as tables for people. Pure but for `write`."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lab.checks import Check, Pair
from lab.view import PHASES, NodeView
from runtime.cli import table
from runtime.failure import CannotError, Exit

REASON_WIDTH = 34  # characters of a line in a table's cell
DETAIL_WIDTH = 100


def make_report(
    views: Mapping[str, NodeView], pairs: Sequence[Pair], checks: Sequence[Check]
) -> dict[str, Any]:
    """{ok, nodes, pings, checks}; `seconds` count from the start of the node's agent, and
    `first_ping` is null for a node that nobody was before.
    """
    return {
        "ok": bool(checks) and all(check.ok for check in checks),
        "nodes": [_node(view) for view in views.values()],
        "pings": [
            {
                "from": pair.source,
                "to": pair.target,
                "address": pair.address,
                "via": pair.via,
                "ok": pair.answer.answered,
                "detail": pair.answer.detail,
            }
            for pair in pairs
        ],
        "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks],
    }


def _node(view: NodeView) -> dict[str, Any]:
    uplink = view.boot.uplink
    return {
        "name": view.name,
        "layout": view.layout,
        "uplink": {
            "nic": uplink.nic if uplink else None,
            "class": uplink.address_class if uplink else None,
            "reason": uplink.reason if uplink else _lacks(view),
        },
        "ipv4": view.nic.ipv4,
        "ipv6": list(view.nic.ipv6),
        "ndmz": {"ready4": view.ndmz.ready4, "ready6": view.ndmz.ready6},
        "overlay": list(view.overlay),
        "seconds": {phase: view.seconds.get(phase) for phase in PHASES},
    }


def _lacks(view: NodeView) -> str | None:
    """Without an uplink: what each of its cards lacks."""
    return "; ".join(f"{nic.name}: {nic.reason}" for nic in view.boot.nics) or None


def write(path: Path, report: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report, indent=1) + "\n")
    except OSError as error:
        raise CannotError(
            f"cannot write the report to {path}: {error.strerror}", code=Exit.USAGE
        ) from error


def render(report: Mapping[str, Any]) -> str:
    """Nodes, seconds, the matrix and the checks, for a person."""
    parts = [_nodes_table(report), _seconds_table(report), _matrix(report), _checks(report)]
    return "\n\n".join(part for part in parts if part)


def _nodes_table(report: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for node in report["nodes"]:
        uplink = node["uplink"]
        families = [f"IPv{f}" for f in ("4", "6") if node["ndmz"][f"ready{f}"]]
        why = f"{uplink['nic'] or 'none'}: {uplink['reason']}" if uplink["reason"] else ""
        cells = (
            [node["name"]],
            textwrap.wrap(why, REASON_WIDTH),
            [a for a in (node["ipv4"], *node["ipv6"]) if a],
            families,
            node["overlay"],
        )
        rows += stack(*cells)
    return table(rows, ["node", "uplink and why", "addresses", "ndmz", "overlay"])


def stack(*cells: Sequence[str]) -> list[list[str]]:
    """One row of a table whose cells have several lines; an empty cell says "-"."""
    filled = [cell or ["-"] for cell in cells]
    return [list(line) for line in zip_longest(*filled, fillvalue="")]


def _seconds_table(report: Mapping[str, Any]) -> str:
    if not any(seconds is not None for n in report["nodes"] for seconds in n["seconds"].values()):
        return ""
    rows = [
        [node["name"], *(seconds_text(node["seconds"][phase]) for phase in PHASES)]
        for node in report["nodes"]
    ]
    return table(rows, ["seconds until", *(phase.replace("_", " ") for phase in PHASES)])


def seconds_text(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"


def _matrix(report: Mapping[str, Any]) -> str:
    """A row for who pings, a column for who is pinged: IPv4 / IPv6, and who relays it."""
    names = [node["name"] for node in report["nodes"]]
    if not report["pings"]:
        return ""
    rows = [
        [source, *(_cell(report["pings"], source, target) for target in names)] for source in names
    ]
    return table(rows, ["ping from \\ to", *names])


def _cell(pings: Sequence[Mapping[str, Any]], source: str, target: str) -> str:
    told = [p for p in pings if (p["from"], p["to"]) == (source, target)]
    told.sort(key=lambda ping: ":" in ping["address"])
    if not told:
        return "-"
    times = " / ".join(p["detail"] if p["ok"] else "SILENT" for p in told)
    return f"{times} via {told[0]['via']}" if told[0]["via"] else times


def _checks(report: Mapping[str, Any]) -> str:
    lines = []
    for check in report["checks"]:
        lines.append(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']}")
        indent = " " * 6
        lines += textwrap.wrap(
            check["detail"],
            DETAIL_WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
        )
    return "\n".join(lines)

"""`ncadm status`"""

import argparse
from typing import Any

from controller.admin.client import add_common, ask
from controller.admin.duration import since
from runtime.cli import lines, print_items

EXAMPLES = ("ncadm status", "ncadm status -o json")
COLUMNS: dict[str, str] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    items = ask(arguments, "status", {})
    if arguments.output == "table":
        print(lines(facts(items[0])))
    else:
        print_items("status", items, COLUMNS, output=arguments.output)
    return 0


def facts(status: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, a line each."""
    return [
        ("controller", _who(status)),
        ("endpoints", ", ".join(status["endpoints"]) or "none: see `endpoints` in controller.yaml"),
        ("server key", status["server_key"]),
        ("root key", status["root_key"]),
        ("networks", str(status["networks"])),
        ("members", _members(status)),
        ("sessions", _sessions(status)),
        ("pools", _pools(status)),
        ("tokens", f"{status['tokens_live']} can be used"),
        ("audit", _audit(status["last_audit"])),
        *_damaged(status["damaged"]),
        ("load", _load(status)),
        ("process", _process(status)),
    ]


def _who(status: dict[str, Any]) -> str:
    up = since(status["uptime_s"])
    return f"{status['controller']}, version {status['version']}, up {up} (pid {status['pid']})"


def _process(status: dict[str, Any]) -> str:
    cpu, memory = status["cpu_percent"], status["rss_mib"]
    return f"{cpu} % of a CPU, {memory} MiB; database {status['database_mib']} MiB"


def _members(status: dict[str, Any]) -> str:
    states = [f"{count} {state}" for state, count in status["states"].items() if count]
    some = f": {', '.join(states)}" if states else ""
    age = f" (counted {since(round(status['counted_s']))} ago)" if status["counted_s"] >= 1 else ""
    return f"{status['members']}{some}; {status['joined']} joined{age}"


def _sessions(status: dict[str, Any]) -> str:
    if not status["stale"]:
        return f"{status['online']} online"
    longest = since(round(status["longest_silence_s"]))
    return f"{status['online']} online, {status['stale']} of them silent, up to {longest}"


def _pools(status: dict[str, Any]) -> str:
    fullest = status["fullest_pool"]
    if fullest is None:
        return str(status["pools"])
    return (
        f"{status['pools']}; fullest {fullest['pool']} of {fullest['network']}:"
        f" {fullest['used']} used, {fullest['percent']} %"
    )


def _audit(last: dict[str, Any] | None) -> str:
    if last is None:
        return "empty"
    return f"{last['seq']} rows, the last {since(last['age_s'])} ago: {last['action']} by {last['actor']}"


def _damaged(count: int) -> list[tuple[str, str]]:
    """Nothing is said of what is as it should be."""
    if not count:
        return []
    return [("damaged", f"{count} rows do not fit to their sums: zosnet-controller check")]


def _load(status: dict[str, Any]) -> str:
    return (
        f"{status['waiting']} waiting, {status['busy']} told to come later,"
        f" {status['strangers']} strangers refused, {status['nonsense']} not understood"
    )

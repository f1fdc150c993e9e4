"""`zosnet-agent status`: what this node has, and what it waits for."""

import argparse
import json
import os
from typing import TYPE_CHECKING

from runtime.cli import SCHEMA, add_output, lines, table
from runtime.failure import Exit

if TYPE_CHECKING:
    from agent.explain import Facts
    from agent.overlay.status import NetworkStatus


EXAMPLES = ("zosnet-agent status", "zosnet-agent status -o json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    from agent import explain
    from agent.cli.facts import read_facts

    facts = read_facts()
    if arguments.output == "json":
        print(json.dumps(_json(facts), indent=1))
        return Exit.OK
    node = facts.daemon.node if facts.daemon else "-"
    print(lines([("node", f"{os.uname().nodename} ({node})"), *explain.summary(facts)]))
    for network in facts.networks:
        if network.peers:
            print(f"\n{_peers(network)}")
    waits = explain.waits(facts)
    if waits:
        print("\nnot as it should be:")
        print("\n".join(f"  {topic}: {said}" for topic, said in waits))
    return Exit.OK


def _peers(network: "NetworkStatus") -> str:
    from agent.explain import path_text

    rows = [
        [
            peer.name or peer.node,
            ", ".join(peer.addresses) or "-",
            path_text(peer),
            "-" if peer.handshake_age is None else f"{peer.handshake_age:.0f} s ago",
            ", ".join(f"{ms:.1f} ms" for ms in peer.answers.values()) or "no",
        ]
        for peer in network.peers
    ]
    return table(rows, ["peer", "addresses", "path", "handshake", "answers"])


def _json(facts: "Facts") -> dict[str, object]:
    import msgspec

    from agent.phases import PHASES

    item = {
        "hostname": os.uname().nodename,
        "running": facts.running,
        "seconds": {p: s for p in PHASES if (s := facts.phase(p)) is not None},
        "boot": msgspec.to_builtins(facts.boot),
        "ndmz": msgspec.to_builtins(facts.ndmz),
        "networkd": msgspec.to_builtins(facts.daemon),
    }
    return {"schema": SCHEMA, "kind": "status", "items": [item]}

"""`zosnet-lab up`: make the farm, let it live on, say how to use it."""

import argparse
import sys

from lab import record
from lab.farm import FARM, build_farm
from lab.world import World
from runtime.cli import require_root, require_tool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="farm", help="to tell farms apart (default: farm)")
    parser.add_argument("--capture", action="store_true", help="record what passes each switch")


def require_tools() -> None:
    what = "make a farm"
    require_root(what)
    for tool, package in (
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("dnsmasq", "dnsmasq-base"),
        ("nsenter", "util-linux"),
    ):
        require_tool(tool, package=package, what=what)


def run(arguments: argparse.Namespace) -> int:
    require_tools()
    record.refuse_second(arguments.name)
    with World(arguments.name, capture=arguments.capture) as world:
        farm = build_farm(world, FARM)
        kept = record.keep(farm)
    print(f"farm {kept.name} is up: {', '.join(kept.machines)}", file=sys.stderr)
    print("try: zosnet-lab exec n2 ip address; zosnet-lab status; zosnet-lab down", file=sys.stderr)
    return 0

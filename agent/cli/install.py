"""`zosnet-agent install`: write the units that start zosnet at boot, and start them where zinit runs."""

import argparse
import os

from runtime.failure import Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-start", action="store_true", help="only write the unit files, for the next boot"
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.boot.supervise import agent_program
    from agent.config import load
    from agent.identity import load_identity
    from runtime.cli import require_root, require_tool
    from zinit import units
    from zinit.client import AbsentError, Client
    from zinit.install import UNITS, ensure_unit, write_unit

    what = "install zosnet"
    require_root(what)
    load()  # a bad agent.yaml is said now, not at the next boot
    require_tool("nft", package="nftables", what=what)
    require_tool("wireguard-go", package="wireguard-go", what=what)
    identity = load_identity()
    program = agent_program()
    wanted = (units.internet(program), units.networkd(program))
    started = False
    if not arguments.no_start:
        try:
            for unit in wanted:
                ensure_unit(Client(), unit)
            started = True
        except AbsentError:
            pass
    if not started:
        for unit in wanted:
            write_unit(unit)
    print(f"node {identity.node_id} ({os.uname().nodename})")
    print(f"units {', '.join(unit.name for unit in wanted)} in {UNITS}")
    print("they run now" if started else "they start with the next boot of zinit")
    print("next: zosnet-agent join FILE")
    return Exit.OK

"""`zosnet-agent install`: write the units that start zosnet at boot, and start them where there is
somebody to run them.
"""

import argparse
import os

from runtime.failure import CannotError, Exit

EXAMPLES = (
    "zosnet-agent install",
    "zosnet-agent install --supervisor systemd",
    "zosnet-agent install --dry-run      # show the units and write nothing",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--supervisor",
        choices=("zinit", "systemd"),
        metavar="NAME",
        help="who runs them: zinit or systemd (default: as agent.yaml says)",
    )
    parser.add_argument(
        "--no-start", action="store_true", help="only write the unit files, for the next boot"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print the unit files")


def run(arguments: argparse.Namespace) -> int:
    from agent.boot.supervise import agent_program
    from agent.config import load
    from agent.identity import load_identity
    from agent.services import install_services, unit_texts
    from netns.wireguard.kernel import is_there
    from runtime.cli import require_root, require_tool

    what = "install zosnet"
    if not arguments.dry_run:
        require_root(what)
    config = load()  # a bad agent.yaml is said now, not at the next boot
    manager = arguments.supervisor or config.supervisor
    if manager == "none":
        raise CannotError(
            f"cannot {what}: agent.yaml says `supervisor: none`",
            hint="start `zosnet-agent internet` and `zosnet-agent networkd` yourself, or --supervisor",
            code=Exit.USAGE,
        )
    texts = unit_texts(manager, agent_program())
    if arguments.dry_run:
        print("\n".join(f"# {name}\n{text}" for name, text in texts.items()), end="")
        return Exit.OK
    require_tool("nft", package="nftables", what=what)
    if not is_there():
        require_tool("wireguard-go", package="wireguard-go", what=what)
    identity = load_identity()
    running = install_services(manager, agent_program(), start=not arguments.no_start)
    print(f"node {identity.node_id} ({os.uname().nodename})")
    print(f"units of {manager}: {', '.join(texts)}")
    print("they run now" if running else f"they start with the next boot of {manager}")
    print("next: zosnet-agent join FILE")
    return Exit.OK

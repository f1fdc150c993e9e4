"""`zosnet-agent leave`: leave a network for good; the controller frees its addresses."""

import argparse
import sys

from runtime.failure import CannotError, Exit

EXAMPLES = ("zosnet-agent leave home",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        metavar="NETWORK",
        help="its name or id, as status shows them; or the id of a farm without networks",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")


def run(arguments: argparse.Namespace) -> int:
    from agent.control import ask

    what = f"leave network {arguments.network}"
    if not arguments.yes and sys.stdin.isatty():
        answer = input(f"This node loses its addresses in {arguments.network}. Type yes: ")
        if answer.strip() != "yes":
            raise CannotError(f"cannot {what}: not confirmed", code=Exit.USAGE)
    ask("leave", what=what, network=arguments.network)
    print(f"left network {arguments.network}")
    return Exit.OK

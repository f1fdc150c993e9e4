"""`zosnet-agent token create`: let another node in, as a member with the role mint."""

import argparse
import sys
from pathlib import Path

from runtime import files
from runtime.duration import seconds
from runtime.failure import CannotError, Exit
from runtime.usage import add_verb

DAY = 86400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    create = add_verb(
        verbs,
        "create",
        "print a new join string; nobody can see it again",
        "zosnet-agent token create home",
        "zosnet-agent token create home --uses 5 --ttl 1h --output-file join",
    )
    create.add_argument("network", metavar="NETWORK", help="its name or id, as status shows them")
    create.add_argument(
        "--uses",
        type=int,
        default=1,
        metavar="COUNT",
        help="how many nodes it lets in, up to 100 (default: 1)",
    )
    create.add_argument(
        "--ttl",
        type=seconds,
        default=600,
        metavar="TIME",
        help="how long it lives, up to a day: 90s, 10m, 12h (default: 10m)",
    )
    create.add_argument(
        "--output-file",
        type=Path,
        metavar="FILE",
        help="write the join string there, readable by its owner only",
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.control import ask
    from protocol.messages import MINT_USES_MAX

    what = f"make a token of network {arguments.network}"
    if not 1 <= arguments.uses <= MINT_USES_MAX:
        raise CannotError(f"cannot {what}: --uses is 1 to {MINT_USES_MAX}", code=Exit.USAGE)
    if not 1 <= arguments.ttl <= DAY:
        raise CannotError(f"cannot {what}: --ttl is 1s to 1d", code=Exit.USAGE)
    text = ask(
        "mint",
        what=what,
        network=arguments.network,
        uses=arguments.uses,
        seconds=arguments.ttl,
    )
    if arguments.output_file is None:
        print(text)
        print("this is the only time it is shown", file=sys.stderr)
    else:
        files.write_atomic(arguments.output_file, text.encode() + b"\n")
    return Exit.OK

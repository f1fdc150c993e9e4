"""`zosnet-agent rotate-key`: another key for this node; places, addresses and tunnels stay.

Every farm is told of the next key by the present one, and the present one ends when the last of them has
let the next one in. A farm that is away keeps both alive until it is back.
"""

import argparse
import sys
import time

from runtime.cli import add_output, print_items
from runtime.failure import CannotError, Exit

EXAMPLES = ("zosnet-agent rotate-key", "zosnet-agent rotate-key --wait 0")
LOOK_EACH = 0.1  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait until it is done; it goes on by itself (default: 30)",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    from agent.control import ask

    what = "rotate this node's key"
    before = ask("keys", what=what)["key"]
    ask("rotate", what=what)
    end = time.monotonic() + arguments.wait
    while (now := ask("keys", what=what))["next_key"] and time.monotonic() < end:
        time.sleep(LOOK_EACH)
    if now["next_key"] and arguments.wait:
        raise CannotError(
            f"cannot finish within {arguments.wait:g} s: farm {', '.join(now['awaits'])} does not know"
            " the next key yet",
            hint="it goes on by itself: zosnet-agent status; a farm that is no more: zosnet-agent leave",
            code=Exit.NOT_CONVERGED,
        )
    item = {"before": before, "key": now["next_key"] or now["key"], "done": not now["next_key"]}
    if arguments.output == "table":
        print(item["key"])
        print(f"instead of {before}", file=sys.stderr)
    else:
        print_items("key", [item], {"key": "key"}, output=arguments.output)
    return Exit.OK

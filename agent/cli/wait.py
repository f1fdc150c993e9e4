"""`zosnet-agent wait`: return when the node has come that far; exit 9 when it has not in time."""

import argparse
import time

from runtime.failure import CannotError, Exit

LOOK_EACH = 0.05  # seconds
SHARE = 10  # pauses, in times of a look: a slow machine needs its processor for what is waited for

EXAMPLES = ("zosnet-agent wait", "zosnet-agent wait uplink --timeout 20")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from agent.phases import PHASES

    parser.add_argument(
        "phase",
        nargs="?",
        choices=PHASES,
        default="overlay",
        metavar="PHASE",
        help=f"{', '.join(PHASES)} (default: overlay)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="then give up, with exit code 9 (default: 60)",
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.phases import look

    deadline = time.monotonic() + arguments.timeout
    while True:
        began = time.monotonic()
        progress = look()
        reached = progress.seconds.get(arguments.phase)
        if reached is not None:
            print(f"{arguments.phase} after {reached:.2f} s")
            return Exit.OK
        if arguments.phase == "first_ping" and progress.came_first:
            print("first_ping: nobody was in the network before this node")
            return Exit.OK
        now = time.monotonic()
        if now >= deadline:
            raise CannotError(
                f"cannot wait longer for {arguments.phase}: {_reason(arguments.phase)}",
                hint="zosnet-agent why says all reasons",
                code=Exit.NOT_CONVERGED,
            )
        time.sleep(pause(now - began, deadline - now))


def _reason(phase: str) -> str:
    from agent.cli.facts import read_facts
    from agent.explain import phase_reason

    return phase_reason(read_facts(), phase)


def pause(took: float, left: float) -> float:
    """Seconds until the next look, when the last one `took` so many and so many are `left`."""
    return min(max(LOOK_EACH, SHARE * took), left)

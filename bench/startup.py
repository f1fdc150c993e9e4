"""`script/bench startup`: what a command costs before it does anything, beside a bare interpreter.

The commands take turns in a new order each round, so that a busy machine is as unkind to one as to
the other; the ratio of the medians counts. The bar is on `zosnet-agent --help`; `status` and `wait`
are shown because supervisors and people poll with them.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

from runtime.cli import table
from runtime.failure import Exit

BAR = 5.0
PROMISE = "zosnet-agent --help"
BARE = "python -c pass"
PROGRAMS = Path(sys.executable).parent
COMMANDS = {
    BARE: (sys.executable, "-c", "pass"),
    PROMISE: (str(PROGRAMS / "zosnet-agent"), "--help"),
    "zosnet-agent status": (str(PROGRAMS / "zosnet-agent"), "status"),
    "zosnet-agent wait": (str(PROGRAMS / "zosnet-agent"), "wait", "uplink", "--timeout", "0"),
    "zosnet-controller --help": (str(PROGRAMS / "zosnet-controller"), "--help"),
    "ncadm --help": (str(PROGRAMS / "ncadm"), "--help"),
    "zosnet-lab --help": (str(PROGRAMS / "zosnet-lab"), "--help"),
}
COLUMNS = ["command", "median ms", "fastest ms", "by bare"]

Figures = dict[str, list[float]]  # command → milliseconds


def main() -> int:
    parser = argparse.ArgumentParser(description="the start of our commands, by a bare Python's")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    arguments = parser.parse_args()
    return report(measure(arguments.rounds), as_json=arguments.json)


def measure(rounds: int) -> Figures:
    """After one round that is not counted: it fills the page cache and writes .pyc files."""
    figures: Figures = {name: [] for name in COMMANDS}
    order = list(COMMANDS)
    for counted in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            taken = start_and_end(COMMANDS[name])
            if counted:
                figures[name].append(taken)
    return figures


def start_and_end(argv: tuple[str, ...]) -> float:
    """Milliseconds from spawn to exit."""
    nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    begun = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=nothing)
    os.waitpid(pid, 0)
    return (time.perf_counter() - begun) * 1000


def report(figures: Figures, *, as_json: bool) -> int:
    medians = {name: statistics.median(times) for name, times in figures.items()}
    ratios = {name: median / medians[BARE] for name, median in medians.items()}
    held = ratios[PROMISE] <= BAR
    if as_json:
        said = {"ms": figures, "median_ms": medians, "ratio": ratios, "bar": BAR, "held": held}
        print(json.dumps(said, indent=1))
    else:
        rows = [
            [name, f"{medians[name]:.1f}", f"{min(times):.1f}", f"{ratios[name]:.2f}"]
            for name, times in figures.items()
        ]
        print(table(rows, COLUMNS))
        verdict = "held" if held else "missed"
        print(f"bar: {PROMISE} ≤ {BAR:g} of a bare interpreter: {verdict}")
    return Exit.OK if held else Exit.PROBLEMS


if __name__ == "__main__":
    sys.exit(main())

"""`script/bench dhcp`: from link up to address, ours beside a raw exchange and other clients.

See bench/node/leases.py for who they are. The bar is on ours by raw: what the client itself adds.
"""

import argparse
import json
import statistics
import sys

from bench.node import leases
from runtime.cli import table
from runtime.failure import CannotError, Exit

BAR = 1.5
PROMISE = "ours"
COLUMNS = ["client", "rounds", "least", "median", "most", "of raw", "from its start"]


def main() -> int:
    parser = argparse.ArgumentParser(description="link up → address, with the floor beside it")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--nics", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    arguments = parser.parse_args()
    try:
        figures = leases.in_world(arguments.nics, arguments.rounds)
    except CannotError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return int(error.code)
    return report(figures, as_json=arguments.json)


def report(figures: dict[str, leases.Times], *, as_json: bool) -> int:
    medians = {name: statistics.median(times.up) for name, times in figures.items()}
    ratios = {name: median / medians["raw"] for name, median in medians.items()}
    held = ratios[PROMISE] <= BAR
    if as_json:
        said = {name: times._asdict() for name, times in figures.items()}
        whole = {"ms": said, "median_ms": medians, "ratio": ratios, "bar": BAR, "held": held}
        print(json.dumps(whole, indent=1))
    else:
        print(table([_row(name, figures[name], ratios[name]) for name in figures], COLUMNS))
        verdict = "held" if held else "missed"
        print(f"bar: link up to address, ours ≤ {BAR} of raw: {verdict}")
    return Exit.OK if held else Exit.PROBLEMS


def _row(name: str, times: leases.Times, ratio: float) -> list[str]:
    up = times.up
    spread = [f"{ms:.2f} ms" for ms in (min(up), statistics.median(up), max(up))]
    start = f"{statistics.median(times.start):.2f} ms"
    return [name, str(len(up)), *spread, f"{ratio:.2f}", start]


if __name__ == "__main__":
    sys.exit(main())

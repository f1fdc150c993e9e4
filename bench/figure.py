"""One line of what a bench prints, and the table or JSON of all of them."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.cli import table
from runtime.failure import Exit

COLUMNS = ["figure", "value", "bar", "unit", ""]


@dataclass(frozen=True, slots=True)
class Figure:
    """`bar` is the most that `value` may be, or with `least` the least. Without one the line only
    explains others.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    least: bool = False

    @property
    def ok(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.least else self.value <= self.bar

    @property
    def row(self) -> list[str]:
        sign = "≥" if self.least else "≤"
        bar = "" if self.bar is None else f"{sign} {self.bar:g}"
        return [self.name, f"{self.value:.2f}", bar, self.unit, "" if self.ok else "missed"]


def parse_figures(
    parser: argparse.ArgumentParser, parts: Mapping[str, Callable[..., object]]
) -> argparse.Namespace:
    """What every bench of several parts is told: which of them, where to, and whether in haste."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(f"{name:10}{part.__doc__}" for name, part in parts.items())
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="only these (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="little of all, to see that it works")
    arguments = parser.parse_args()
    if unknown := set(arguments.figures) - set(parts):
        parser.error(
            f"no such figure: {', '.join(sorted(unknown))} (there are: {', '.join(parts)})"
        )
    return arguments


def report(figures: Sequence[Figure], path: Path | None) -> int:
    """The table on standard output, the same as JSON in a file; what a command ends with."""
    print(table([figure.row for figure in figures], COLUMNS))
    if path is not None:
        said = [{"figure": f.name, "value": f.value, "bar": f.bar, "ok": f.ok} for f in figures]
        path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Exit.OK if all(figure.ok for figure in figures) else Exit.PROBLEMS

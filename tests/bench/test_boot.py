"""The benchmark of a node's boot itself: that each figure is measured, not how good it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.failure import Exit

TREE = Path(__file__).parents[2]
FIGURES = ("dhcp", "route", "families", "guard", "light")  # the other one is bench.resources


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_figure_is_measured_and_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.boot", *FIGURES, "--quick", "--json", str(file)],
        capture_output=True,
        text=True,
        cwd=TREE,
        check=False,
    )

    assert done.returncode in (Exit.OK, Exit.PROBLEMS), done.stderr
    figures = json.loads(file.read_text())
    barred = [one for one in figures if one["bar"] is not None]
    assert len(barred) >= 10
    assert all(one["value"] > 0 for one in figures)
    assert all(one["figure"] in done.stdout for one in figures)
    (throughput,) = (one for one in barred if "throughput" in one["figure"])
    others = [one for one in barred if one is not throughput]
    assert throughput["ok"] == (throughput["value"] >= throughput["bar"])
    assert all(one["ok"] == (one["value"] <= one["bar"]) for one in others)

"""The benchmark itself: that each figure is measured, not how good it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.failure import Exit

TREE = Path(__file__).parents[2]


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench.controller", *words],
        capture_output=True,
        text=True,
        cwd=TREE,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_figure_is_measured_and_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = bench("--quick", "--json", str(file))

    assert done.returncode in (Exit.OK, Exit.PROBLEMS), done.stderr
    figures = json.loads(file.read_text())
    assert all(set(one) == {"figure", "value", "bar", "ok"} for one in figures)
    barred = [one for one in figures if one["bar"] is not None]
    assert len(barred) >= 9
    assert all(one["ok"] == (one["value"] <= one["bar"]) for one in barred)
    assert all(one["value"] > 0 for one in barred if "RSS" not in one["figure"])
    assert all(one["figure"].strip() in done.stdout for one in figures)


def test_a_figure_that_does_not_exist_is_named() -> None:
    done = bench("speed")

    assert done.returncode == Exit.USAGE
    assert "no such figure: speed" in done.stderr
    assert "enrol" in done.stderr

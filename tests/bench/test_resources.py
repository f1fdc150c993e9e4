"""The benchmark of network resources itself: that each figure is measured, not how good it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.failure import Exit

TREE = Path(__file__).parents[2]


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_figure_is_measured_and_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = subprocess.run(
        [sys.executable, "-m", "bench.resources", "--quick", "--json", str(file)],
        capture_output=True,
        text=True,
        cwd=TREE,
        check=False,
    )

    assert done.returncode in (Exit.OK, Exit.PROBLEMS), done.stderr
    figures = json.loads(file.read_text())
    assert len(figures) >= 9
    assert all(set(one) == {"figure", "value", "bar", "ok"} for one in figures)
    barred = [one for one in figures if one["bar"] is not None]
    assert all(one["ok"] == (one["value"] <= one["bar"]) for one in barred)
    assert any("lost" in one["figure"] for one in figures)

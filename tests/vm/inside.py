"""Tests that exist already, run inside a machine by pytest."""

import re

from tests.vm.image import PACKAGES
from tests.vm.machine import Machine

SLOW = 900  # seconds; a quiet machine takes a tenth of it


def pytest_scenario(*words: str) -> str:
    """A machine's /scenario: pytest with these words, then the end."""
    quoted = " ".join(f"'{word}'" for word in words)
    return f"""
cd {PACKAGES}
python -m pytest -p no:cacheprovider --color=no --durations=0 --timeout={SLOW} {quoted}
echo "@@ ended $?"
poweroff -f
"""


def passed(machine: Machine) -> int:
    """How many tests passed; fails when one did not, or was skipped."""
    code = machine.await_mark("ended", SLOW)
    said = machine.console.read_text(errors="replace")
    counted = re.search(r"=+ (?:(\d+) passed)(?:, \d+ deselected)? in ", said)

    assert (code, bool(counted)) == ("0", True), said[-5000:]

    return int(counted[1]) if counted else 0

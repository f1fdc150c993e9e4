"""One process at a time, and none is kept out by a dead one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.alone import BusyError, alone
from runtime.failure import Exit

HOLDER = """
import sys, time
from pathlib import Path
from runtime.alone import alone
with alone(Path(sys.argv[1]), "do it", who="holder", hint=""):
    print("held", flush=True)
    time.sleep(60)
"""


def enter(lock: Path) -> str:
    with alone(lock, "do it", who="holder", hint="look"):
        return "in"


def test_a_second_one_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as error:
            enter(lock)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()

    assert error.value.message == "cannot do it: another holder is running"
    assert (error.value.hint, error.value.code) == ("look", Exit.CONFLICT)
    assert (enter(lock), enter(lock)) == ("in", "in")


def test_what_happens_inside_is_not_taken_for_a_lock_that_is_held(tmp_path: Path) -> None:
    with (
        pytest.raises(BlockingIOError),
        alone(tmp_path / "lock", "do it", who="holder", hint="look"),
    ):
        raise BlockingIOError

"""State files: whole after any crash, readable by nobody else, damage named."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from runtime.failure import CannotError, Exit
from runtime.files import DamagedFileError, WriteError, load, store, write_atomic


class Lease(msgspec.Struct, frozen=True):
    address: str
    seconds: int


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "lease.json"
    store(path, Lease("10.0.0.1", 60))
    store(path, Lease("10.0.0.2", 60))

    assert load(path, Lease) == Lease("10.0.0.2", 60)
    assert [p.name for p in path.parent.iterdir()] == ["lease.json"]


def test_a_file_is_for_its_owner_unless_told(tmp_path: Path) -> None:
    write_atomic(tmp_path / "key", b"k")
    write_atomic(tmp_path / "status", b"s", mode=0o644, durable=False)

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "status").stat().st_mode & 0o777 == 0o644


def test_no_file_is_none_and_a_damaged_one_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "lease.json"

    assert load(path, Lease) is None
    for damage in (b"", b'{"address": "10.0.0.1"', b'{"address": 3, "seconds": 1}', b"\xff", b"[]"):
        path.write_bytes(damage)
        with pytest.raises(DamagedFileError, match=r"lease\.json: it is damaged"):
            load(path, Lease)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "taken", b"new")

    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


FILLER = """
import resource, sys
from pathlib import Path
from runtime.files import WriteError, write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try: write_atomic(Path(sys.argv[1]), b"n" * 2000)
except WriteError as error: print(error)
write_atomic(Path(sys.argv[1] + "2"), b"n" * 1000)
"""


def test_a_write_that_finds_no_room_keeps_the_old_content_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"old")
    argv = [sys.executable, "-c", FILLER, str(path)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert said == f"cannot write {path}: File too large\n"
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state", "state2"]


def test_a_write_error_is_for_people_and_for_those_who_look_at_errno() -> None:
    full = WriteError(Path("/x/y"), OSError(errno.ENOSPC, "No space left on device"))
    other = WriteError(Path("/x/y"), OSError(errno.EROFS, "Read-only file system"))

    assert isinstance(full, CannotError)
    assert isinstance(full, OSError)
    assert str(full) == full.message == "cannot write /x/y: No space left on device"
    assert (full.errno, full.filename, full.code) == (errno.ENOSPC, "/x/y", Exit.EXHAUSTED)
    assert full.hint == "make room; see: df /x"
    assert (other.hint, other.code) == (None, Exit.INTERNAL)


WRITER = """
import sys
from pathlib import Path
from runtime.files import write_atomic
path = Path(sys.argv[1])
for n in range(1_000_000):
    write_atomic(path, str(n % 10).encode() * 200_000, durable=n % 2 == 0)
"""


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"0" * 200_000)
    left, kills, moment = 0, 0, random.Random(7)
    while kills < 12 or (left < 2 and kills < 100):
        first = path.stat().st_ino
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        while path.stat().st_ino == first:  # it has not begun
            time.sleep(0.001)
        time.sleep(moment.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        kills += 1
        data = path.read_bytes()

        assert len(data) == 200_000
        assert len(set(data)) == 1
        left = max(left, len(list(tmp_path.iterdir())))
    write_atomic(path, b"end")

    assert left > 1  # some were killed in the middle: the positive control
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_the_half_written_file_of_a_living_writer_is_left_to_it(tmp_path: Path) -> None:
    other = tmp_path / f".state.{os.getppid()}.new"
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    foreign = tmp_path / f".other.{dead.pid}.new"
    gone = tmp_path / f".state.{dead.pid}.new"
    for path in (other, foreign, gone):
        path.touch()
    write_atomic(tmp_path / "state", b"x")

    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([other.name, foreign.name, "state"])

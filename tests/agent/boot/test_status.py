"""The boot's status file: a journal that always can be read."""

from pathlib import Path

import pytest

from agent.boot import status
from agent.boot.journal import Journal
from agent.boot.status import BootStatus, Nic, Step, Uplink, boot_instant, load


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "internet.json"


def test_the_boot_instant_is_that_of_the_first_start(tmp_path: Path) -> None:
    path = tmp_path / "boot.json"

    assert boot_instant(10.5, path) == 10.5
    assert boot_instant(99.0, path) == 10.5


def test_a_boot_instant_of_the_future_or_a_damaged_one_is_of_another_boot(tmp_path: Path) -> None:
    path = tmp_path / "boot.json"
    boot_instant(500.0, path)

    assert boot_instant(20.0, path) == 20.0

    path.write_text("{")

    assert boot_instant(30.0, path) == 30.0


def test_a_step_is_in_the_file_before_it_does_anything(path: Path) -> None:
    moments = iter([101.25, 102.5])
    journal = Journal(100.0, None, path=path, clock=lambda: next(moments))

    journal.begin(Step.MOVE)

    assert load(path) == journal.status
    assert journal.status.step is Step.MOVE

    journal.begin(Step.RAISE)

    assert journal.status.seconds == {"move": 1.25, "raise": 2.5}


def test_a_new_run_keeps_what_the_last_one_knew_until_it_is_known_better(path: Path) -> None:
    before = BootStatus(
        step=Step.DONE,
        pid=1,
        nics=(Nic(name="eth0"),),
        uplink=Uplink(nic="eth0", reason="the only one usable"),
        stands=True,
        error="old",
    )
    journal = Journal(0.0, before, path=path, clock=lambda: 1.0)
    journal.begin(Step.RECOVER)
    kept = load(path)

    assert kept is not None
    assert (kept.step, kept.uplink, kept.nics) == (Step.RECOVER, before.uplink, before.nics)
    assert kept.stands
    assert kept.error == ""


def test_without_a_change_nothing_is_written(path: Path) -> None:
    journal = Journal(0.0, None, path=path, clock=lambda: 1.0)
    journal.note(round=1)
    path.unlink()
    journal.note(round=1)

    assert not path.exists()

    journal.note(round=2)

    assert path.exists()


def test_a_damaged_or_absent_status_is_none(path: Path) -> None:
    assert load(path) is None

    path.write_text('{"step": "dance"}')

    assert load(path) is None


def test_the_class_is_called_class_in_the_file(path: Path) -> None:
    uplink = Uplink(nic="eth0", address_class="ULA")
    status.store(BootStatus(step=Step.DONE, pid=1, uplink=uplink), path)

    assert '"class": "ULA"' in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644

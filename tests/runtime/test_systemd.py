"""Units of systemd. Its own program is played here: what is tested is what it is asked for."""

from pathlib import Path

import pytest

from runtime import systemd
from runtime.failure import CannotError
from runtime.systemd import ensure_services, remove_services

TEXTS = {"a.service": "[Service]\n", "b.service": "[Service]\nUser=b\n"}


class Played:
    """A systemctl, and what it was asked for since one last looked."""

    def __init__(self, directory: Path) -> None:
        self.units, self._log = directory / "units", directory / "log"
        self.program = directory / "systemctl"
        self.answer("exit 0")

    def answer(self, script: str) -> None:
        self.program.write_text(f'#!/bin/sh\necho "$@" >>{self._log}\n{script}\n')
        self.program.chmod(0o755)

    def asked(self) -> list[str]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """systemd runs here, for all that we look at."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(systemd, "RUNS", tmp_path)
    monkeypatch.setattr(systemd, "TRANSIENT", tmp_path / "transient")
    return Played(tmp_path)


def test_only_what_has_another_text_is_started_anew(played: Played) -> None:
    running = ensure_services(TEXTS, start=True, directory=played.units)
    first = played.asked()
    changed = TEXTS | {"b.service": "[Service]\nUser=c\n"}
    ensure_services(changed, start=True, directory=played.units)

    assert running
    enable = ["enable --quiet a.service b.service", "daemon-reload"]
    assert first == [*enable, "restart --no-block a.service b.service"]
    assert played.asked() == [
        *enable,
        "restart --no-block b.service",
        "start --no-block a.service",
    ]
    assert (played.units / "b.service").read_text() == "[Service]\nUser=c\n"


def test_without_a_start_or_a_systemd_that_runs_nothing_is_started(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = ensure_services(TEXTS, start=False, directory=played.units)
    asked = played.asked()
    monkeypatch.setattr(systemd, "RUNS", played.units / "none")
    elsewhere = ensure_services(TEXTS, start=True, directory=played.units)

    assert (later, elsewhere) == (False, False)
    assert asked == ["enable --quiet a.service b.service", "daemon-reload"]
    assert played.asked() == ["enable --quiet a.service b.service"]


def test_what_is_removed_is_stopped_first_and_a_passing_unit_too(played: Played) -> None:
    ensure_services(TEXTS, start=True, directory=played.units)
    played.asked()
    systemd.TRANSIENT.mkdir()
    (systemd.TRANSIENT / "c.service").touch()
    names = (*TEXTS, "c.service", "never.service")
    removed = remove_services(names, directory=played.units)

    assert removed == ["a.service", "b.service", "c.service"]
    assert played.asked() == [
        "stop a.service b.service c.service",
        "disable --quiet a.service b.service",
        "daemon-reload",
    ]
    assert list(played.units.iterdir()) == []
    (systemd.TRANSIENT / "c.service").unlink()
    assert remove_services(names, directory=played.units) == []
    assert played.asked() == []


def test_what_systemctl_complains_of_is_told(played: Played) -> None:
    played.answer("echo Access denied >&2; exit 4")

    with pytest.raises(CannotError, match=r"^cannot enable services: systemctl says: Access den"):
        ensure_services(TEXTS, start=True, directory=played.units)

"""How far a node is, from files that anybody may have damaged; and what that look costs."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent import control, phases
from agent.phases import Progress, look

REACHED = {"ndmz": 0.7, "overlay": 0.9}
STANDS = {"stands": True, "seconds": {"done": 0.2}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, path in (("BOOT", "internet.json"), ("DAEMON", "networkd.json"), ("ZOS", "zos")):
        monkeypatch.setattr(phases, name, tmp_path / path)
    monkeypatch.setattr(control, "SOCKET", tmp_path / "networkd.sock")
    (tmp_path / "zos").mkdir()
    return tmp_path


def says(run: Path, *, boot: Any = None, daemon: Any = None) -> None:
    (run / "internet.json").write_text(json.dumps(boot))
    (run / "networkd.json").write_text(json.dumps(daemon))


def test_what_networkd_reached_counts_while_it_runs(run: Path) -> None:
    says(run, boot=STANDS, daemon={"reached": REACHED})
    with socket.socket(socket.AF_UNIX) as networkd:
        networkd.bind(str(run / "networkd.sock"))
        networkd.listen()
        running = look()

    assert running == Progress({"uplink": 0.2, **REACHED})
    assert look() == Progress({"uplink": 0.2})


@pytest.mark.parametrize("came_first", [True, False])
def test_who_came_first_has_nobody_to_ping_once_its_overlay_is_there(
    run: Path, monkeypatch: pytest.MonkeyPatch, came_first: bool
) -> None:
    monkeypatch.setattr(phases, "is_running", lambda: True)
    says(run, daemon={"reached": REACHED, "came_first": came_first})
    there = look()
    says(run, daemon={"reached": {"ndmz": 0.7}, "came_first": came_first})

    assert there.came_first == came_first
    assert not look().came_first


def test_an_uplink_is_one_while_its_bridge_is_there_and_nothing_took_it_apart(run: Path) -> None:
    says(run, boot={**STANDS, "stands": False})
    apart = look()
    says(run, boot=STANDS)
    (run / "zos").rmdir()

    assert apart == look() == Progress({})


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_file_says_nothing(run: Path, damaged: bytes) -> None:
    for name in ("internet.json", "networkd.json"):
        (run / name).write_bytes(damaged)

    assert look() == Progress({})


@pytest.mark.parametrize("times", [None, 7, "soon", ["ndmz"], {"ndmz": "soon", "done": None}])
def test_times_that_are_none_are_left_out(
    run: Path, monkeypatch: pytest.MonkeyPatch, times: Any
) -> None:
    monkeypatch.setattr(phases, "is_running", lambda: True)
    says(run, boot={"stands": True, "seconds": times}, daemon={"reached": times})

    assert look() == Progress({})


def test_a_look_loads_none_of_what_takes_long_to_load() -> None:
    script = "import sys, agent.phases; print(*{'msgspec', 'asyncio', 'typing_extensions'} & {*sys.modules})"
    found = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert found.split() == []

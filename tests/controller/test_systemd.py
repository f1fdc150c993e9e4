"""The controller's unit: what systemd says of it, and a controller that lives with what it leaves."""

import os
import sys
from pathlib import Path

import pytest

from controller.systemd import NAME, unit
from tests.controller.farm import TREE, running
from tests.fakes.analyze import exposed_less_than, verify

PROGRAM = Path(sys.executable).with_name("zosnet-controller")
COMMAND = (str(PROGRAM), "serve")


def test_systemd_understands_it(tmp_path: Path) -> None:
    text = unit(COMMAND)

    assert verify(tmp_path, {NAME: text}) == ""
    assert "UserName" in verify(tmp_path, {NAME: text.replace("User=", "UserName=")})


def test_its_exposure_is_ok(tmp_path: Path) -> None:
    """S13: systemd calls up to 2.0 OK."""
    assert exposed_less_than(tmp_path, NAME, unit(COMMAND), 2.0)
    weaker = unit(COMMAND).replace("User=", "X-User=")
    assert not exposed_less_than(tmp_path, NAME, weaker, 1.5)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up its capabilities")
def test_it_serves_without_any_capability(tmp_path: Path) -> None:
    """And with NoNewPrivileges and MemoryDenyWriteExecute."""
    confined = [sys.executable, str(TREE / "tests/fakes/confined.py"), ""]
    program = [*confined, sys.executable, "-m", "controller"]
    with running(tmp_path, program=program) as controller:
        controller.network("home", ipv4="10.9.0.0/16")
        node = controller.node("home")
        node.admit()
        held = Path(f"/proc/{controller.pid}/status").read_text()
        stopped = controller.stop()

    assert "CapEff:\t0000000000000000\n" in held
    assert "NoNewPrivs:\t1\n" in held
    assert stopped == 0

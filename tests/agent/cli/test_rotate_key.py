"""`zosnet-agent rotate-key`: waits until it is done, and says who is in the way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent import control, control_server
from agent.__main__ import COMMANDS
from runtime.cli import run_program
from runtime.failure import Exit

OLD, NEW = "aa" * 32, "bb" * 32


@pytest.fixture(autouse=True)
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "networkd.sock"
    monkeypatch.setattr(control, "SOCKET", path)
    monkeypatch.setattr(control_server, "SOCKET", path)


def rotate(*words: str, looks: int) -> int:
    """The command, beside a networkd that is done after so many looks."""
    state: dict[str, Any] = {"looks": None}

    async def begin(_: dict[str, Any]) -> None:
        state["looks"] = looks

    async def keys(_: dict[str, Any]) -> dict[str, Any]:
        if state["looks"] is None:
            return {"key": OLD, "next_key": "", "awaits": []}
        state["looks"] -= 1
        if state["looks"] > 0:
            return {"key": OLD, "next_key": NEW, "awaits": ["8056c2e21c"]}
        return {"key": NEW, "next_key": "", "awaits": []}

    async def go() -> int:
        async with control_server.serve_control({"rotate": begin, "keys": keys}):
            argv = ["rotate-key", *words]
            return await asyncio.to_thread(run_program, "zosnet-agent", "", COMMANDS, argv)

    return asyncio.run(go())


def test_it_waits_until_the_next_key_is_the_only_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert rotate(looks=3) == Exit.OK
    out, err = capsys.readouterr()

    assert out == f"{NEW}\n"
    assert OLD in err


def test_it_says_which_farm_is_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert rotate("--wait", "0.3", looks=1000) == Exit.NOT_CONVERGED
    err = capsys.readouterr().err

    assert "8056c2e21c" in err
    assert "goes on by itself" in err


def test_it_need_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    assert rotate("--wait", "0", "-o", "json", looks=1000) == Exit.OK
    assert '"done": false' in capsys.readouterr().out

"""`zosnet-agent token create`: what it asks of networkd, and where the secret goes."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from agent import control, control_server
from agent.__main__ import COMMANDS
from protocol.messages import MINT_TTL_MAX, MINT_USES_MAX
from runtime.cli import run_program
from runtime.failure import Exit

TEXT = "zosnet1secret"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    path = tmp_path / "networkd.sock"
    monkeypatch.setattr(control, "SOCKET", path)
    monkeypatch.setattr(control_server, "SOCKET", path)
    return []


def agent(asked: list[dict[str, Any]], *words: str) -> int:
    """The command, beside a networkd that always answers."""

    async def mint(arguments: dict[str, Any]) -> str:
        asked.append(arguments)
        return TEXT

    async def go() -> int:
        async with control_server.serve_control({"mint": mint}):
            argv = ["token", "create", *words]
            return await asyncio.to_thread(run_program, "zosnet-agent", "", COMMANDS, argv)

    return asyncio.run(go())


def test_the_join_string_is_all_that_is_on_stdout(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent(asked, "home") == Exit.OK
    out, err = capsys.readouterr()

    assert out == f"{TEXT}\n"
    assert TEXT not in err
    assert asked == [{"network": "home", "uses": 1, "seconds": 600}]


def test_in_a_file_nobody_else_can_read_it(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "join"
    words = ("home", "--uses", "5", "--ttl", "1h", "--output-file", str(path))
    assert agent(asked, *words) == Exit.OK

    assert path.read_text() == f"{TEXT}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TEXT not in "".join(capsys.readouterr())
    assert asked == [{"network": "home", "uses": 5, "seconds": 3600}]


@pytest.mark.parametrize(
    "words", [("--uses", "0"), ("--uses", "101"), ("--ttl", "0s"), ("--ttl", "25h"), ("--ttl", "x")]
)
def test_what_no_controller_would_take_is_not_asked(
    asked: list[dict[str, Any]], words: tuple[str, str]
) -> None:
    assert agent(asked, "home", *words) == Exit.USAGE
    assert asked == []
    most = ("--uses", str(MINT_USES_MAX), "--ttl", f"{MINT_TTL_MAX // 1000}s")

    assert agent(asked, "home", *most) == Exit.OK

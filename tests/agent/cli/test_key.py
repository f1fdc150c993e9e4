"""`zosnet-agent key` prints what `ncadm member add` takes."""

import json
from pathlib import Path

import pytest

from agent.__main__ import COMMANDS
from agent.identity import load_identity
from runtime import paths
from runtime.cli import run_program
from runtime.failure import Exit


def test_the_key_is_printed_alone_and_is_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    printed = []
    for words in ([], [], ["-o", "json"]):
        assert run_program("zosnet-agent", "", COMMANDS, ["key", *words]) == Exit.OK
        printed.append(capsys.readouterr().out)
    identity = load_identity(tmp_path / "node.key")

    assert printed[0] == printed[1] == identity.public.hex() + "\n"
    item = json.loads(printed[2])["items"][0]
    assert item == {"node": identity.node_id, "key": identity.public.hex()}

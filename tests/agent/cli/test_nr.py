"""`zosnet-agent nr`: what it asks of networkd, and what it prints."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import control, control_server, status
from agent.__main__ import COMMANDS
from agent.status import DaemonStatus
from runtime import files
from runtime.cli import run_program
from runtime.failure import Exit
from tests.agent.test_explain import BLUE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

RED = msgspec.structs.replace(BLUE, name="red", ipv4="", ipv6="fd12::/64", workloads=[])
TABLE = """\
NAME  NAMESPACE  IPV4         IPV6       OUTSIDE                 WORKLOADS  STATE
blue  n-blue     10.1.1.0/24  -          100.127.9.9, fd12::909  1          up
red   n-blue     -            fd12::/64  100.127.9.9, fd12::909  0          up
"""
Asked = list[tuple[str, dict[str, Any]]]


class Networkd:
    """Answers each request with what a test has put there, and keeps what was asked."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Asked = []
        self.answers: dict[str, Any] = {}
        for module in (control, control_server):
            monkeypatch.setattr(module, "SOCKET", directory / "networkd.sock")
        monkeypatch.setattr(status, "PATH", directory / "networkd.json")

    def tell(self, *resources: Any) -> None:
        files.store(status.PATH, DaemonStatus(resources=[*resources]), durable=False)

    def run(self, *words: str) -> int:
        async def go() -> int:
            async with control_server.serve_control(self._handlers()):
                argv = ["nr", *words]
                code = await asyncio.to_thread(run_program, "zosnet-agent", "", COMMANDS, argv)
                await asyncio.sleep(0.05)  # who only looked whether it runs has hung up
                return code

        return asyncio.run(go())

    def _handlers(self) -> Mapping[str, control_server.Handler]:
        def handler(verb: str) -> control_server.Handler:
            async def handle(arguments: dict[str, Any]) -> Any:
                self.asked.append((verb, arguments))
                return self.answers.get(verb)

            return handle

        return {f"nr.{v}": handler(v) for v in ("create", "delete", "attach", "detach")}


@pytest.fixture
def networkd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Networkd:
    return Networkd(tmp_path, monkeypatch)


def test_several_are_asked_for_at_once_and_shown(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    networkd.answers["create"] = {"made": msgspec.to_builtins([BLUE, RED]), "refused": []}
    code = networkd.run("create", "blue", "red", "blue", "--ipv4", "10.1.1.0/24")

    assert code == Exit.OK
    asked = {"names": ["blue", "red"], "ipv4": "10.1.1.0/24", "ipv6": ""}
    assert networkd.asked == [("create", asked)]
    assert capsys.readouterr().out == TABLE


def test_what_was_made_is_shown_and_what_was_not_is_said(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {"name": "red", "error": "cannot use it: taken", "hint": "look", "code": 4}
    networkd.answers["create"] = {"made": msgspec.to_builtins([BLUE]), "refused": [refused]}
    code = networkd.run("create", "blue", "red", "--ipv4", "10.1.1.0/24")
    out, err = capsys.readouterr()

    assert code == Exit.CONFLICT
    assert "blue  n-blue" in out
    assert err == "error: cannot use it: taken\nhint: look\n"


def test_a_range_that_is_none_is_not_asked_for(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert networkd.run("create", "blue", "--ipv4", "10.1.1.7/24") == Exit.USAGE
    assert "hint: 10.1.1.0/24" in capsys.readouterr().err
    assert networkd.asked == []


def test_the_list_is_what_networkd_said_last(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    networkd.tell(BLUE, RED)

    assert networkd.run("list") == Exit.OK
    assert capsys.readouterr().out == TABLE
    assert networkd.run("list", "-o", "json") == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["kind"]) == ("zosnet/v1", "resources")
    assert said["items"] == msgspec.to_builtins([BLUE, RED])


def test_one_is_shown_with_its_workloads_and_its_problem(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    networkd.tell(msgspec.structs.replace(BLUE, problem="cannot do it", hint="look"))
    code = networkd.run("show", "blue")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    assert code == Exit.OK
    assert "bridge b-blue, 10.1.1.1" in lines
    assert "problem cannot do it (look)" in lines
    assert lines[-2:] == ["WORKLOAD LINK ADDRESSES STATE", "web eth0 10.1.1.2 up"]


def test_one_that_is_not_there_is_guessed(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    networkd.tell(BLUE)

    assert networkd.run("show", "bleu") == Exit.NOT_FOUND
    assert "hint: did you mean 'blue'?" in capsys.readouterr().err


def test_ends_of_a_cable_are_asked_for_as_they_were_typed(networkd: Networkd) -> None:
    networkd.answers["attach"] = msgspec.to_builtins(BLUE)
    codes = [
        networkd.run("attach", "blue", "web", "--link", "eth1", "--ipv4", "10.1.1.9"),
        networkd.run("detach", "blue", "web"),
        networkd.run("delete", "blue", "red", "--yes"),
    ]
    ends = {"name": "blue", "namespace": "web"}

    assert codes == [Exit.OK] * 3
    assert networkd.asked == [
        ("attach", {**ends, "link": "eth1", "ipv4": "10.1.1.9", "ipv6": None}),
        ("detach", ends),
        ("delete", {"names": ["blue", "red"]}),
    ]


def test_without_networkd_people_are_told_so(
    networkd: Networkd, capsys: pytest.CaptureFixture[str]
) -> None:
    networkd.tell(BLUE)  # what it said before it ended
    code = run_program("zosnet-agent", "", COMMANDS, ["nr", "list"])

    assert code == Exit.UNREACHABLE
    assert "networkd is not running on this node" in capsys.readouterr().err

"""The control socket, with a real server on a real socket."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent import control, control_server
from runtime.failure import CannotError, Exit


@pytest.fixture(autouse=True)
def _own_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "networkd.sock"
    monkeypatch.setattr(control, "SOCKET", path)
    monkeypatch.setattr(control_server, "SOCKET", path)


async def echo(arguments: dict[str, Any]) -> Any:
    return arguments


async def refuse(arguments: dict[str, Any]) -> Any:
    raise CannotError("cannot leave: no such network", hint="see status", code=Exit.NOT_FOUND)


async def ask_a_server(verb: str, **arguments: Any) -> Any:
    async with control_server.serve_control({"echo": echo, "refuse": refuse}):
        return await asyncio.to_thread(lambda: control.ask(verb, what="ask", **arguments))


def test_a_result_comes_back() -> None:
    assert asyncio.run(ask_a_server("echo", network="home")) == {"network": "home"}


def test_what_networkd_refuses_is_said_with_hint_and_code() -> None:
    with pytest.raises(CannotError) as caught:
        asyncio.run(ask_a_server("refuse"))

    assert (caught.value.message, caught.value.hint, caught.value.code) == (
        "cannot leave: no such network",
        "see status",
        Exit.NOT_FOUND,
    )


def test_an_unknown_verb_is_a_usage_error() -> None:
    with pytest.raises(CannotError) as caught:
        asyncio.run(ask_a_server("dance"))

    assert caught.value.code == Exit.USAGE


def test_without_networkd_the_person_is_told_where_to_look() -> None:
    with pytest.raises(control.NotRunningError, match="cannot leave: networkd is not running"):
        control.ask("leave", what="leave")


def test_a_socket_left_by_a_killed_networkd_is_not_running(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(control.SOCKET))

    with pytest.raises(control.NotRunningError):
        control.ask("leave", what="leave")
    assert asyncio.run(ask_a_server("echo")) == {}


def test_noise_on_the_socket_does_not_stop_the_server() -> None:
    async def noisy() -> Any:
        async with control_server.serve_control({"echo": echo}):
            reader, writer = await asyncio.open_unix_connection(control.SOCKET)
            writer.write(b"\x00\xff not json\n")
            answer = await reader.readline()
            writer.close()
            assert b"does not know that request" in answer
            return await asyncio.to_thread(lambda: control.ask("echo", what="ask"))

    assert asyncio.run(noisy()) == {}

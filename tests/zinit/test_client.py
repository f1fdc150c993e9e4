"""The client, against the stand-in as a real process and against sockets that misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.failure import Exit
from tests.fakes.running import RunningZinit, wait_for
from zinit.client import (
    AbsentError,
    AlreadyMonitoredError,
    Client,
    Language,
    ServiceDownError,
    ServiceUpError,
    State,
    UnknownServiceError,
    ZinitError,
)
from zinit.units import UnitError

SLEEP = "exec: sleep 100"


def test_every_verb_of_every_version(new_zinit: RunningZinit) -> None:
    new_zinit.unit("a", SLEEP)
    new_zinit.unit("b", SLEEP + "\nafter: [once]")
    new_zinit.unit("once", "exec: sh -c 'echo tried; exit 5'\noneshot: true")
    client = Client(new_zinit.start().socket)
    expected = {"a": State.RUNNING, "b": State.BLOCKED, "once": State.ERROR}
    wait_for(lambda: client.list() == expected)
    running, blocked, failed = (client.status(name) for name in ("a", "b", "once"))
    said = client.log("once")
    client.stop("a")
    wait_for(lambda: (status := client.status("a")) and status.pid == 0)
    stopped = client.status("a")
    client.forget("a")
    forgotten = client.status("a")
    client.monitor("a")
    wait_for(lambda: client.list()["a"] == State.RUNNING)
    client.kill("a", "SIGKILL")
    client.start("a")

    assert running
    assert blocked
    assert failed
    assert stopped
    assert (running.name, running.state, running.target_up) == ("a", State.RUNNING, True)
    assert running.pid > 0
    assert (blocked.state, blocked.after) == (State.BLOCKED, {"once": State.ERROR})
    assert (failed.state, failed.detail[-5:]) == (State.ERROR, "), 5)")
    assert said == ("tried",)
    assert (stopped.state, stopped.target_up) == (State.ERROR, False)
    assert forgotten is None


def test_the_languages_are_told_apart(
    line_zinit: RunningZinit, tmp_path_factory: pytest.TempPathFactory
) -> None:
    newer = RunningZinit(tmp_path_factory.mktemp("newer"), "0.2.28").start()
    language = newer.client.language()
    newer.end()

    assert (line_zinit.client.language(), language) == (Language.LINE, Language.JSON_RPC)


def test_each_refusal_has_its_own_error(new_zinit: RunningZinit) -> None:
    new_zinit.unit("up", SLEEP)
    new_zinit.unit("down", "exec: 'true'\noneshot: true")
    new_zinit.unit("bad", "log: null")
    client = Client(new_zinit.start().socket)
    wait_for(lambda: client.list() == {"up": State.RUNNING, "down": State.SUCCESS})

    for ask in (client.start, client.stop, client.forget):
        with pytest.raises(UnknownServiceError) as unknown:
            ask("missing")
        assert unknown.value.code == Exit.NOT_FOUND
    with pytest.raises(AlreadyMonitoredError):
        client.monitor("up")
    with pytest.raises(ServiceUpError):
        client.forget("up")
    with pytest.raises(ServiceDownError):
        client.kill("down", "SIGTERM")
    with pytest.raises(ZinitError, match=r"^cannot monitor bad: zinit says: ") as bad:
        client.monitor("bad")
    with pytest.raises(ZinitError, match=r"^cannot kill up SIGWHAT: zinit says: ") as no_signal:
        client.kill("up", "SIGWHAT")
    assert (type(bad.value), type(no_signal.value)) == (ZinitError, ZinitError)


def test_a_name_that_would_be_more_words_is_refused_before_it_is_sent(
    zinit: RunningZinit,
) -> None:
    for ask in (zinit.client.stop, zinit.client.log):
        with pytest.raises(UnitError):
            ask("a\nshutdown")

    assert zinit.client.list() == {}


def test_no_socket_and_a_dead_daemons_socket_are_an_absent_zinit(tmp_path: Path) -> None:
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))

    for path in (tmp_path / "none.sock", left):
        with pytest.raises(AbsentError, match=r"^cannot reach zinit: nobody listens") as error:
            Client(path).list()
        assert error.value.code == Exit.UNREACHABLE
        assert error.value.hint


@contextmanager
def daemon_that(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[Client]:
    """Something on a socket that treats each connection by `answer`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Client(path, timeout_s=0.3)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def test_a_hung_socket_is_a_clear_error_in_time(tmp_path: Path) -> None:
    with daemon_that(tmp_path / "s", lambda _: time.sleep(0.6)) as client:
        began = time.monotonic()
        with pytest.raises(ZinitError, match=r"no answer on .* in 0\.3 s") as error:
            client.list()
        took = time.monotonic() - began

    assert 0.25 < took < 0.55
    assert error.value.code == Exit.UNREACHABLE


def test_an_answer_that_drips_does_not_stretch_the_time(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        for _ in range(10):
            try:
                connection.sendall(b"{")
            except OSError:
                return
            time.sleep(0.1)

    with daemon_that(tmp_path / "s", drip) as client:
        began = time.monotonic()
        with pytest.raises(ZinitError, match="no answer"):
            client.list()

        assert time.monotonic() - began < 0.6


def test_the_time_to_wait_is_three_seconds_unless_told(tmp_path: Path) -> None:
    assert Client(tmp_path)._timeout_s == 3.0


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello\n",
        b"[1]\n",
        b"7\n",
        b'{"state":"ok","body":[1]}',
        b'{"state":"ok","body":{"a":"Sleepy"}}',
        b'{"jsonrpc":"2.0","id":1,"error":7}\n',
        b"\xff\n",
    ],
)
def test_what_is_no_zinit_is_named_so(tmp_path: Path, said: bytes) -> None:
    with (
        daemon_that(tmp_path / "s", lambda connection: connection.sendall(said)) as client,
        pytest.raises(ZinitError) as error,
    ):
        client.list()

    assert error.value.message.startswith("cannot ")
    assert error.value.hint is not None
    assert "0.2" in error.value.hint


def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    def flood(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"x" * 1_000_000)
        except OSError:
            return

    with daemon_that(tmp_path / "s", flood) as client, pytest.raises(ZinitError, match="more than"):
        client.list()

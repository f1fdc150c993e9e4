"""Run programs inside a world or a node: what both have in common.

    host.run("ip", "link")            # wait; CommandError when it fails
    host.output("hostname")           # its stdout
    host.ok("ping", "-c1", "::1")     # True when it exits 0
    process = host.spawn("dnsmasq")   # goes on; .pid .poll() .wait() .terminate() .kill()

The programs are children of the host's own PID 1, which was asked through its socket: nothing is
entered by setns and no process outside waits for one inside. Their directory is "/", so paths are
absolute; their environment is ENVIRONMENT and what the caller adds.
"""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from runtime.failure import CannotError

TREE = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
}
SO_PASSCRED = 16
_CREDENTIALS = struct.Struct("3i")


class CommandError(CannotError):
    """A program in a host failed, could not be started or took too long."""


class Control:
    """Our end of the socket that a PID 1 serves; `open` makes both ends."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours

    @classmethod
    def open(cls) -> tuple["Control", socket.socket]:
        ours, theirs = _listening_pair()
        return cls(ours), theirs

    def await_ready(self, what: str) -> int:
        """The pid of the PID 1 at the other end, as it is numbered here."""
        words, pid = _receive(self._socket, 30)
        if words != b"ready":
            reason = words.decode().removeprefix("failed ") or "its first process ended"
            raise CannotError(f"cannot make {what}: {reason}")
        return pid

    def ask(self, *fields: str, files: list[int] | None = None) -> None:
        socket.send_fds(self._socket, ["\0".join(fields).encode()], files or [])

    def close(self) -> None:
        self._socket.close()


class Process:
    """A program in a host, as subprocess.Popen has it: pid, poll, wait, terminate, kill."""

    def __init__(self, argv: tuple[str, ...], status: socket.socket) -> None:
        self.argv = argv
        self.returncode: int | None = None
        self.failure: str | None = None  # why it could not be started
        self._status = status
        words, self.pid = _receive(status, 30)
        if words != b"started":
            self._note(words)

    def poll(self) -> int | None:
        return self._await(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its return code, -SIGNAL when a signal (or a power cut) ended it."""
        code = self._await(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.argv, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def kill_group(self) -> None:
        """End it and what it started, but for daemons that left its session."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """Its host is gone, or no more ours: note an end that can still be seen, else a kill."""
        if self.poll() is None:
            self._note(b"")

    def _await(self, timeout: float | None) -> int | None:
        deadline = None if timeout is None else monotonic() + timeout
        while self.returncode is None:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            if not select.select([self._status], [], [], left)[0]:
                return None
            self._note(_receive(self._status, 1)[0])
        return self.returncode

    def _note(self, words: bytes) -> None:
        match words.split():
            case [b"failed", number]:
                self.failure = os.strerror(int(number))
                return  # "exited" follows
            case [b"exited", status]:
                self.returncode = os.waitstatus_to_exitcode(int(status))
            case _:
                self.returncode = -signal.SIGKILL  # PID 1 is gone, and so is all it ran
        self._status.close()


class Host:
    """Where programs can be run: a world or a node that is powered on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self._control: Control | None = None
        self._processes: list[Process] = []

    def _hang_up(self) -> None:
        """Our end of everything that this host had."""
        if self._control is not None:
            self._control.close()
        self._control = None
        for process in self._processes:
            process.forget()
        self._processes = []

    @property
    def inner_pid(self) -> str:
        """Our PID 1's number as the world sees it, which is what `ip link … netns` wants there."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-2]
        raise CannotError(f"cannot find {self.name}'s first process: this /proc has no NSpid")

    def path(self, inside: str) -> Path:
        """A file of the host, seen from here: `path("/run/zosnet/boot.json").read_text()`."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def spawn(
        self,
        *argv: str | Path,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a program that goes on; its output is appended to `log`."""
        nothing = os.open(os.devnull, os.O_RDWR)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        output = os.open(log, flags, 0o644) if log else os.dup(nothing)
        try:
            return self._start(argv, [nothing, output, output], environment)
        finally:
            os.close(nothing)
            os.close(output)

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        input: str = "",  # noqa: A002  # as subprocess.run calls it
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. Raises CommandError, with what it said, unless it exits 0."""
        standard = [os.memfd_create("standard") for _ in range(3)]
        try:
            os.write(standard[0], input.encode())
            os.lseek(standard[0], 0, os.SEEK_SET)
            process = self._start(argv, standard, environment)
            code = self._finish(process, timeout)
            said, complained = (_content(fd) for fd in standard[1:])
        finally:
            for fd in standard:
                os.close(fd)
        if process.failure and check:
            raise CommandError(f"cannot run {argv[0]} on {self.name}: {process.failure}")
        if code and check:
            reason = last_words(complained or said)
            raise CommandError(f"cannot run {_words(argv)} on {self.name}: exit {code}: {reason}")
        return subprocess.CompletedProcess(process.argv, code, said, complained)

    def output(self, *argv: str | Path, **options: Any) -> str:
        return self.run(*argv, **options).stdout

    def ok(self, *argv: str | Path, **options: Any) -> bool:
        return self.run(*argv, check=False, **options).returncode == 0

    def script(self, text: str, *, timeout: float = 60) -> str:
        """Run shell commands, stop at the first that fails; returns what they print."""
        return self.output("sh", "-eu", "-c", text, timeout=timeout)

    def _finish(self, process: Process, timeout: float) -> int:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            process.kill_group()
            process.wait(10)
            raise CommandError(
                f"cannot run {_words(process.argv)} on {self.name}: no end after {timeout:g} s"
            ) from error

    def _start(
        self,
        argv: tuple[str | Path, ...],
        standard: list[int],
        environment: Mapping[str, str] | None,
    ) -> Process:
        if self._control is None:
            raise CommandError(f"cannot run {argv[0]} on {self.name}: it is powered off")
        words = tuple(str(word) for word in argv)
        variables = [f"{k}={v}" for k, v in {**ENVIRONMENT, **(environment or {})}.items()]
        ours, theirs = _listening_pair()
        try:
            files = [theirs.fileno(), *standard]
            self._control.ask("run", str(len(variables)), *variables, *words, files=files)
        except OSError as error:
            ours.close()
            raise CommandError(f"cannot run {argv[0]} on {self.name}: {error}") from error
        finally:
            theirs.close()
        process = Process(words, ours)
        self._processes = [p for p in self._processes if p.returncode is None] + [process]
        return process


def run_together(jobs: Iterable[tuple[Host, str, Path]], *, timeout: float = 60) -> None:
    """Run a shell script on each host, all at once, with its log; CommandError for the first
    that failed.
    """
    running = [
        (host, log, host.spawn("sh", "-eu", "-c", text, log=log)) for host, text, log in jobs
    ]
    for host, log, process in running:
        if process.wait(timeout):
            raise CommandError(f"cannot set {host.name} up: {last_words(log.read_text())}")


def last_words(output: str) -> str:
    """What a program said in the end, on one line: there errors stand."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return "; ".join(lines[-3:])[-500:] or "it said nothing"


def wait_until(what: str, holds: Callable[[], bool], *, timeout: float = 60) -> None:
    """Look each 10 ms until `holds`; CannotError after `timeout` seconds."""
    deadline = monotonic() + timeout
    while not holds():
        if monotonic() > deadline:
            raise CannotError(f"cannot go on: {what} did not happen in {timeout:g} s")
        sleep(0.01)


def _listening_pair() -> tuple[socket.socket, socket.socket]:
    """A pair of sockets; the first is told the pid of who writes into the second."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
    return ours, theirs


def _receive(ours: socket.socket, timeout: float) -> tuple[bytes, int]:
    """One message and the pid of its sender; empty when the other end is gone or silent."""
    ours.settimeout(timeout)
    try:
        words, extra, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
    except (TimeoutError, ConnectionError):
        return b"", 0
    pid = 0
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
    return words, pid


def _content(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read().decode(errors="replace")


def _words(argv: tuple[str | Path, ...]) -> str:
    text = " ".join(str(word) for word in argv)
    return text if len(text) <= 100 else text[:97] + "…"

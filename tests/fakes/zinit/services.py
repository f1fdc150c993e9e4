"""The services of the stand-in: what starts, waits, dies and starts again, and what it says.

Follows the state machine of zinit 0.2.11; `doors` words the requests and answers.
"""

import contextlib
import errno
import json
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

from tests.fakes.zinit.loop import Loop
from tests.fakes.zinit.units import Unit, UnitError, load_unit, parse_signal

PAUSE = 2.0  # seconds, between two starts and between two tests
TEST_STORM = 0.05  # seconds, between two tries to start a test program that is not there
RING_LINES = 2000
MOST_LINE = 64 * 1024  # bytes of a log line without end


class Follower(Protocol):
    def send(self, text: str, *, lossy: bool = False) -> None: ...


class RefusedError(Exception):
    """What a client is told; `code` is JSON-RPC's."""

    def __init__(self, text: str, code: int = -32603) -> None:
        super().__init__(text)
        self.code = code


@dataclass(eq=False)
class Service:
    name: str
    unit: Unit
    up: bool = True  # the target
    scheduled: bool = False  # a start is under way, waited for, or lies behind the pause
    pid: int = 0
    state: str = "Unknown"

    def depends_met(self, table: dict[str, "Service"]) -> bool:
        """A oneshot must have succeeded; of a daemon 0 as exit code counts as well."""
        for name in self.unit.after:
            other = table.get(name)
            running = other and other.state == "Running" and not other.unit.oneshot
            if not other or not (running or other.state == "Success"):
                return False
        return True


class Ring:
    """The last lines of all services, whoever follows them, and files for people."""

    def __init__(self, directory: Path | None) -> None:
        self.lines: deque[str] = deque(maxlen=RING_LINES)
        self.followers: list[Follower] = []
        self._directory = directory
        self._files: dict[str, TextIO] = {}

    def follow(self, client: Follower) -> None:
        self.followers.append(client)
        client.send("".join(line + "\n" for line in self.lines))

    def drop(self, client: Follower) -> None:
        if client in self.followers:
            self.followers.remove(client)

    def push(self, stream: str, name: str, line: str) -> None:
        text = f"[{stream}] {name}: {line}"
        self.lines.append(text)
        for client in list(self.followers):
            client.send(text + "\n", lossy=True)
        if self._directory:
            name = name.partition("/")[0]
            if name not in self._files:
                path = self._directory / f"{name}.log"
                self._files[name] = path.open("a", buffering=1, encoding="utf-8")
            self._files[name].write(line + "\n")


class Supervisor:
    """The services: what starts, waits, dies and starts again."""

    def __init__(self, loop: Loop, units: Path, ring: Ring) -> None:
        self._loop, self._units, self.ring = loop, units, ring
        self.table: dict[str, Service] = {}
        self._blocked: list[Service] = []
        self._children: dict[int, Callable[[int], None]] = {}
        self._environment = {**os.environ, **dict(_environment(Path("/etc/environment")))}
        self._ending = False

    # What a client may ask for.

    def find(self, name: str) -> Service:
        if name not in self.table:
            raise RefusedError(f"service name {json.dumps(name)} unknown", -32000)
        return self.table[name]

    def monitor(self, name: str) -> None:
        path = self._units / f"{name}.yaml"
        try:
            unit = load_unit(path)
        except UnitError as error:
            say(f"failed to load config file {path}: {error}")
            raise RefusedError("failed to load service config", -32005) from error
        if path.stem in self.table:
            raise RefusedError(f"service {json.dumps(path.stem)} already monitored", -32001)
        self.table[path.stem] = service = Service(path.stem, unit)
        self._schedule(service)

    def start(self, name: str) -> None:
        service = self.find(name)
        service.up = True
        self._schedule(service)

    def stop(self, name: str) -> None:
        service = self.find(name)
        service.up = False
        if service.pid:
            signal_group(service.pid, service.unit.stop_signal)

    def kill(self, name: str, signal_name: str) -> None:
        try:
            number = parse_signal(signal_name)
        except UnitError as error:
            raise RefusedError(str(error), -32004) from error
        service = self.find(name)
        if not service.pid:
            raise RefusedError(f"service {json.dumps(name)} is down", -32003)
        signal_group(service.pid, number)

    def forget(self, name: str) -> None:
        service = self.find(name)
        if service.up or service.pid:
            raise RefusedError(f"service {json.dumps(name)} is up", -32002)
        del self.table[name]

    def list(self) -> dict[str, str]:
        return {name: service.state for name, service in self.table.items()}

    def status(self, name: str) -> dict[str, Any]:
        service = self.find(name)
        return {
            "name": name,
            "pid": service.pid,
            "state": service.state,
            "target": "Up" if service.up else "Down",
            "after": {
                other: self.table[other].state if other in self.table else "Unknown"
                for other in service.unit.after
            },
        }

    # One service's way.

    def _schedule(self, service: Service) -> None:
        if service.up and not service.scheduled and not self._ending:
            service.scheduled = True
            self._launch(service)

    def _launch(self, service: Service) -> None:
        if not service.up or self._ending:
            service.scheduled = False
        elif not service.depends_met(self.table):
            service.state = "Blocked"
            self._blocked.append(service)
        else:
            self._spawn(service)

    def _release(self) -> None:
        """Something became Running, or a oneshot ended: look again at all that waits."""
        waiting, self._blocked = self._blocked, []
        for service in waiting:
            self._launch(service)

    def _spawn(self, service: Service) -> None:
        try:
            pid = self._process(service, service.unit.exec, service.name)
        except (OSError, ValueError) as error:
            say(f"service {service.name} failed to start: {error}")
            service.state, service.scheduled = "Failure", False
            return
        service.pid, service.state = pid, "Running" if service.unit.oneshot else "Spawned"
        self._children[pid] = lambda status: self._ended(service, status)
        if not service.unit.oneshot:
            self._test(service, pid)

    def _test(self, service: Service, main: int) -> None:
        if service.pid != main:
            return
        if not service.unit.test:
            self._tested(service, main, 0)
            return
        try:
            pid = self._process(service, service.unit.test, f"{service.name}/test")
        except (OSError, ValueError):
            service.state = "TestFailure"
            self._loop.later(TEST_STORM, lambda: self._test(service, main))
        else:
            self._children[pid] = lambda status: self._tested(service, main, status)

    def _tested(self, service: Service, main: int, status: int) -> None:
        if service.pid != main:
            return
        if status == 0:
            service.state = "Running"
            self._release()
        else:
            self._loop.later(PAUSE, lambda: self._test(service, main))

    def _ended(self, service: Service, status: int) -> None:
        service.state, service.pid = describe_end(service.pid, status), 0
        if service.unit.oneshot:
            service.scheduled = False
            self._release()
        else:
            self._loop.later(PAUSE, lambda: self._launch(service))

    # Processes.

    def _process(self, service: Service, command: str, prefix: str) -> int:
        unit = service.unit
        argv = shlex.split(command)
        if not argv:
            raise ValueError("invalid command")
        output = {"ring": subprocess.PIPE, "none": subprocess.DEVNULL, "stdout": None}[unit.log]
        child = subprocess.Popen(
            argv,
            stdout=output,
            stderr=output,
            cwd=unit.dir or "/",
            env={**self._environment, **unit.env},
            process_group=0,
        )
        child.returncode = 0  # reap() waits for it; Popen must not get there first
        for stream, file in (("+", child.stdout), ("-", child.stderr)):
            if file:
                self._sink(file, stream, prefix)
        return child.pid

    def _sink(self, file: BinaryIO | Any, stream: str, prefix: str) -> None:
        os.set_blocking(file.fileno(), False)
        rest = bytearray()

        def read(_events: int) -> None:
            data = os.read(file.fileno(), MOST_LINE)
            rest.extend(data)
            *lines, tail = rest.split(b"\n")
            if tail and (not data or len(tail) > MOST_LINE):
                lines, tail = [*lines, tail], bytearray()
            rest[:] = tail
            for line in lines:
                self.ring.push(stream, prefix, line.decode(errors="replace"))
            if not data:
                self._loop.forget(file)
                file.close()

        self._loop.watch(file, selectors.EVENT_READ, read)

    def reap(self) -> None:
        """Wait for every child that ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if ended := self._children.pop(pid, None):
                ended(status)

    # The end.

    def shut_down(self) -> None:
        """Dependents first; each has its shutdown_timeout, then the next ones go."""
        if not self._ending:
            self._ending = True
            self._shut_down_next(dict(self.table), {})

    def _shut_down_next(self, left: dict[str, Service], deadlines: dict[str, float]) -> None:
        now = time.monotonic()
        for name, until in list(deadlines.items()):
            if not left[name].pid or until < now:
                del left[name], deadlines[name]
        needed = {other for service in left.values() for other in service.unit.after}
        for name in left.keys() - needed - deadlines.keys():
            deadlines[name] = now + left[name].unit.shutdown_timeout
            with contextlib.suppress(RefusedError):
                self.stop(name)
        if deadlines:
            self._loop.later(0.01, lambda: self._shut_down_next(left, deadlines))
        else:  # nothing left, or services that wait for one another
            self._finish()

    def _finish(self) -> None:
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._loop.running = False


def signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except OSError as error:
        raise RefusedError(f"{errno.errorcode[error.errno or 0]}: {error.strerror}") from error


def describe_end(pid: int, status: int) -> str:
    """As zinit prints a state after its process ended."""
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return "Success"
    if code > 0:
        return f"Error(Exited(Pid({pid}), {code}))"
    core = str(os.WCOREDUMP(status)).lower()
    return f"Error(Signaled(Pid({pid}), {signal.Signals(-code).name}, {core}))"


def _environment(path: Path) -> Iterator[tuple[str, str]]:
    text = path.read_text(errors="replace") if path.exists() else ""
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value


def say(text: str) -> None:
    print(f"zinit: {text}", file=sys.stderr, flush=True)

"""The stand-in daemon of tests/fakes/zinitd.py as a process that a test starts and ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("zinitd.py")


class RunningZinit:
    """One daemon; its socket and its unit files under `directory`."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "zinit.sock"
        self.units = directory / "units"
        self.logs = directory / "logs"
        self.units.mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = directory / "stderr"

    def start(self, *, speak: str = "line") -> "RunningZinit":
        argv = [sys.executable, str(PROGRAM), "--speak", speak, "--log-dir", str(self.logs)]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*argv, "--socket", str(self.socket), "--units", str(self.units)], stderr=errors
            )
        wait_for(self._answers)
        return self

    def end(self) -> int:
        """SIGTERM, and its exit code; it ends its services."""
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(20)
        self.process = None
        return code

    def unit(self, name: str, text: str) -> Path:
        path = self.units / f"{name}.yaml"
        path.write_text(text)
        return path

    def run(self, name: str, text: str) -> None:
        """Write a unit and monitor it."""
        self.unit(name, text)
        assert self.ask(f"monitor {name}") == {"state": "ok", "body": None}

    def ask(self, line: str) -> Any:
        return json.loads(self.raw(line + "\n"))

    def raw(self, text: str) -> bytes:
        """All bytes that come before the daemon closes."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(text.encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def rpc(self, method: str, *params: str) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
            connection.sendall(json.dumps(request).encode())
            with connection.makefile("rb") as file:
                return json.loads(file.readline())

    def state(self, name: str) -> str:
        return str(self.status(name)["state"])

    def status(self, name: str) -> Any:
        return self.ask(f"status {name}")["body"]

    def wait_state(self, name: str, state: str, seconds: float = 5) -> None:
        wait_for(lambda: self.state(name).startswith(state), seconds)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors.read_text()
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self.socket))
        except OSError:
            return False
        return True


def wait_for(condition: Callable[[], object], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """It runs and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)

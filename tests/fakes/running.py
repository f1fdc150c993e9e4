"""A zinit as a process that a test starts and ends: the stand-in, or the real one if ZINIT_BIN names it."""

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

from zinit.client import Client, Status

PROGRAM = Path(__file__).with_name("zinitd.py")
STAND_INS = ("0.2.11", "0.2.27", "0.2.28")
REAL = tuple(filter(None, [os.environ.get("ZINIT_BIN")]))


class RunningZinit:
    """One daemon; its socket and its unit files under `directory`. `kind`: a version of the
    stand-in, or the path of a real one.
    """

    def __init__(self, directory: Path, kind: str = STAND_INS[0]) -> None:
        self.kind = kind
        self.socket = directory / "zinit.sock"
        self.units = directory / "units"
        self.logs = directory / "logs"
        self.units.mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.output = directory / "output"
        self.client = Client(self.socket)

    def start(self) -> "RunningZinit":
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(self._command(), stdout=output, stderr=output)
        wait_for(self._answers)
        return self

    def _command(self) -> list[str]:
        if self.kind in STAND_INS:
            argv = [sys.executable, str(PROGRAM), "--as", self.kind, "--log-dir", str(self.logs)]
            return [*argv, "--socket", str(self.socket), "--units", str(self.units)]
        return [self.kind, "-s", str(self.socket), "init", "-c", str(self.units), "--container"]

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
        self.client.monitor(name)

    def status(self, name: str) -> Status:
        status = self.client.status(name)
        assert status is not None, f"{name} is not known"
        return status

    def state(self, name: str) -> str:
        """As zinit writes it: Error(Exited(Pid(7), 1))."""
        status = self.status(name)
        return f"{status.state}({status.detail})" if status.detail else str(status.state)

    def wait_state(self, name: str, state: str, seconds: float = 5) -> None:
        wait_for(lambda: self.state(name).startswith(state), seconds)

    def ask(self, line: str) -> Any:
        """In the words of 0.2.11."""
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
        """In the words of 0.2.15 and later."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
            connection.sendall(json.dumps(request).encode())
            with connection.makefile("rb") as file:
                return json.loads(file.readline())

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self.socket))
        except OSError:
            return False
        return True


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
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

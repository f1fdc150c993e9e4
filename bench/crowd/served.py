"""A process on loopback that is measured from outside: the controller as operators start it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from controller.admin.client import Line
from controller.settings import MESH_MAX
from protocol.keys import CurvePublic

TREE = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds


class Process:
    """A child whose CPU time and memory are read as the kernel counts them: all threads of it."""

    def __init__(self, argv: list[str], *, log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=TREE)
        self._clock = (~self._process.pid << 3) | 2  # clock_getcpuclockid(3), which Python lacks

    def cpu_us(self) -> float:
        """CPU time that it has used, user and system, in microseconds."""
        return time.clock_gettime_ns(self._clock) / 1000

    def rss_kib(self) -> int:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024

    def await_port(self, port: int, beside: Path | None = None) -> None:
        """Until it listens, and on the socket `beside` it as well."""
        end = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe, socket.socket(socket.AF_UNIX) as near:
                there = beside is None or near.connect_ex(str(beside)) == 0
                if there and probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"it does not listen: {self._log.read_text('utf-8')}")
            time.sleep(0.01)

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()


class Controller:
    """`zosnet-controller` on a data directory of its own; `start` and `end` it as often as needed."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.database = self.data / "zosnet.db"
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self._socket = directory / "admin.sock"
        self._config = directory / "controller.yaml"
        self._log = directory / "log"
        self._config.write_text(
            f"data: {self.data}\nlisten: ['{self.endpoint}']\nsocket: {self._socket}\n"
        )
        self.process: Process
        self.curve = CurvePublic(b"")

    def init(self) -> None:
        argv = [*self._argv("init"), "--endpoint", self.endpoint]
        subprocess.run(argv, check=True, cwd=TREE, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        self.process = Process(self._argv("serve"), log=self._log)
        self.process.await_port(self.port, self._socket)
        self._line = Line(Namespace(socket=self._socket)).__enter__()

    def end(self) -> None:
        self._line.__exit__()
        self.process.end()

    def ask(self, verb: str, **arguments: Any) -> list[dict[str, Any]]:
        """One call of an operator. Raises CannotError."""
        return self._line.ask(verb, arguments).items

    def network(self, name: str, *, ipv4: str = "10.147.0.0/16") -> str:
        """A mesh, as large as one may be; its id."""
        made = self.ask(
            "network.create", id=f"bench {name}", name=name, ipv4=ipv4, mesh_max=MESH_MAX
        )
        return str(made[0]["id"])

    def allow(self, network: str, token: bytes, *, uses: int = 1) -> None:
        """Make a token of this public key."""
        made = self.ask("token.create", network=network, key=token.hex(), uses=uses)[0]
        self.curve = CurvePublic(bytes.fromhex(str(made["curve"])))

    def _argv(self, verb: str) -> list[str]:
        return [sys.executable, "-m", "controller", verb, "--config", str(self._config)]


@contextmanager
def serving() -> Iterator[Controller]:
    """A new, empty controller; gone with its data at the end."""
    with tempfile.TemporaryDirectory(prefix="zosnet-bench-") as directory:
        controller = Controller(Path(directory))
        controller.init()
        controller.start()
        try:
            yield controller
        finally:
            controller.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

"""A controller as a process on loopback."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from protocol.joinstring import JoinString
from protocol.keys import CurvePublic, VerifyKey, new_curve_pair
from tests.controller.node import Node

T = TypeVar("T")
TREE = Path(__file__).parents[2]


def free_port() -> int:
    """One that nobody has, and that the kernel gives to no client: one who knocks at a controller that
    is away may be given any of those, and a client that is given the very port that it asks for is
    connected with itself.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    end = lowest if lowest > 12_000 else 65_536  # else the kernel gives all of them
    while True:
        port = random.SystemRandom().randrange(10_000, end)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Controller:
    """`zosnet-controller` in a directory of its own; `program` starts it another way."""

    def __init__(self, directory: Path, *, program: Sequence[str] = (), extra: str = "") -> None:
        self.directory = directory
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.config = directory / "controller.yaml"
        self.socket = directory / "admin.sock"
        self.data = directory / "data"
        self.log = directory / "log"
        self._program = list(program) or [sys.executable, "-m", "controller"]
        self._process: subprocess.Popen[bytes] | None = None
        self._nodes: list[Node] = []
        self.config.write_text(
            f"data: {self.data}\nlisten: ['{self.endpoint}']\nsocket: {self.socket}\n{extra}"
        )

    def init(self) -> Self:
        done = self.command("init", "--endpoint", self.endpoint)
        assert done.returncode == 0, done.stderr
        return self

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "controller",
                words[0],
                "--config",
                str(self.config),
                *words[1:],
            ],
            capture_output=True,
            text=True,
            cwd=TREE,
            timeout=60,
            check=False,
        )

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, "serve", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=TREE,
            )
        wait_for(self._listens, 60.0)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def ncadm(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.ncadm_at("--socket", str(self.socket), words=words)

    def ncadm_at(self, *flags: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """`flags` say which controller is meant."""
        return subprocess.run(
            [sys.executable, "-m", "controller.admin", *words, *flags],
            capture_output=True,
            text=True,
            cwd=TREE,
            timeout=60,
            check=False,
        )

    def ask(self, verb: str, **arguments: Any) -> list[dict[str, Any]]:
        """One admin call, quicker than a process; raises CannotError as ncadm would."""
        import argparse

        from controller.admin.client import ask

        return ask(argparse.Namespace(socket=self.socket), verb, arguments)

    def network(self, name: str = "home", *, id: str = "", **more: Any) -> str:  # noqa: A002
        """Its id."""
        made = self.ask("network.create", id=id or f"test-{name}", name=name, **more)[0]
        return str(made["id"])

    def token(self, network: str = "home", **more: Any) -> JoinString:
        public, secret = new_curve_pair()
        item = self.ask("token.create", network=network, key=public.hex(), **more)[0]
        curve = CurvePublic(bytes.fromhex(item["curve"]))
        root = VerifyKey(bytes.fromhex(item["root"]))
        return JoinString(root, secret, ((self.endpoint, curve),))

    def node(self, network: str, name: str = "n1", **token: Any) -> "Node":
        """A node with a fresh token; its line is closed with the controller."""
        node = Node(self.token(network, **token), name)
        self._nodes.append(node)
        return node

    def close(self) -> None:
        for node in self._nodes:
            node.close()
        if self.alive:
            self.kill()

    def _listens(self) -> bool:
        if not self.alive:
            raise AssertionError(f"the controller ended: {self.log.read_text()}")
        if not self.socket.exists():
            return False
        with socket.socket() as probe, socket.socket(socket.AF_UNIX) as admin:
            # the file alone may be what a killed one left
            listening = probe.connect_ex(("127.0.0.1", self.port))
            return listening == 0 == admin.connect_ex(str(self.socket))


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[Controller]:
    """A controller that was made and started; killed at the end."""
    controller = Controller(directory, **options).init().start()
    try:
        yield controller
    finally:
        controller.close()


def wait_for(condition: Callable[[], T], seconds: float = 30.0) -> T:
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        time.sleep(0.02)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / (1024 * 1024)

"""A machine in a world: its own processes, network, mounts, name and disk.

    node.power_cut()        # every process dies at once; nothing is told
    node.boot()             # the same cards with the same MACs, the same disk

Its disk holds what it wrote below /etc, /var/lib and /var/log; the machine's own files are never
touched. With `programs`, a boot starts the stand-in service manager, which starts the units in
/etc/zinit.
"""

import os
from pathlib import Path
from typing import Protocol

from lab.host import PYTHON, TREE, CommandError, Control, Host, Process

SUPERVISOR = TREE / "tests/fakes/zinitd.py"
UNIT_LOGS = "/var/log/zosnet"


class Mains(Protocol):
    """What a node needs from the world around it; the world gives it."""

    def power_on(self, name: str, *, disk: bool) -> Control: ...
    def plug_in(self, name: str) -> None: ...
    def power_off(self, node: Host) -> None: ...
    def set_cable(self, name: str, nic: str, *, plugged: bool) -> None: ...
    def log_path(self, name: str) -> Path: ...
    def disk_path(self, name: str) -> Path: ...


class Node(Host):
    def __init__(self, mains: Mains, name: str, *, disk: bool) -> None:
        super().__init__(name)
        self._mains = mains
        self._has_disk = disk
        self.supervisor: Process | None = None

    @property
    def is_on(self) -> bool:
        return self._control is not None

    @property
    def disk(self) -> Path:
        """What the node wrote, by path ("etc/zosnet/…"); alter it only while the power is off."""
        return self._mains.disk_path(self.name)

    def log(self, program: str) -> Path:
        """Where `program` on this node should log: kept with the world's other logs."""
        return self._mains.log_path(f"{self.name}-{program}")

    def inside(self, namespace: str, *argv: str | Path) -> tuple[str, ...]:
        """`argv` as it is run in a named namespace: `node.run(*node.inside("ndmz", "ip", "a"))`."""
        return ("ip", "netns", "exec", namespace, *(str(word) for word in argv))

    def start(self) -> None:
        """First half of power-on: ask for the machine. `finish_start` waits until it is there."""
        self._control = self._mains.power_on(self.name, disk=self._has_disk)

    def finish_start(self) -> None:
        if self._control is None:
            raise CommandError(f"cannot start {self.name}: the power is off")
        self.pid = self._control.await_ready(f"node {self.name}")

    def let_go(self) -> None:
        """The world is closed or no more ours."""
        self._hang_up()

    def boot(self, *, programs: bool = False) -> None:
        """Power on; with `programs`, start what the disk says should run."""
        if not self.is_on:
            self.start()
            self.finish_start()
            self._mains.plug_in(self.name)
        if programs:
            self.start_programs()

    def start_programs(self) -> None:
        self.supervisor = self.spawn(
            PYTHON,
            SUPERVISOR,
            "--socket",
            "/run/zinit.sock",
            "--units",
            "/etc/zinit",
            "--log-dir",
            UNIT_LOGS,
            log=self.log("zinitd"),
        )

    def power_cut(self) -> None:
        """SIGKILL to everything; the disk keeps what was written."""
        if self._control is None:
            return
        self._mains.power_off(self)
        self._hang_up()
        self.pid = 0
        self.supervisor = None

    def pull_cable(self, nic: str) -> None:
        """The card loses its carrier."""
        self._mains.set_cable(self.name, nic, plugged=False)

    def plug_cable(self, nic: str) -> None:
        self._mains.set_cable(self.name, nic, plugged=True)

    def write(self, inside: str, text: str, *, mode: int = 0o644) -> None:
        """Put a file on the node, directories too."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

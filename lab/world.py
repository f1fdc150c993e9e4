"""A world: a piece of this machine with its own processes, mounts and network, gone when we are.

    with World() as world:
        n1, n2 = world.nodes("n1", "n2")
        world.plug(Nic("n1", "eth0", "lan"), Nic("n2", "eth0", "lan"))

The world's first process holds the other end of a socket of ours. When we end, however we end,
that socket closes, the process exits, and the kernel ends every process, mount and namespace in
it: there is nothing to clean up. `release` cuts the leash for a world that shall live on.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import cable, init, wiring
from lab.host import PYTHON, CommandError, Control, Host, Process, wait_until
from lab.node import UNIT_LOGS, Node
from lab.wiring import Nic
from runtime.cli import require_root
from runtime.failure import CannotError

# The switches are bridges in the world's own namespace: nothing there shall see an IP packet.
_QUIET = """
for key in iptables ip6tables arptables; do
    file=/proc/sys/net/bridge/bridge-nf-call-$key
    if [ -e $file ]; then echo 0 >$file; fi
done
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
"""


class World(Host):
    def __init__(self, name: str = "world", *, capture: bool = False) -> None:
        """`capture`: record what passes each switch, below `logs`."""
        super().__init__(name)
        require_root("make a world")
        self._capture = capture
        self._nodes: dict[str, Node] = {}
        self._nics: dict[tuple[str, str], Nic] = {}
        self._switches: set[str] = set()
        self._control, theirs = Control.open()
        with theirs:
            self._launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", init.__file__, str(theirs.fileno()), name],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us, not for the world
            )
        try:
            self.pid = self._control.await_ready("a world")
            self.script(_QUIET)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the world, wait until it is gone. A released one lives on."""
        if self._control is None:
            return
        self._control.close()  # the leash
        if self._launcher.poll() is None:
            self._launcher.wait(20)
        self._let_go()

    def release(self) -> None:
        """Let the world live on after us; then only its `pid` ends it. Close it no more."""
        if self._control is None:
            return
        self._control.ask("release")
        self._let_go()
        self._launcher.returncode = 0  # not ours to wait for any more

    def _let_go(self) -> None:
        for node in self._nodes.values():
            node.let_go()
        self._hang_up()

    # -- nodes

    def node(self, name: str, *, disk: bool = True) -> Node:
        return self.nodes(name, disk=disk)[0]

    def nodes(self, *names: str, disk: bool = True) -> list[Node]:
        """Power on new machines, all at once."""
        made = [Node(self, name, disk=disk) for name in names]
        for node in made:
            if node.name in self._nodes:
                raise CannotError(f"cannot make node {node.name}: {self.name} has one already")
            node.start()
        for node in made:
            node.finish_start()
            self._nodes[node.name] = node
        return made

    def power_on(self, name: str, *, disk: bool) -> Control:
        """For Node: make the machine; its socket says when it is ready."""
        if self._control is None:
            raise CommandError(f"cannot power {name} on: {self.name} is closed")
        ours, theirs = Control.open()
        with theirs:
            self._control.ask("node", name, "disk" if disk else "bare", files=[theirs.fileno()])
        return ours

    def power_off(self, node: Host) -> None:
        """For Node: kill the machine, and wait until nothing of its cards is left either."""
        watch = os.pidfd_open(node.pid)
        try:
            signal.pidfd_send_signal(watch, signal.SIGKILL)
            _await_end(watch)
        finally:
            os.close(watch)
        ports = [nic.port for nic in self._nics.values() if nic.node == node.name]
        lines = "".join(f"link del dev {port}\n" for port in ports)
        self.run("ip", "-force", "-batch", "-", input=lines, check=False)

    # -- cables

    def plug(self, *nics: Nic) -> None:
        """Make switches and network cards, all in one go."""
        new = self._new_switches(nic.switch for nic in nics)
        lines = [line for name in new for line in wiring.switch_lines(name)]
        for nic in nics:
            if len(nic.port) > wiring.NAME_SIZE:
                raise CannotError(f"cannot plug {nic.port}: a name has {wiring.NAME_SIZE} letters")
            lines += wiring.nic_lines(nic, self._nodes[nic.node].inner_pid)
        self.run("ip", "-batch", "-", input="\n".join(lines) + "\n")
        self._nics |= {(nic.node, nic.name): nic for nic in nics}
        self._keep_switches(new)

    def tap(self, name: str, switch: str) -> None:
        """The cable of a virtual machine that runs in this world: a tap, plugged into `switch`."""
        new = self._new_switches([switch])
        lines = [line for name in new for line in wiring.switch_lines(name)]
        lines += [f"tuntap add dev {name} mode tap", f"link set dev {name} master {switch} up"]
        # LACP, which no switch passes on and a cable does.
        lines.append(f"link set dev {name} type bridge_slave group_fwd_mask 4")
        self.run("ip", "-batch", "-", input="\n".join(lines) + "\n")
        self._keep_switches(new)

    def _new_switches(self, names: Iterable[str | None]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name and name not in self._switches]

    def _keep_switches(self, names: Iterable[str]) -> None:
        for name in names:
            self._switches.add(name)
            if self._capture:
                self.capture(name)

    def plug_in(self, name: str) -> None:
        """For Node: give a machine that boots again its cards."""
        self.plug(*(nic for nic in self._nics.values() if nic.node == name))

    def set_cable(self, name: str, nic: str, *, plugged: bool) -> None:
        state = "up" if plugged else "down"
        self.run("ip", "link", "set", "dev", self._nics[name, nic].port, state)

    def stretch(self, switch: str, seconds: float) -> Process:
        """Make a long cable of a switch between two cards: each frame takes `seconds`. It is not recorded
        any more, and a machine that boots again is back on the switch.
        """
        ends = [nic.port for nic in self._nics.values() if nic.switch == switch]
        if len(ends) != 2:
            raise CannotError(f"cannot stretch {switch}: {len(ends)} cards hang on it, not 2")
        self.script("".join(f"ip link set dev {end} nomaster\n" for end in ends))
        log = self.log_path(f"cable-{switch}")
        log.unlink(missing_ok=True)
        process = self.spawn(PYTHON, "-I", "-S", cable.__file__, str(seconds), *ends, log=log)
        wait_until(f"the cable in place of {switch}", lambda: "ready" in log.read_text())
        return process

    # -- what is kept

    @property
    def logs(self) -> Path:
        return self.path(init.LOG)

    def log_path(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def disk_path(self, name: str) -> Path:
        return self.path(f"{init.DISKS}/{name}")

    def save_logs(self, target: Path) -> None:
        """Copy logs and captures out, and what the nodes' units said: they go with the world."""
        shutil.copytree(self.logs, target, dirs_exist_ok=True)
        for name in self._nodes:
            units = self.disk_path(name) / UNIT_LOGS.removeprefix("/")
            if units.is_dir():
                shutil.copytree(units, target / name, dirs_exist_ok=True)

    def capture(self, switch: str, *expression: str) -> Process:
        """Record what passes `switch`, into SWITCH.pcap below `logs`."""
        return self.spawn(
            "tcpdump",
            *(
                "-i",
                switch,
                "-U",
                "--immediate-mode",
                "-s",
                "0",
                "-Z",
                "root",
                "-w",
                f"{init.LOG}/{switch}.pcap",
            ),
            *expression,
            log=self.log_path(f"tcpdump-{switch}"),
        )


def _await_end(watch: int, timeout: float = 30) -> None:
    import select  # noqa: PLC0415

    if not select.select([watch], [], [], timeout)[0]:
        raise CannotError(f"cannot end a node: its first process still is there after {timeout} s")

"""A virtual machine in a world: QEMU without KVM, its cards on the world's switches.

    machine = Machine(world, image, "n1", {"/scenario": "echo @@ hello 1; poweroff -f"}, "lan-b")
    machine.start()
    machine.await_mark("hello", 20)       # "1"
    machine.pull_cable("eth0")            # no carrier, at both ends
    machine.power_cut()                   # QEMU is killed; nothing is told, the disk stays

What a machine has to say is on its serial console, line by line: `@@ NAME TEXT` is a mark. The
console is kept with the world's logs. A machine dies with its world.
"""

import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from lab.host import Process, last_words, wait_until
from lab.wiring import stable_mac
from lab.world import World
from tests.vm.files import make_disk
from tests.vm.image import Image

QEMU = "qemu-system-x86_64"
# No KVM: virtual machines of a virtual machine are rare. No mitigations: half of the time.
KERNEL = "console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 random.trust_cpu=on"
# Without vector units, which programs would use and QEMU has to imitate: a sixth less of its time.
CPU = "qemu64,+rdrand"
MEMORY = 512  # MiB
_DISK = 64 << 20  # bytes


class Machine:
    def __init__(
        self,
        world: World,
        image: Image,
        name: str,
        files: Mapping[str, str | bytes],
        *switches: str,
        disk: Path | None = None,
        words: str = "",
    ) -> None:
        """Card eth0 hangs on the first of `switches`, and so on; `files` may be changed until it is
        started. `words`: more of the kernel's command line. `disk`: keeps what is written below /etc/zosnet, /etc/zinit, /var/lib/zosnet and
        /var/log; made when it is not there.
        """
        self.name = name
        self.files = {"/etc/hostname": name, **files}
        self._world, self._image, self._disk, self._words = world, image, disk, words
        self._taps = [f"{name}.eth{number}" for number in range(len(switches))]
        for tap, switch in zip(self._taps, switches, strict=True):
            world.tap(tap, switch)
        self._process: Process | None = None
        self._from = 0  # where the console of this start begins
        self.started = 0.0

    def start(self, *options: str) -> None:
        """Power on, with QEMU's `options`; the cards have the MACs that they had."""
        initramfs = self._world.path(f"/run/{self.name}.initramfs")
        self._image.make_initramfs(initramfs, self.files)
        if self._disk is not None and not self._disk.exists():
            make_disk(self._disk, _DISK)
        self._from = len(self._log()) if self.console.exists() else 0
        self.started = monotonic()
        self._process = self._world.spawn(*self._command(), *options, log=self.console)

    @property
    def console(self) -> Path:
        return self._world.log_path(f"{self.name}-console")

    def marks(self) -> dict[str, str]:
        """All since it was started, without carriage returns; the last of a name stays."""
        return _marks(self._log()[self._from :])

    def await_mark(self, name: str, timeout: float) -> str:
        """Raises CannotError after `timeout` seconds; fails when the machine ends before."""

        self._await(name, lambda: name in self.marks(), timeout)
        return self.marks()[name]

    def await_news(self, name: str, holds: Callable[[str], bool], timeout: float) -> str:
        """A mark that a machine says again and again, once it `holds`; said after this was called."""
        known = len(self._log())

        def news() -> str:
            return _marks(self._log()[known:]).get(name, "")

        self._await(name, lambda: holds(news()), timeout)
        return news()

    def _await(self, name: str, holds: Callable[[], bool], timeout: float) -> None:
        def is_so() -> bool:
            if holds():
                return True
            assert self.is_on, f"{self.name} ended: {last_words(self._log())}"
            return False

        wait_until(f"mark {name} of {self.name}", is_so, timeout=timeout)

    def pull_cable(self, card: str) -> None:
        self._set_cable(card, "off", "down")

    def plug_cable(self, card: str) -> None:
        self._set_cable(card, "on", "up")

    def _set_cable(self, card: str, here: str, there: str) -> None:
        tap = f"{self.name}.{card}"
        self._world.run("ip", "link", "set", "dev", tap, there)
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._world.path(self._monitor)))
            monitor.sendall(f"set_link {tap} {here}\n".encode())
            said = ""
            while said.count("(qemu)") < 2:  # the prompt comes first, and again when it is done
                said += monitor.recv(4096).decode(errors="replace")

    @property
    def _monitor(self) -> str:
        return f"/run/{self.name}.monitor"

    @property
    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def cpu_seconds(self) -> float:
        """What QEMU has had of this machine's processors since it was started. They say what a
        machine costs when others run here too.
        """
        if self._process is None:
            return 0.0
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)

    def power_cut(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _log(self) -> str:
        return self.console.read_text(errors="replace")

    def _command(self) -> list[str | Path]:
        command: list[str | Path] = [
            *(QEMU, "-accel", "tcg", "-cpu", CPU, "-M", "pc", "-smp", "1", "-m", str(MEMORY)),
            *("-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
            *("-kernel", self._image.kernel, "-initrd", f"/run/{self.name}.initramfs"),
            *("-append", f"{KERNEL} {self._words}"),
            *("-monitor", f"unix:{self._monitor},server=on,wait=off"),
        ]
        for disk in self._image.disks:
            command += ["-drive", f"file={disk},format=raw,if=virtio,readonly=on"]
        if self._disk is not None:
            command += ["-drive", f"file={self._disk},format=raw,if=virtio"]
        for tap in self._taps:
            command += ["-netdev", f"tap,id={tap},ifname={tap},script=no,downscript=no"]
            # LACP asks what a card is capable of.
            card = f"mac={stable_mac(tap)},speed=1000,duplex=full,romfile="
            command += ["-device", f"virtio-net-pci,netdev={tap},{card}"]
        return command


def _marks(said: str) -> dict[str, str]:
    return dict(re.findall(r"@@ (\S+) ?([^\r\n]*)[\r\n]", said))

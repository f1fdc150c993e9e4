"""Real NICs and a boot that is killed while it probes them: told as marks, judged outside.

@@ killed ["eth0", "eth1"]           which were away from home when it was killed
@@ renamed {"eth0": "dev2"}          how a NIC came back from a namespace that was deleted
@@ killed-again ["dev2", "eth1"]
@@ made-good {"code": 0, "port": ["dev2"], "nics": […]}       the next run, to its end
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.vm.guest.report import say

NETWORK = Path("/sys/class/net")
BOOT = ("zosnet-agent", "internet", "--supervisor", "none")


def main() -> None:
    names = at_home()
    tell("killed", killed_in_mid_probe())
    ip("link", "add", "eth0", "type", "dummy")
    for space in probe_spaces():
        ip("netns", "delete", space)
    while len(at_home()) < len(names):  # the kernel takes its time
        time.sleep(0.05)
    now = at_home()
    tell("renamed", {names[mac]: name for mac, name in now.items() if name != names[mac]})
    tell("killed-again", killed_in_mid_probe())
    tell("made-good", boot())


def killed_in_mid_probe() -> list[str]:
    """Kill a boot once all NICs are in their namespaces; returns those that are not at home then."""
    before = at_home()
    running = subprocess.Popen(BOOT)
    while any(NETWORK.glob("*/device")) or len(probe_spaces()) < len(before):
        assert running.poll() is None
        time.sleep(0.02)
    running.kill()
    running.wait()
    return sorted(before[mac] for mac in before.keys() - at_home().keys())


def boot() -> dict[str, Any]:
    """A run to its end: how it ended, the port of `zos`, and the MACs of all NICs wherever they are."""
    code = subprocess.run(BOOT, check=False).returncode
    away = [mac for space in probe_spaces() for mac in inside(space)]
    port = [path.name for path in (NETWORK / "zos/brif").glob("*")]
    return {"code": code, "port": port, "nics": sorted([*at_home(), *away])}


def at_home() -> dict[str, str]:
    """Names by MAC of what has a device below it."""
    found = (path.parent for path in NETWORK.glob("*/device"))
    return {(path / "address").read_text().strip(): path.name for path in found}


def inside(space: str) -> list[str]:
    links = json.loads(subprocess.check_output(["ip", "-n", space, "-j", "-d", "link"]))
    return [link["address"] for link in links if link.get("parentbus") == "virtio"]


def probe_spaces() -> list[str]:
    return [path.name for path in Path("/run/netns").glob("znp-*")]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def tell(name: str, what: object) -> None:
    say(f"@@ {name} {json.dumps(what)}")


if __name__ == "__main__":
    main()

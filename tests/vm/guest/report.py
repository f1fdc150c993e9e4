"""Runs on a test node: when it reaches its peers in the overlay, as a mark on the console.

    @@ overlay {"seconds": {"uplink": 1.2, …}, "answered": ["10.90.0.2", …], "kinds": ["wireguard"]}

The machine is slow, so this does no more than look at a file and run `ping` and `ip`.
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

STATUS = Path("/run/zosnet/networkd.json")
UPTIME = Path("/proc/uptime")
LOOK_EACH = 0.3  # seconds


def main() -> None:
    addresses = await_peers()
    (space,) = (path.name for path in Path("/run/netns").glob("n-*"))
    for address in addresses:
        while not run(space, "ping", "-c1", "-W1", address):
            pass
        say(f"@@ ping {address} {UPTIME.read_text().split()[0]}")
    links = json.loads(run(space, "ip", "-j", "-d", "link"))
    kinds = [link["linkinfo"]["info_kind"] for link in links if link["ifname"].startswith("w-")]
    seconds = json.loads(STATUS.read_text())["seconds"]
    report = {"seconds": seconds, "answered": addresses, "kinds": kinds}
    say(f"@@ overlay {json.dumps(report)}")
    while True:  # a service that ends is started again
        time.sleep(3600)


def await_peers() -> list[str]:
    """The addresses of the peers, as soon as there are any."""
    while True:
        for network in status()["networks"]:
            addresses = [a for peer in network["peers"] for a in peer["addresses"]]
            if addresses:
                return addresses
        time.sleep(LOOK_EACH)


def status() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(STATUS.read_text())
    except FileNotFoundError:
        return {"networks": []}
    return found


def run(space: str, *command: str) -> str:
    """What it printed; nothing when it failed."""
    argv = ["ip", "netns", "exec", space, *command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def say(line: str) -> None:
    Path("/dev/console").write_text(line + "\n")


if __name__ == "__main__":
    main()

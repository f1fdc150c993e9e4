"""The phases of a node, and how far it is; loads neither msgspec nor asyncio.

    progress = look()
    progress.seconds.get("overlay")     # None: it is not over, or not so any more

Supervisors start `zosnet-agent wait` while all else starts, so what it needs is read by hand here. What a
phase means stands in agent.status; the files are those of agent.boot.status and agent.status.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from agent.control import is_running
from runtime.paths import RUN

PHASES = ("uplink", "ndmz", "admitted", "overlay", "first_ping")
BOOT = RUN / "internet.json"
DAEMON = RUN / "networkd.json"
ZOS = Path("/sys/class/net/zos")


class Progress(NamedTuple):
    """`seconds`: since the node's boot instant, of the phases that are over and hold."""

    seconds: dict[str, float]
    came_first: bool = False  # nobody was in the network before this node: no first ping


def look() -> Progress:
    """From the status files; never waits for a daemon."""
    boot, daemon = _read(BOOT), _read(DAEMON)
    seconds = _times(daemon.get("reached")) if is_running() else {}
    booted = _times(boot.get("seconds"))
    if "done" in booted and boot.get("stands") and ZOS.exists():
        seconds["uplink"] = booted["done"]
    return Progress(seconds, "overlay" in seconds and bool(daemon.get("came_first")))


def _read(path: Path) -> dict[str, Any]:
    """Nothing when it is missing or damaged."""
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _times(found: object) -> dict[str, float]:
    """What in it are times, by name."""
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(value, int | float)}

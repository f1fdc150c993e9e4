"""Read what the node's programs say of themselves, for the commands that tell people."""

from pathlib import Path

from agent.boot import status as boot_status
from agent.control import is_running
from agent.dhcp import status as dhcp_status
from agent.explain import Facts
from agent.ndmz import status as ndmz_status
from agent.phases import ZOS
from agent.status import load_status
from runtime.clock import boottime
from runtime.files import DamagedFileError

LEASED = ("zos", "npub4")


def read_facts() -> Facts:
    """From the status files; never waits for a daemon."""
    now, daemon = boottime(), load_status()
    running = is_running()
    return Facts(
        boot=boot_status.load(),
        ndmz=_ndmz(),
        daemon=daemon,
        now=now - boot_status.boot_instant_or(now),
        running=running,
        bridge=ZOS.exists(),
        keepers={link: status for link in LEASED if (status := dhcp_status.load_status(link))},
        waiting=not running and daemon is not None and _is_networkd(daemon.pid),
    )


def _ndmz() -> ndmz_status.NdmzStatus | None:
    try:
        return ndmz_status.load_status()
    except DamagedFileError:
        return None


def _is_networkd(pid: int) -> bool:
    try:
        return b"networkd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

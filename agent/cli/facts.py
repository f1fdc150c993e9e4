"""Read what the node's programs say of themselves, for the commands that tell people."""

from agent.boot import status as boot_status
from agent.control import is_running
from agent.explain import Facts
from agent.ndmz import status as ndmz_status
from agent.status import load_status
from runtime.files import DamagedFileError


def read_facts() -> Facts:
    """From the status files; never waits for a daemon."""
    now = boot_status.boottime()
    return Facts(
        boot=boot_status.load(),
        ndmz=_ndmz(),
        daemon=load_status(),
        now=now - boot_status.boot_instant_or(now),
        running=is_running(),
    )


def _ndmz() -> ndmz_status.NdmzStatus | None:
    try:
        return ndmz_status.load_status()
    except DamagedFileError:
        return None

"""Read what the node's programs say of themselves, for the commands that tell people."""

import socket

from agent.boot import status as boot_status
from agent.control import SOCKET
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
        running=_is_running(),
    )


def _ndmz() -> ndmz_status.NdmzStatus | None:
    try:
        return ndmz_status.load_status()
    except DamagedFileError:
        return None


def _is_running() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(SOCKET))
        except PermissionError:
            return True  # there, and only root may talk to it
        except OSError:
            return False
    return True

"""What a lease keeper says of itself, in RUN/dhcp-LINK.json; loads neither asyncio nor pyroute2."""

from pathlib import Path

import msgspec

from agent.dhcp.record import LeaseRecord
from runtime import files
from runtime.paths import RUN


class KeeperStatus(msgspec.Struct, frozen=True, kw_only=True):
    link: str
    space: str
    mac: str
    state: str
    lease: LeaseRecord | None
    lost: str = ""  # why the last one was lost
    refused: int = 0  # answers that were bad
    last_refused: str = ""
    updated: float = 0.0  # seconds of CLOCK_BOOTTIME, as all times of leases


def status_path(link: str) -> Path:
    return RUN / f"dhcp-{link}.json"


def load_status(link: str) -> KeeperStatus | None:
    """What the keeper of `link` wrote last; None when it has not, or wrote nothing whole."""
    try:
        return files.load(status_path(link), KeeperStatus)
    except files.DamagedFileError:
        return None

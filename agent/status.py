"""What networkd says of the node, in RUN/networkd.json; loads neither asyncio nor pyroute2.

The boot's part is agent.boot.status (RUN/internet.json), ndmz's agent.ndmz.status (RUN/ndmz.json).
`seconds` are since the node's boot instant, a phase that is not over is missing:

    uplink      `zos` stands with an address
    ndmz        what the config asks of ndmz is there
    admitted    a controller knows this node's own key
    overlay     a verified netmap is on the device
    first_ping  a peer that was in the network before us answered; never, when we came first
"""

import os

import msgspec

from agent.enrol.status import EnrolStatus
from agent.ndmz.status import Carrier
from agent.nr.status import ResourceStatus
from agent.overlay.status import NetworkStatus
from runtime import files
from runtime.failure import CannotError, with_hint
from runtime.paths import RUN

PATH = RUN / "networkd.json"
PHASES = ("uplink", "ndmz", "admitted", "overlay", "first_ping")


class DaemonStatus(msgspec.Struct, kw_only=True):
    node: str = ""  # ten hex digits
    pid: int = 0
    seconds: dict[str, float] = {}
    came_first: bool = False  # nobody was in the network when our overlay came up
    enrol: EnrolStatus = msgspec.field(default_factory=EnrolStatus)
    networks: list[NetworkStatus] = []
    resources: list[ResourceStatus] = []  # network resources that people made here
    carrier: Carrier = Carrier()  # of ndmz
    clock_behind_ms: int = 0  # how far the system clock lay behind what this node has lived through
    reasons: list[str] = []  # why something is not as it should be; empty: all is


def tell_waiting(error: CannotError) -> None:
    """Why networkd cannot start, where the commands look; when what was over stays."""
    last = load_status() or DaemonStatus()
    reason = with_hint(error.message, error.hint)
    waiting = DaemonStatus(
        node=last.node,
        pid=os.getpid(),
        seconds=last.seconds,
        came_first=last.came_first,
        networks=last.networks,
        resources=last.resources,
        reasons=[reason],
    )
    files.store(PATH, waiting, mode=0o644, durable=False)


def load_status() -> DaemonStatus | None:
    """What networkd wrote last, None before it has or when it cannot be read."""
    try:
        return files.load(PATH, DaemonStatus)
    except files.DamagedFileError:
        return None

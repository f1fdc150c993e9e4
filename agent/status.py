"""What networkd says of the node, in RUN/networkd.json; loads neither asyncio nor pyroute2.

The boot's part is agent.boot.status (RUN/internet.json), ndmz's agent.ndmz.status (RUN/ndmz.json).
`seconds` are since the node's boot instant, a phase that was never over is missing; `reached` has those
that hold:

    uplink      `zos` stands with an address
    ndmz        what the config asks of ndmz is there
    admitted    a controller knows this node's own key
    overlay     a verified netmap is on the device; of all networks, and no join under way
    first_ping  a peer that was in the network before us answered; never, when we came first
"""

import os
from collections.abc import Mapping

import msgspec

from agent.enrol.status import EnrolStatus
from agent.ndmz.status import Carrier
from agent.nr.status import ResourceStatus
from agent.overlay.status import NetworkStatus
from agent.phases import DAEMON
from runtime import files
from runtime.failure import CannotError, with_hint

PATH = DAEMON


class DaemonStatus(msgspec.Struct, kw_only=True):
    node: str = ""  # ten hex digits
    pid: int = 0
    seconds: dict[str, float] = {}
    reached: dict[str, float] = {}
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
        reached=last.reached,
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


def holding(
    seconds: Mapping[str, float], *, ndmz: bool, enrol: EnrolStatus, networks: list[NetworkStatus]
) -> dict[str, float]:
    """Those of `seconds` whose phase is over and still so; `ndmz`: it is ready."""
    joining = any(
        farm.tokens or any(one.standing in ("joining", "waiting") for one in farm.networks)
        for farm in enrol.farms
    )
    overlay = bool(networks) and not joining and all(one.state == "up" for one in networks)
    holds = {"ndmz": ndmz, "admitted": True, "overlay": overlay, "first_ping": overlay}
    return {phase: after for phase, after in seconds.items() if holds.get(phase)}

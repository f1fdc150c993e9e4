"""Runs enrolment and overlay of a node, without ndmz: `eth0` is the uplink.

/run/join holds a join string; when /run/leave appears, the network that it names is left, and when
/run/rotate appears, the node gets another key. What
both say of themselves, and our memory, is in /run/zosnet/enrolled.json.
"""

import asyncio
import time
from pathlib import Path

import msgspec

from agent.enrol.runner import Enrolment
from agent.enrol.status import EnrolStatus
from agent.enrol.store import Keys
from agent.enrol.turning import OwnKeys
from agent.identity import load_identity
from agent.overlay.runner import Overlay
from agent.overlay.status import OverlayStatus
from netns.spaces import Spaces
from netns.wireguard.userspace import Userspace
from runtime import files, paths
from runtime.config import LogConfig
from runtime.log import start_logging

JOIN, LEAVE, ROTATE = Path("/run/join"), Path("/run/leave"), Path("/run/rotate")
STATUS = paths.RUN / "enrolled.json"


class Status(msgspec.Struct):
    enrol: EnrolStatus
    overlay: OverlayStatus
    rss_kib: int


def rss_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def obey(enrolment: Enrolment, overlay: Overlay) -> None:
    joined = False
    while True:
        if JOIN.exists() and not joined:
            enrolment.join(JOIN.read_text())
            joined = True
        if LEAVE.exists():
            enrolment.leave(LEAVE.read_text())
            LEAVE.unlink()
        if ROTATE.exists():
            enrolment.rotate()
            ROTATE.unlink()
        status = Status(enrolment.status(), overlay.status(), rss_kib())
        files.store(STATUS, status, durable=False)
        await asyncio.sleep(0.02)


async def main() -> None:
    began = time.monotonic()
    spaces, identity, keys = Spaces(), load_identity(), Keys()
    own = OwnKeys(identity)
    overlay = Overlay(
        spaces,
        Userspace(spaces),
        node=own.nodes[0],
        also=own.nodes[1:],
        keys=keys,
        elapsed=lambda: time.monotonic() - began,
    )
    enrolment = Enrolment(
        spaces,
        own,
        keys,
        sink=overlay,
        elapsed=lambda: time.monotonic() - began,
        link="eth0",
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(overlay.keep())
        tasks.create_task(enrolment.keep())
        await asyncio.sleep(0)
        tasks.create_task(obey(enrolment, overlay))


if __name__ == "__main__":
    start_logging(LogConfig("debug"))
    asyncio.run(main())

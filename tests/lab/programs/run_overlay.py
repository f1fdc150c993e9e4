"""Runs the overlay of a node without an enrolment: what a controller would tell lies in /run/told.

    run_overlay.py NODE_KEY SURROUNDINGS     hex; JSON {"public": […], "families": […]}

NAME.trust, NAME.joined and NAME.rows are told in the order of their names, as soon as they are
there. The status is in /run/zosnet/overlay.json.
"""

import asyncio
import json
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import msgspec

from agent.enrol.endpoints import Surroundings
from agent.enrol.sink import Trust
from agent.enrol.store import Keys
from agent.overlay.runner import Overlay
from netns.spaces import Spaces
from netns.wireguard.userspace import Userspace
from protocol.keys import VerifyKey
from protocol.messages import Joined, Rows, decode_reply
from protocol.signed import Signed
from runtime import files, paths
from runtime.config import LogConfig
from runtime.log import start_logging

TOLD = Path("/run/told")
STATUS = paths.RUN / "overlay.json"


async def tell(overlay: Overlay) -> None:
    done: set[Path] = set()
    trust = Trust(VerifyKey(b""), Signed(b"", b"", b""))
    while True:
        for path in sorted(TOLD.glob("*.*")):
            if path in done:
                continue
            done.add(path)
            if path.suffix == ".trust":
                root, keyset = msgspec.msgpack.decode(path.read_bytes(), type=tuple[bytes, Signed])
                trust = Trust(VerifyKey(root), keyset)
                continue
            match decode_reply(path.read_bytes()):
                case Joined() as joined:
                    overlay.joined(trust, joined)
                case Rows() as rows:
                    overlay.rows(rows)
                case other:
                    raise ValueError(other)
        files.store(STATUS, overlay.status(), durable=False)
        await asyncio.sleep(0.02)


async def main(node: bytes, around: dict[str, list[str]]) -> None:
    began = time.monotonic()
    spaces = Spaces()
    overlay = Overlay(
        spaces,
        Userspace(spaces),
        node=node,
        keys=Keys(),
        elapsed=lambda: time.monotonic() - began,
    )
    overlay.moved(
        Surroundings(
            public=tuple(ip_address(text) for text in around["public"]),
            families=frozenset(map(int, around["families"])),
        )
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(overlay.keep())
        tasks.create_task(tell(overlay))


if __name__ == "__main__":
    start_logging(LogConfig("debug"))
    asyncio.run(main(bytes.fromhex(sys.argv[1]), json.loads(sys.argv[2])))

"""A NIC that waits in a namespace is looked at: each finding is printed as a line of JSON.

standby.py SPACE
"""

import asyncio
import json
import sys

from agent.boot.standby import Standby
from agent.boot.uplink import Candidate
from netns.spaces import Spaces


async def main(space: str) -> None:
    await Standby(Spaces(), space, tell, dhcp_window=10, static={}).keep()


def tell(_: Standby, found: Candidate) -> None:
    line = {"carrier": found.carrier, "gateway4": found.gateway4, "gateway6": found.gateway6}
    print(json.dumps(line, default=str), flush=True)


asyncio.run(main(sys.argv[1]))

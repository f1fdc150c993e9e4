"""A long cable: what comes out of either of two ports goes into the other one a while later.

    python -I -S lab/cable.py SECONDS PORT PORT

Distance, where the kernel has no netem; `World.stretch` lays it. A frame goes on as the kernel hands
it over: with sums that its card was to make, and longer than the MTU where its card was to cut it up
(PACKET_VNET_HDR says which). Says "ready" when it carries. Standard library only, for a quick start.
"""

import select
import socket
import sys
from collections import deque
from contextlib import suppress
from time import monotonic

SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
LARGEST = 10 + 14 + 0xFFFF  # the kernel's word on it, Ethernet, a segment that is not cut up
BUFFER = 4 << 20


def open_port(name: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    port.bind((name, ETH_P_ALL))
    return port


def carry(seconds: float, one: socket.socket, other: socket.socket) -> None:
    far_end = {one: other, other: one}
    under_way: deque[tuple[float, socket.socket, bytes]] = deque()
    while True:
        wait = max(0.0, under_way[0][0] - monotonic()) if under_way else None
        for port in select.select([one, other], [], [], wait)[0]:
            under_way.append((monotonic() + seconds, far_end[port], port.recv(LARGEST)))
        while under_way and under_way[0][0] <= monotonic():
            _, port, frame = under_way.popleft()
            with suppress(OSError):  # a port that is down or full: cables lose frames
                port.send(frame)


if __name__ == "__main__":
    ends = [open_port(name) for name in sys.argv[2:]]
    print("ready", flush=True)
    carry(float(sys.argv[1]), *ends)

"""A UDP path with a delay, where the kernel has no netem: one way each, both ways delayed.

delay_udp.py SECONDS LISTEN_PORT HOST PORT     what comes to LISTEN_PORT goes to HOST:PORT, and back
"""

import heapq
import select
import socket
import sys
import time
from contextlib import suppress


def main(delay: float, port: int, target: tuple[str, int]) -> None:
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.bind(("0.0.0.0", port))
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind(("0.0.0.0", 0))
    client: tuple[str, int] | None = None
    queue: list[tuple[float, int, socket.socket, bytes, tuple[str, int]]] = []
    count = 0
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else 1.0
        for sock in select.select([near, far], [], [], wait)[0]:
            data, sender = sock.recvfrom(2048)
            count += 1
            due = time.monotonic() + delay
            if sock is near:
                client = sender
                heapq.heappush(queue, (due, count, far, data, target))
            elif client is not None:
                heapq.heappush(queue, (due, count, near, data, client))
        while queue and queue[0][0] <= time.monotonic():
            _, _, sock, data, to = heapq.heappop(queue)
            with suppress(OSError):
                sock.sendto(data, to)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), (sys.argv[3], int(sys.argv[4])))

"""Sends UDP datagrams to addresses in turn, at a steady rate, as well as it can; count them where they arrive.

flood.py RATE ADDRESS…        until SIGTERM; then prints for how many seconds
"""

import signal
import socket
import sys
import time
from contextlib import suppress

PORT = 4242


def main(rate: int, addresses: list[str]) -> None:
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    sockets = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((address, PORT))
        sockets.append(sock)
    print("flooding", flush=True)
    tried, start = 0, time.monotonic()
    while not stop:
        due = int((time.monotonic() - start) * rate)
        for number in range(tried, due):
            with suppress(OSError):  # the last one was answered with an error, or the queue is full
                sockets[number % len(sockets)].send(b"y")
        tried = due
        time.sleep(0.0005)
    print(time.monotonic() - start, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

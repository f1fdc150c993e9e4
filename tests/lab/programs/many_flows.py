"""Opens many flows to one address: from a port of its own each, and to a port of its own each.

    many_flows.py ADDRESS PORT COUNT      COUNT of each kind; the first all to PORT; says how many

Standard library only.
"""

import socket
import sys
import time
from contextlib import suppress

PAUSE_EACH = 500  # datagrams; others use this machine too


def main(address: str, port: int, count: int) -> None:
    sent = 0
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(count):
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 65535 - number))
            sock.sendto(b"y", (address, port))
            sent += 1
        with suppress(OSError):  # what the last one met is said here
            one.sendto(b"y", (address, 1 + number))
            sent += 1
        if number % PAUSE_EACH == 0:
            time.sleep(0.02)
    print(sent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""Opens as many flows as it can: one datagram to each port from 1 on.

flows.py ADDRESS COUNT
"""

import socket
import sys
from contextlib import suppress


def main(address: str, count: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for port in range(1, count + 1):
            with suppress(OSError):  # what the last one met is said here
                sock.sendto(b"y", (address, port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

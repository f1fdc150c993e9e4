"""A download at an even pace, to see what interrupts it.

    python -I -S stream.py serve PORT               a piece each 10 ms, for as long as one reads
    python -I -S stream.py fetch ADDRESS PORT S     read for S seconds; says bytes and longest gap

Standard library only.
"""

import contextlib
import socket
import sys
import threading
import time

PIECE = bytes(1000)
PACE = 0.01


def serve(port: int) -> None:
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=send, args=(connection,), daemon=True).start()


def send(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):  # the reader has enough
        while True:
            connection.sendall(PIECE)
            time.sleep(PACE)


def fetch(address: str, port: int, seconds: float) -> None:
    """Fails when the connection ends before its time."""
    size, gap = 0, 0.0
    with socket.create_connection((address, port), timeout=10) as connection:
        now = begun = time.monotonic()
        while now < begun + seconds:
            piece = connection.recv(65536)
            if not piece:
                sys.exit("the connection was closed")
            size += len(piece)
            last, now = now, time.monotonic()
            gap = max(gap, now - last)
    print(f"{size} {gap:.3f}")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        fetch(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))

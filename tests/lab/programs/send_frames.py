"""Sends Ethernet frames as they are given.

send_frames.py LINK HEX…
send_frames.py LINK --for SECONDS      those on stdin, a line each, over and over, a thousand a second
"""

import itertools
import socket
import sys
import time


def main(link: str, words: list[str]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((link, 0))
        if words[0] == "--for":
            flood(sock, [bytes.fromhex(line) for line in sys.stdin], float(words[1]))
        else:
            for frame in words:
                sock.send(bytes.fromhex(frame))


def flood(sock: socket.socket, frames: list[bytes], seconds: float) -> None:
    began = time.monotonic()
    for number, frame in enumerate(itertools.cycle(frames)):
        due = began + number / 1000
        if due > began + seconds:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        sock.send(frame)


main(sys.argv[1], sys.argv[2:])

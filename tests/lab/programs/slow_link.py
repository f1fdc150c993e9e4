"""The far end of a cable, whose link is there only some seconds after the near end was raised.

    slow_link.py PORT SECONDS      prints "negotiates" each time

As a switch with spanning tree or a NIC that negotiates: whenever the near end goes down, the far end
does as well, and comes back later. Standard library only.
"""

import socket
import struct
import subprocess
import sys
import time

RTM_NEWLINK, RTMGRP_LINK = 16, 0x1
IFF_RUNNING = 0x40


def main(port: str, seconds: float) -> None:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    events.bind((0, RTMGRP_LINK))
    index, running = socket.if_nametoindex(port), True
    print("ready", flush=True)
    while True:
        data = events.recv(65536)
        kind = struct.unpack_from("=IH", data)[1]
        _, link, flags = struct.unpack_from("=IiI", data, 16)
        if kind != RTM_NEWLINK or link != index:
            continue
        if flags & IFF_RUNNING:
            running = True
        elif running:
            running = False
            print("negotiates", flush=True)
            turn(port, "down")
            time.sleep(seconds)
            turn(port, "up")


def turn(port: str, state: str) -> None:
    subprocess.run(["ip", "link", "set", "dev", port, state], check=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))

"""Run a command, and print after how many seconds it made a default route by a link.

python -m bench.node.first_route LINK COMMAND…     in the command's own namespace
"""

import socket
import struct
import subprocess
import sys
import time

NETLINK_ROUTE, RTM_NEWROUTE = 0, 24
RTMGRP_IPV4_ROUTE = 0x40
RTA_OIF = 4
PATIENCE = 60.0  # seconds


def main(link: str, *command: str) -> int:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    events.bind((0, RTMGRP_IPV4_ROUTE))
    events.settimeout(PATIENCE)
    begun = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not is_default_by(link, events.recv(65536)):
        pass
    print(time.monotonic() - begun)
    process.wait(PATIENCE)
    return 0


def is_default_by(link: str, message: bytes) -> bool:
    size, kind = struct.unpack_from("=IH", message)
    length = message[17]  # of the destination, in rtmsg
    if kind != RTM_NEWROUTE or length != 0:
        return False
    at = 28
    while at + 4 <= size:
        step, attribute = struct.unpack_from("=HH", message, at)
        if attribute == RTA_OIF:
            index = struct.unpack_from("=I", message, at + 4)[0]
            return any(index == number and name == link for number, name in socket.if_nameindex())
        at += max(4, step + 3 & ~3)
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

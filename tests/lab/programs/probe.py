"""Tries to reach addresses by ICMP, TCP and UDP, all at once, and prints what answered.

    probe.py --wait SECONDS --port PORT ADDRESS…      ["icmp 203.0.113.80", "udp …"]

Any answer counts, a refusal too: it came from there. Standard library only.
"""

import errno
import json
import os
import select
import socket
import struct
import sys
import time

KINDS = ("icmp", "tcp", "udp")


def main(wait: float, port: int, addresses: list[str]) -> None:
    waiting: dict[int, tuple[str, socket.socket]] = {}
    reached = set()
    for address in addresses:
        for kind in KINDS:
            name = f"{kind} {address}"
            try:
                sock = send(kind, address, port)
            except OSError:  # no way there: not reached
                continue
            waiting[sock.fileno()] = (name, sock)
    poll = select.poll()
    for fd, (name, _) in waiting.items():
        poll.register(fd, select.POLLOUT if name.startswith("tcp") else select.POLLIN)
    end = time.monotonic() + wait
    while waiting and (left := end - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            name, sock = waiting[fd]
            if answered(name.split()[0], sock):
                reached.add(name)
                poll.unregister(fd)
                del waiting[fd]
            elif name.startswith("tcp"):
                poll.unregister(fd)
                del waiting[fd]
    print(json.dumps(sorted(reached)))


def send(kind: str, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if kind == "icmp":
        protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
        sock.setblocking(False)
        sock.connect((address, 0))
        sock.send(echo(128 if family == socket.AF_INET6 else 8))
        return sock
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.setblocking(False)
    if kind == "tcp":
        code = sock.connect_ex((address, port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    else:
        sock.connect((address, port))
        sock.send(b"?")
    return sock


def echo(kind: int) -> bytes:
    header = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1)
    total = sum(struct.unpack("!4H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", kind, 0, ~total & 0xFFFF, os.getpid() & 0xFFFF, 1)


def answered(kind: str, sock: socket.socket) -> bool:
    if kind == "tcp":
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED)
    try:
        data = sock.recv(2048)
    except ConnectionRefusedError:
        return kind == "udp"
    except OSError:
        return False
    if kind == "udp":
        return True
    if sock.family == socket.AF_INET:
        data = data[(data[0] & 15) * 4 :]
    return data[0] in (0, 129) and data[4:6] == struct.pack("!H", os.getpid() & 0xFFFF)


if __name__ == "__main__":
    main(float(sys.argv[2]), int(sys.argv[4]), sys.argv[5:])

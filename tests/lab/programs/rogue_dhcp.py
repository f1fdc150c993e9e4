"""A DHCP server that means no good: answers each query it hears with traps, at a steady rate, for ever.

rogue_dhcp.py LINK RATE TRAP…       prints "trapping" with its first answer

Traps are those of TRAPS; each goes out as an OFFER and as an ACK in turn.
"""

import itertools
import select
import socket
import sys
import time

from tests.agent.dhcp.replies import ip, reply

OWN = "192.168.7.66"
OFFERED = "192.168.7.67"
SHELL = b"$(reboot)\n;`reboot`"
# Changes to an honest answer: options, and the address or number that goes with them.
TRAPS: dict[str, tuple[dict[int, bytes | None], str, int]] = {
    "gateway outside": ({3: ip("10.9.9.9")}, OFFERED, 0),
    "no gateway": ({3: None}, OFFERED, 0),
    "host mask": ({1: ip("255.255.255.255"), 3: ip("10.9.9.9")}, OFFERED, 0),
    "no mask": ({1: ip("0.0.0.0")}, OFFERED, 0),
    "our range": ({1: ip("255.255.0.0"), 3: ip("100.127.0.1")}, "100.127.0.9", 0),
    "lease of nothing": ({51: bytes(4)}, OFFERED, 0),
    "MTU 68": ({26: (68).to_bytes(2, "big")}, OFFERED, 0),
    "shell": ({12: SHELL, 15: SHELL}, OFFERED, 0),
    "wrong xid": ({}, OFFERED, 1),
}


def answers(query: bytes, names: list[str]) -> list[bytes]:
    xid, mac = int.from_bytes(query[4:8], "big"), query[28:34].hex(":")
    found = []
    for kind, name in itertools.product((b"\x02", b"\x05"), names):
        changes, offered, off = TRAPS[name]
        options = {54: ip(OWN), 3: ip(OWN), 6: ip(OWN)} | changes | {53: kind}
        found.append(reply(options, yiaddr=offered, xid=(xid + off) & 0xFFFFFFFF, mac=mac))
    return found


def main(link: str, rate: int, names: list[str]) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
    sock.bind(("", 67))
    print("listening", flush=True)
    traps = itertools.cycle(answers(sock.recv(2000), names))
    began, sent = time.monotonic(), 0
    while True:
        if select.select([sock], [], [], 0.001)[0]:
            traps = itertools.cycle(answers(sock.recv(2000), names))
        due = int((time.monotonic() - began) * rate) + 1
        for _ in range(sent, due):
            sock.sendto(next(traps), ("255.255.255.255", 68))
        if not sent:
            print("trapping", flush=True)
        sent = due


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])

"""Knock at many doors at once and say what each answered; runs where the question is asked from.

    python -I -S lab/ask.py SECONDS icmp/10.9.0.2 tcp/192.168.7.50/7 udp/2001:db8::1/7 http4/web.example

A line for each: TARGET VERDICT DETAIL. The verdict is answer, refused (something is there and said
no) or silent (nothing came back). icmp and udp ask again each 0.2 s. A 4 or 6 after the kind asks
for that family only. Standard library only, for a quick start.
"""

import os
import select
import socket
import struct
import sys
import threading
import time

PORTS = {"http": 80, "tcp": 7, "udp": 7}
AGAIN = 0.2
Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]  # as sockets take it
REFUSED = (ConnectionError, PermissionError)


def resolve(host: str, family: str, port: int) -> tuple[int, Address]:
    """A scope ("fe80::1%eth0") stays with it."""
    wanted = {"4": socket.AF_INET, "6": socket.AF_INET6, "": 0}[family]
    found = socket.getaddrinfo(host, port, wanted, socket.SOCK_STREAM)[0]
    return found[0], found[4]


def knock(target: str, seconds: float) -> str:
    kind, host, *rest = target.split("/")
    family = kind[4:] if kind[:4] in ("icmp", "http") else kind[3:]
    kind = kind.removesuffix(family) if family else kind
    port = int(rest[0]) if rest else PORTS.get(kind, 0)
    deadline = time.monotonic() + seconds
    try:
        where, address = resolve(host, family, port)
        if kind == "icmp":
            return ping(where, address, deadline)
        if kind == "udp":
            return ask_datagram(where, address, deadline)
        return ask_stream(where, address, deadline, http=kind == "http")
    except TimeoutError:
        return "silent"
    except REFUSED as error:
        return f"refused {error}"
    except OSError as error:  # no route, or an ICMP error from on the way
        return f"silent {error}"


def ask_stream(family: int, address: Address, deadline: float, *, http: bool) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        connection.connect(address)
        if http:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = b""
        while piece := connection.recv(4096):
            said += piece
    return "answer " + said.decode(errors="replace").rpartition("\r\n\r\n")[2].strip()


def ask_datagram(family: int, address: Address, deadline: float) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.connect(address)
        while time.monotonic() < deadline:
            asking.send(b"who am I")
            if select.select([asking], [], [], AGAIN)[0]:
                return "answer " + asking.recv(4096).decode(errors="replace").strip()
    return "silent"


def ping(family: int, address: Address, deadline: float) -> str:
    v6 = family == socket.AF_INET6
    request, reply = (128, 129) if v6 else (8, 0)
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    identity = os.urandom(8)
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.connect(address)
        sequence = 0
        while time.monotonic() < deadline:
            sequence += 1
            begun = time.monotonic()
            raw.send(echo(request, sequence, identity))
            while select.select([raw], [], [], max(0, begun + AGAIN - time.monotonic()))[0]:
                packet = raw.recv(4096)
                body = packet if v6 else packet[(packet[0] & 15) * 4 :]
                if body[0] == reply and body[8:16] == identity:
                    return f"answer {1000 * (time.monotonic() - begun):.1f} ms"
    return "silent"


def echo(kind: int, sequence: int, identity: bytes) -> bytes:
    """An echo request (RFC 792; RFC 4443, where the kernel sets the checksum)."""
    # An identifier of its own, else a firewall on the way takes it for the last ping's flow.
    packet = struct.pack("!BBH2sH", kind, 0, 0, identity[:2], sequence) + identity
    total = sum(struct.unpack("!8H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return packet[:2] + struct.pack("!H", checksum) + packet[4:]


def main(argv: list[str]) -> None:
    seconds, targets = float(argv[1]), argv[2:]

    def tell(target: str) -> None:
        print(target, knock(target, seconds), flush=True)

    threads = [threading.Thread(target=tell, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv)

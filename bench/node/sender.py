"""Datagrams or a stream to an address that throws them away, and what they cost.

    python -m bench.node.sender udp ADDRESS PACKETS     prints CPU nanoseconds a packet
    python -m bench.node.sender tcp ADDRESS BYTES       prints bytes a second
    python -m bench.node.sender sink                    throws away what comes to port 9 (RFC 863)

A packet that goes through network namespaces is carried all the way in the context of who sent it, so
that the CPU time of the sender's thread is what the way costs. `sendmmsg` keeps Python out of it.
"""

import ctypes
import os
import socket
import sys
import threading
import time

DISCARD = 9
SIZE, BATCH = 64, 64
CHUNK = 1 << 20


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


def main(what: str, address: str = "", amount: str = "0") -> int:
    if what == "sink":
        sink()
    elif what == "udp":
        print(datagrams(address, int(amount)))
    else:
        print(stream(address, int(amount)))
    return 0


def datagrams(address: str, packets: int) -> float:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, DISCARD))
    payload = ctypes.create_string_buffer(SIZE)
    vector = _Vector(ctypes.addressof(payload), SIZE)
    messages = (_Message * BATCH)()
    for message in messages:
        message.header.vectors = ctypes.pointer(vector)
        message.header.vector_count = 1
    send = ctypes.CDLL(None, use_errno=True).sendmmsg
    begun = time.thread_time_ns()
    for _ in range(packets // BATCH):
        if send(sock.fileno(), messages, BATCH, 0) != BATCH:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return (time.thread_time_ns() - begun) / (packets // BATCH * BATCH)


def stream(address: str, size: int) -> float:
    data = bytes(CHUNK)
    with socket.create_connection((address, DISCARD)) as sock:
        begun = time.monotonic()
        for _ in range(size // CHUNK):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)  # all of it has come
        return size / (time.monotonic() - begun)


def sink() -> None:
    """UDP is left to a buffer that overflows, which costs least."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", DISCARD))
    listener = socket.create_server(("", DISCARD))
    print("ready", flush=True)
    while True:
        threading.Thread(target=swallow, args=listener.accept()[:1], daemon=True).start()


def swallow(connection: socket.socket) -> None:
    buffer = bytearray(CHUNK)
    with connection:
        while connection.recv_into(buffer):
            pass


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

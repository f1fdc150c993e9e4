"""A server that answers with the address it saw, so that a test can tell NAT from no NAT.

    python -I -S lab/answer.py

HTTP on port 80 (body: the address), TCP and UDP on port 7 (the address and the port), on every
address of the host. Says "ready" when it listens. Standard library only, for a quick start.
"""

import contextlib
import socket
import threading
from collections.abc import Callable

HTTP, ECHO = 80, 7
Talk = Callable[[socket.socket, tuple[str, int]], None]


def seen(address: tuple[str, int]) -> str:
    return address[0].removeprefix("::ffff:")


def answer_http(connection: socket.socket, address: tuple[str, int]) -> None:
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 8192:
        piece = connection.recv(8192)
        if not piece:
            return
        request += piece
    body = f"{seen(address)}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


def answer_line(connection: socket.socket, address: tuple[str, int]) -> None:
    connection.sendall(f"{seen(address)} {address[1]}\n".encode())


def serve_stream(port: int) -> None:
    talk = answer_http if port == HTTP else answer_line
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=accept_all, args=(listener, talk), daemon=True).start()


def accept_all(listener: socket.socket, talk: Talk) -> None:
    while True:
        connection, address = listener.accept()
        threading.Thread(target=serve_one, args=(connection, address, talk), daemon=True).start()


def serve_one(connection: socket.socket, address: tuple[str, int], talk: Talk) -> None:
    with connection:
        connection.settimeout(5)
        with contextlib.suppress(OSError):  # the client went away
            talk(connection, address)


def serve_datagrams() -> None:
    """Answer from the address that was asked: a host here has several."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    server.bind(("::", ECHO))
    print("ready", flush=True)
    while True:
        _, extra, _, address = server.recvmsg(2048, 256)
        said = f"{seen(address)} {address[1]}\n".encode()
        asked = [item for item in extra if item[1] == socket.IPV6_PKTINFO]
        try:
            server.sendmsg([said], asked, 0, address)
        except OSError:
            continue  # no way back


if __name__ == "__main__":
    serve_stream(HTTP)
    serve_stream(ECHO)
    serve_datagrams()

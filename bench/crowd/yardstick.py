"""What figures are divided by, measured in the same run and between the same moments.

One raw signature: libsodium's Ed25519 by pynacl's bindings, on as many bytes as a certificate has.
One bare handshake: a libzmq ROUTER with CURVE and nothing else, in a process of its own.
One bare exchange: that process takes a request and gives it back, with none of our code between.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import zmq
from nacl import bindings

from bench.crowd.served import Process, free_port
from protocol.keys import CurvePublic, CurveSecret, new_curve_pair

CERTIFICATE_SIZE = 190  # domain and payload of a membership with one IPv4 address
ROUND = 300  # signatures


class Signature:
    """The CPU time of one signature, as the mean of many short rounds."""

    def __init__(self) -> None:
        _, self._secret = bindings.crypto_sign_keypair()
        self._message = bytes(CERTIFICATE_SIZE)
        self.rounds: list[float] = []  # microseconds

    def measure(self) -> None:
        begun = time.thread_time_ns()
        for _ in range(ROUND):
            bindings.crypto_sign(self._message, self._secret)
        self.rounds.append((time.thread_time_ns() - begun) / 1000 / ROUND)

    @property
    def us(self) -> float:
        return sum(self.rounds) / len(self.rounds)


@contextmanager
def bare_server() -> Iterator[tuple[Process, str, CurvePublic]]:
    """A process that shakes hands and gives back what it gets."""
    public, secret = new_curve_pair()
    port = free_port()
    endpoint = f"tcp://127.0.0.1:{port}"
    with TemporaryDirectory(prefix="zosnet-bench-") as directory:
        argv = [sys.executable, "-m", "bench.crowd.yardstick", endpoint]
        process = Process([*argv, public.hex(), secret.hex()], log=Path(directory) / "log")
        process.await_port(port)
        try:
            yield process, endpoint, public
        finally:
            process.end()


def serve_bare(endpoint: str, public: CurvePublic, secret: CurveSecret) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.curve_server = True
    router.setsockopt(zmq.CURVE_PUBLICKEY, public)
    router.setsockopt(zmq.CURVE_SECRETKEY, secret)
    router.setsockopt(zmq.BACKLOG, 1024)
    router.bind(endpoint)
    while True:
        routing, frame = router.recv(), router.recv()
        router.send(routing, zmq.SNDMORE)
        router.send(frame)


if __name__ == "__main__":
    keys = [bytes.fromhex(text) for text in sys.argv[2:]]
    serve_bare(sys.argv[1], CurvePublic(keys[0]), CurveSecret(keys[1]))

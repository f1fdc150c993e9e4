"""Nodes with keys of their own, and their connections: all on one socket, each with its own CURVE key.

    with Crowd(controller.endpoint, controller.curve) as crowd:
        crowd.connect([(label, secret), ...])      # comes back when all handshakes are over
        replies = crowd.ask([(label, frame), ...])

libzmq copies a socket's options at `connect`, so that one socket can be ten thousand clients; the
controller sees as many connections, and the client costs little enough not to be what is measured.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self, TypeVar

import zmq
from msgspec import Struct
from zmq.utils.monitor import recv_monitor_message

from protocol.keys import (
    CurvePublic,
    CurveSecret,
    curve_public,
    new_curve_pair,
    new_wireguard_pair,
)
from protocol.messages import (
    WIRE_VERSION,
    Admit,
    Hello,
    Join,
    Ping,
    Refresh,
    Rows,
    decode_reply,
    encode,
)

R = TypeVar("R")

PATIENCE_MS = 60_000
AT_ONCE = 256  # handshakes under way
WINDOW = 1024  # requests under way: more than twice as many are told to come later
_numbers = itertools.count(1)


class Member(Struct, frozen=True):
    """A node that is, or will be, a member of one network."""

    name: str
    network: str
    key: CurvePublic
    secret: CurveSecret
    wireguard: bytes

    @property
    def label(self) -> bytes:
        return self.key[:16]

    def admit(self) -> bytes:
        return encode(Admit(number(), self.key, self.name, "0.1.0", "linux"))

    def hello(self) -> bytes:
        return encode(Hello(number(), WIRE_VERSION, self.name, "0.1.0", "linux", 1, keyset=1))

    def join(self) -> bytes:
        return encode(Join(number(), self.network, self.wireguard, (self.endpoint,), (4,), 51820))

    def refresh(self, *, serial: int = 1, epoch: int = 1, revision: int = 0) -> bytes:
        return encode(
            Refresh(
                number(),
                self.network,
                self.wireguard,
                (self.endpoint,),
                (4,),
                51820,
                serial,
                incarnation=1,
                epoch=epoch,
                revision=revision,
            )
        )

    @property
    def endpoint(self) -> str:
        """Where its WireGuard is reached: no two have the same."""
        a, b = self.key[0], self.key[1]
        return f"198.18.{a}.{b}:51820"


def number() -> int:
    """For a request."""
    return next(_numbers)


def make_members(networks: Sequence[str], count: int) -> list[Member]:
    """`count` members, dealt out to the networks in turn."""
    members = []
    for index in range(count):
        key, secret = new_curve_pair()
        wireguard = bytes(new_wireguard_pair()[0])
        network = networks[index % len(networks)]
        members.append(Member(f"node{index}", network, key, secret, wireguard))
    return members


class Crowd:
    def __init__(self, endpoint: str, server: CurvePublic) -> None:
        self._endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, 0),
            (zmq.RCVHWM, 0),
            (zmq.CURVE_SERVERKEY, server),
            (zmq.SNDTIMEO, PATIENCE_MS),
            (zmq.RCVTIMEO, PATIENCE_MS),
        ):
            self._socket.setsockopt(option, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def connect(self, ends: Iterable[tuple[bytes, CurveSecret]]) -> None:
        """A connection for each label, with its key: some at a time, as a handshake that waits behind
        too many others for too long is given up.
        """
        rest = iter(ends)
        with self._monitored() as events:
            while some := list(itertools.islice(rest, AT_ONCE)):
                self._connect(some, events)

    @contextmanager
    def _monitored(self) -> Iterator["zmq.Socket[bytes]"]:
        """Only for a time: events that nobody reads stop libzmq, and all connections with it."""
        events = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        try:
            yield events
        finally:
            self._socket.disable_monitor()
            events.close()

    def _connect(
        self, ends: Sequence[tuple[bytes, CurveSecret]], events: "zmq.Socket[bytes]"
    ) -> None:
        for label, secret in ends:
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, curve_public(secret))
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
            self._socket.setsockopt(zmq.CONNECT_ROUTING_ID, label)
            self._socket.connect(self._endpoint)
        shaken = 0
        while shaken < len(ends):
            if not events.poll(PATIENCE_MS):
                raise TimeoutError("a handshake is not answered")
            event = recv_monitor_message(events)["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise ConnectionError("a handshake was refused")
            shaken += event == zmq.EVENT_HANDSHAKE_SUCCEEDED  # given up in time: libzmq tries again

    def send(self, label: bytes, frame: bytes) -> None:
        self._socket.send_multipart((label, frame))

    def receive(self) -> tuple[bytes, bytes]:
        """(label, frame) of what comes next."""
        label = self._socket.recv()
        return label, self._socket.recv()

    def ask(self, kind: type[R], questions: Sequence[tuple[bytes, bytes]]) -> dict[bytes, R]:
        """Send all, WINDOW of them under way, and take as many answers: the last of each label,
        nothing that is pushed.

        Raises AssertionError at an answer of another kind: a figure of refusals would be worth nothing;
        TimeoutError when none comes: on a machine that is too busy a session ends as silent, and its
        request with it.
        """
        rest = iter(questions)
        for label, frame in itertools.islice(rest, WINDOW):
            self.send(label, frame)
        answers: dict[bytes, R] = {}
        count, last = 0, time.monotonic()
        while count < len(questions):
            label, frame = self.receive()
            reply = decode_reply(frame)
            if isinstance(reply, kind):
                answers[label] = reply
                count, last = count + 1, time.monotonic()
                for question in itertools.islice(rest, 1):
                    self.send(*question)
            elif not isinstance(reply, Rows | Ping):
                raise AssertionError(f"{kind.__name__} was expected: {reply}")  # noqa: TRY004
            elif time.monotonic() - last > PATIENCE_MS / 1000:
                raise TimeoutError(f"{len(questions) - count} requests are not answered")
        return answers

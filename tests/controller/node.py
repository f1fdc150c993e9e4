"""Nodes as clients over real CURVE sockets: one connection, and what an agent does with it."""

import itertools
import time
from collections.abc import Callable
from typing import Any, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from protocol.joinstring import JoinString
from protocol.keys import (
    CurvePublic,
    CurveSecret,
    VerifyKey,
    curve_public,
    new_curve_pair,
    new_wireguard_pair,
    to_z85,
)
from protocol.messages import (
    WIRE_VERSION,
    Ack,
    AckKeys,
    Admit,
    Done,
    FetchRows,
    Hello,
    Join,
    Joined,
    Keys,
    Leave,
    NodeRequest,
    Ping,
    Pong,
    Refresh,
    Reply,
    Rows,
    TokenRequest,
    Welcome,
    decode_reply,
    encode,
)
from protocol.signed import Signed, open_signed, read_unverified, signer_id
from protocol.statements import Keyset, Membership, NetworkState, check


class RefusalError(Exception):
    """The socket was closed in the handshake: an unknown key."""


class SilenceError(Exception):
    """No answer in time."""


class Line:
    """One CURVE connection: requests, replies, pushes."""

    _ids = itertools.count(1)

    def __init__(
        self,
        join: JoinString,
        secret: CurveSecret,
        *,
        server: CurvePublic | None = None,
        patience: float = 20.0,
    ) -> None:
        self._patience = patience
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        endpoint, known = join.controllers[0]
        self._socket.curve_serverkey = to_z85(server or known)
        self._socket.curve_publickey = to_z85(curve_public(secret))
        self._socket.curve_secretkey = to_z85(secret)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        self._socket.connect(endpoint)
        self.pushes: list[Reply] = []
        self.on_keys: Callable[[Keys], None] = lambda _: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()

    def shake(self, seconds: float | None = None) -> None:
        """Wait for the handshake. Raises RefusalError, SilenceError."""
        if not self._monitor.poll(int(1000 * (self._patience if seconds is None else seconds))):
            raise SilenceError
        event = recv_monitor_message(self._monitor)["event"]
        if event != zmq.EVENT_HANDSHAKE_SUCCEEDED:
            raise RefusalError(str(zmq.Event(event)))

    def send(self, message: TokenRequest | NodeRequest) -> None:
        self._socket.send(encode(message), zmq.NOBLOCK)

    def send_raw(self, *frames: bytes) -> None:
        self._socket.send_multipart(frames, zmq.NOBLOCK)

    def exchange(self, frame: bytes, seconds: float = 20.0) -> bytes:
        """One frame there, the next one that comes. Raises TimeoutError."""
        self._socket.send(frame, zmq.NOBLOCK)
        if not self._socket.poll(int(1000 * seconds)):
            raise TimeoutError
        return self._socket.recv()

    def ask(self, message: Any, seconds: float | None = None) -> Reply:
        """The reply with the request's id; what else comes is kept in `pushes`."""
        self.send(message)
        end = time.monotonic() + (self._patience if seconds is None else seconds)
        while True:
            reply = self.receive(end - time.monotonic())
            if getattr(reply, "id", None) == message.id and message.id:
                return reply
            self.pushes.append(reply)

    def receive(self, seconds: float) -> Reply:
        end = time.monotonic() + seconds
        while True:
            if self._socket.poll(min(20, max(0, int(1000 * (end - time.monotonic()))))):
                reply = decode_reply(self._socket.recv())
                if isinstance(reply, Ping):
                    self.send(Pong(reply.id, 0))
                    continue
                if isinstance(reply, Keys):
                    self.on_keys(reply)
                    continue
                return reply
            if self._monitor.poll(0):
                event = recv_monitor_message(self._monitor)["event"]
                if event != zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    raise RefusalError(str(zmq.Event(event)))
            if time.monotonic() >= end:
                raise SilenceError

    def id(self) -> int:
        return next(self._ids)


class Node:
    """A node as the agent is one: a key of its own, a WireGuard key, and what it was told."""

    def __init__(self, join: JoinString, name: str = "n1", *, patience: float = 20.0) -> None:
        self.join_string = join
        self.patience = patience
        self.name = name
        self.key, self.secret = new_curve_pair()
        self.wireguard = bytes(new_wireguard_pair()[0])
        self.endpoints: tuple[str, ...] = ()
        self.families: tuple[int, ...] = (4,)
        self.line: Line | None = None
        self.keys: dict[bytes, VerifyKey] = {}
        self.keyset = 0
        self.welcome: Welcome | None = None
        self.membership: Membership | None = None
        self.state: NetworkState | None = None
        self.revision = 0
        self.peers: dict[bytes, Membership] = {}
        self.names: dict[bytes, str] = {}  # addresses of nodes by their keys

    def admit(self) -> Reply:
        """By the token; Done, or how it was refused."""
        with Line(self.join_string, self.join_string.token, patience=self.patience) as line:
            return line.ask(Admit(line.id(), bytes(self.key), self.name, "0.1.0", "linux"))

    def connect(self) -> Line:
        if self.line is None:
            self.line = Line(self.join_string, self.secret, patience=self.patience)
            self.line.on_keys = lambda pushed: self._trust(pushed.keyset)
        return self.line

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None

    def hello(self) -> Reply:
        line = self.connect()
        number = self.keyset
        reply = line.ask(Hello(line.id(), WIRE_VERSION, self.name, "0.1.0", "linux", 1, number))
        if isinstance(reply, Welcome):
            self.welcome = reply
            self._trust(reply.keyset)
        return reply

    def _trust(self, signed: Signed) -> None:
        """A keyset that is not older than ours, as an agent takes it."""
        root = self.join_string.root
        keyset = open_signed(signed, Keyset, {signer_id(root): root})
        check(keyset)
        if keyset.number >= self.keyset:
            self.keyset, self.keys = keyset.number, keyset.verify_keys()
            self.connect().send(AckKeys(keyset.number))

    def join(self, network: str) -> Reply:
        line = self.connect()
        reply = line.ask(
            Join(line.id(), network, self.wireguard, self.endpoints, self.families, 51820)
        )
        self._take(reply)
        return reply

    def refresh(self, network: str) -> Reply:
        line = self.connect()
        assert self.membership is not None
        assert self.state is not None
        reply = line.ask(
            Refresh(
                line.id(),
                network,
                self.wireguard,
                self.endpoints,
                self.families,
                51820,
                self.membership.serial,
                self.state.incarnation,
                self.state.epoch,
                self.revision,
            )
        )
        self._take(reply)
        return reply

    def leave(self, network: str) -> Reply:
        line = self.connect()
        return line.ask(Leave(line.id(), network))

    def fetch(self, network: str) -> None:
        """All rows above what this node holds, verified, and acknowledged."""
        line = self.connect()
        after, fresh = b"", True
        while after or fresh:
            fresh = False
            reply = line.ask(FetchRows(line.id(), network, self.revision, after))
            assert isinstance(reply, Rows), reply
            self.learn(reply)
            after = reply.more
        line.send(Ack(network, self.revision))

    def learn(self, rows: Rows) -> None:
        """Take rows as an agent does: signature and form first."""
        if rows.state is not None:
            self.state = open_signed(rows.state, NetworkState, self.keys)
            check(self.state)
        for row in rows.rows:
            membership = open_signed(row.membership, Membership, self.keys)
            check(membership)
            self.peers = {k: m for k, m in self.peers.items() if self.names.get(k) != row.address}
            self.peers[membership.node] = membership
            self.names[membership.node] = row.address
        for key in rows.gone:
            self.peers.pop(key, None)
        if not rows.more:
            self.revision = rows.revision

    def await_push(self, network: str, seconds: float = 20.0) -> Rows:
        """The next push of rows, learnt and acknowledged."""
        line = self.connect()
        end = time.monotonic() + seconds
        while True:
            pushed = [m for m in line.pushes if isinstance(m, Rows)]
            if pushed:
                line.pushes.remove(pushed[0])
                self.learn(pushed[0])
                line.send(Ack(network, self.revision))
                return pushed[0]
            line.pushes.append(line.receive(end - time.monotonic()))

    def enrol(self, network: str) -> Self:
        """admit, hello, join, rows: all the way in."""
        assert isinstance(self.admit(), Done)
        assert isinstance(self.hello(), Welcome)
        assert isinstance(self.join(network), Joined)
        self.fetch(network)
        return self

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Joined):
            self.membership = open_signed(reply.membership, Membership, self.keys)
            check(self.membership)
            self.state = open_signed(reply.state, NetworkState, self.keys)

    @property
    def addresses(self) -> list[str]:
        assert self.membership is not None
        return [str(interface) for interface in self.membership.interfaces]


def addresses_of(reply: Reply) -> list[str]:
    assert isinstance(reply, Joined), reply
    return [str(i) for i in read_unverified(reply.membership, Membership).interfaces]

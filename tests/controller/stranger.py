"""Sections 6 to 8 of docs/protocol.md by themselves: what is believed, and a node of one network."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, Self

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from nacl.utils import random as random_bytes

from tests.controller.stranger_line import (
    KEY,
    VERSION,
    Invitation,
    Line,
    Message,
    NotUnderstoodError,
    RefusedError,
    digest,
    public_half,
)

WIRE_VERSION = 1
LISTEN_PORT = 51820
ROLES = {"hub", "management", "mint", "transit"}


class NotBelievedError(Exception):
    """A statement that is not signed, or not valid here."""


def canonical(value: Iterable[Any]) -> bool:
    """Whether the lists in a payload are sorted and without doubles; `value` is its array."""
    lists = [each for each in value if isinstance(each, list)]
    return all(sorted_by(a) < sorted_by(b) for each in lists for a, b in pairwise(each))


def sorted_by(item: Any) -> Any:
    """A floor or a controller stands in its list by its key."""
    return item[0] if isinstance(item, list) else item


def opened(signed: list[Any], domain: bytes, keys: Iterable[bytes]) -> list[Any]:
    """The array in the payload, which one of the Ed25519 `keys` signed."""
    payload, signer, signature = signed
    for key in keys:
        if digest(key, 8, b"zosnet-signer") == signer:
            try:
                VerifyKey(key).verify(domain + b"\0" + payload, signature)
            except BadSignatureError as error:
                raise NotBelievedError("the signature is wrong") from error
            return _payload(payload)
    raise NotBelievedError("another signer")


def _payload(payload: bytes) -> list[Any]:
    value = msgspec.msgpack.decode(payload, type=list[Any])
    if msgspec.msgpack.encode(value) != payload or not canonical(value):
        raise NotBelievedError("not in canonical form")
    if value[0] != VERSION:
        raise NotBelievedError("another version")
    return value


@dataclass(frozen=True)
class Keyset:
    number: int
    signers: tuple[bytes, ...]

    @classmethod
    def verified(cls, signed: list[Any], root: bytes) -> Self:
        _, number, signers, _, _ = opened(signed, b"zosnet/keyset/v1", [root])
        return cls(number, tuple(signers))


@dataclass(frozen=True)
class State:
    """A NetworkState; `rank` only rises."""

    rank: tuple[int, int]
    least: int
    floors: dict[bytes, int]

    @classmethod
    def verified(cls, signed: list[Any], network: str, keyset: Keyset) -> Self:
        _, of, incarnation, epoch, least, floors, _ = opened(
            signed, b"zosnet/network-state/v1", keyset.signers
        )
        if of != network:
            raise NotBelievedError("of another network")
        return cls((incarnation, epoch), least, dict(floors))

    def voids(self, node: bytes, serial: int) -> bool:
        return serial < max(self.least, self.floors.get(node, 0))


@dataclass(frozen=True)
class Membership:
    node: bytes
    wireguard: bytes
    addresses: tuple[bytes, ...]
    serial: int

    @classmethod
    def verified(cls, signed: list[Any], network: str, keyset: Keyset) -> Self:
        fields = opened(signed, b"zosnet/membership/v1", keyset.signers)
        _, of, node, wireguard, addresses, _, roles, _, serial, _, _, _ = fields
        if of != network or not ROLES.issuperset(roles):
            raise NotBelievedError("of another network, or with an unknown role")
        return cls(node, wireguard, tuple(addresses), serial)


@dataclass(frozen=True)
class Peer:
    """A row: a membership that was verified, and hints."""

    membership: Membership
    name: str
    address: str
    endpoints: tuple[str, ...]


@dataclass
class Netmap:
    """The members of one network, as far as `revision`."""

    revision: int = 0
    rows: dict[bytes, Peer] = field(default_factory=dict)
    _snapshot: set[bytes] = field(default_factory=set)

    def take(self, piece: Message, peers: Iterable[Peer]) -> None:
        for peer in peers:
            self._put(peer)
        for node in piece["gone"]:
            self.rows.pop(node, None)
        if piece["full"]:
            self._snapshot.update(peer.membership.node for peer in peers)
        if not piece["more"]:
            self._end(piece)

    def _put(self, peer: Peer) -> None:
        former = [node for node, row in self.rows.items() if row.address == peer.address]
        for node in former:
            del self.rows[node]
        self.rows[peer.membership.node] = peer

    def _end(self, piece: Message) -> None:
        if piece["full"]:
            self.rows = {node: row for node, row in self.rows.items() if node in self._snapshot}
        self._snapshot.clear()
        self.revision = piece["revision"]


class Stranger:
    """A node in the network `network`; what a real one keeps on its disk it keeps in memory."""

    def __init__(self, text: str, name: str, *, endpoints: Sequence[str] = ()) -> None:
        self.invitation = Invitation.parse(text)
        self.name = name
        self.network = ""
        self.standing = ""  # joined, or why not
        self.keyset: Keyset | None = None
        self.state: State | None = None
        self.membership: Membership | None = None
        self.netmap = Netmap()
        self.endpoints = list(endpoints) or [f"192.0.2.1:{LISTEN_PORT}"]
        self._secret = random_bytes(KEY)
        self.node = public_half(self._secret)
        self.wireguard = public_half(random_bytes(KEY))
        self._generation = 0
        self._behind = False  # a push was not for what we hold
        self._more = b""
        self._line: Line | None = None

    @property
    def line(self) -> Line:
        assert self._line is not None, "not connected"
        return self._line

    def peers(self) -> dict[str, Peer]:
        """By name, the other members that are to be believed."""
        return {
            peer.name: peer
            for node, peer in self.netmap.rows.items()
            if node != self.node and not self._void(peer.membership)
        }

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    # what a node asks

    def admit(self) -> None:
        """By the token; the node's own key is let in afterwards."""
        self._dial(self.invitation.token)
        self._ask("admit", "done", self.node, self.name, "0", "stranger")
        self.close()

    def connect(self) -> Message:
        """With the node's own key; the welcome."""
        self._dial(self._secret)
        self._generation += 1
        held = self.keyset.number if self.keyset else 0
        about = (WIRE_VERSION, self.name, "0", "stranger", self._generation, held)
        welcome = self._ask("hello", "welcome", *about)
        self._take_keyset(welcome["keyset"])
        return welcome

    def join(self, network: str) -> str:
        """`joined`, or in which state it waits."""
        self.network = network
        self._take(*self.line.ask("join", network, *self._place()))
        return self.standing

    def fetch(self) -> int:
        """The members above what is held; in how many pieces they came."""
        self._more = b""
        for pieces in count(1):
            held = self.netmap.revision
            self._take_rows(self._ask("rows?", "rows", self.network, held, self._more))
            if not self._more:
                self._behind = False
                return pieces
        raise AssertionError("it has no end")

    def refresh(self) -> str:
        """`unchanged`, or `joined` and what is new was taken."""
        assert self.membership is not None
        assert self.state is not None
        held = (self.membership.serial, *self.state.rank, self.netmap.revision)
        tag, answer = self.line.ask("refresh", self.network, *self._place(), *held)
        self._take(tag, answer)
        return tag

    def new_wireguard_key(self) -> None:
        self.wireguard = public_half(random_bytes(KEY))

    def leave(self) -> None:
        self._ask("leave", "done", self.network)

    def ping(self) -> None:
        self._ask("ping", "pong")

    def listen_until(self, condition: Callable[[Self], bool]) -> None:
        """Takes what is pushed until it is so."""
        while not condition(self):
            self.line.listen()
            if self._behind:
                self.fetch()

    # what a node is told

    def _take(self, tag: str, message: Message) -> None:
        if tag == "keys":
            self._take_keyset(message["keyset"])
        elif tag == "refused":
            raise RefusedError(message)
        elif message.get("network") != self.network:
            raise NotUnderstoodError(f"{tag}, and not of our network")
        elif tag == "joined":
            self._take_joined(message)
        elif tag == "waiting":
            self.standing = message["state"]
        elif tag == "rows":
            self._take_pushed(message)

    def _take_pushed(self, rows: Message) -> None:
        if self.node in rows["gone"]:
            self.standing = "gone"
            self._take_state(rows["state"])
        elif rows["full"] or rows["since"] <= self.netmap.revision:
            self._take_rows(rows)
        else:
            self._behind = True

    def _take_keyset(self, signed: list[Any]) -> None:
        keyset = Keyset.verified(signed, self.invitation.root)
        if self.keyset is not None and keyset.number < self.keyset.number:
            raise NotBelievedError("an older keyset")
        self.keyset = keyset
        self.line.tell("ack-keys", keyset.number)

    def _take_state(self, signed: list[Any]) -> None:
        assert self.keyset is not None
        state = State.verified(signed, self.network, self.keyset)
        if self.state is not None and state.rank < self.state.rank:
            raise NotBelievedError("an older state")
        self.state = state

    def _take_joined(self, joined: Message) -> None:
        assert self.keyset is not None
        self._take_state(joined["state"])
        membership = Membership.verified(joined["membership"], self.network, self.keyset)
        if (membership.node, membership.wireguard) != (self.node, self.wireguard):
            raise NotBelievedError("the membership of another node")
        if self._void(membership):
            raise NotBelievedError("a membership that is void")
        self.membership = membership
        self.standing = "joined"

    def _take_rows(self, rows: Message) -> None:
        if rows["state"] is not None:
            self._take_state(rows["state"])
        peers = [peer for row in rows["rows"] if (peer := self._peer(row))]
        self.netmap.take(rows, peers)
        self._more = rows["more"]
        if self._more:
            self._behind = True
        else:
            self.line.tell("ack", self.network, self.netmap.revision)

    def _peer(self, row: list[Any]) -> Peer | None:
        assert self.keyset is not None
        signed, name, address, endpoints, _ = row
        try:
            membership = Membership.verified(signed, self.network, self.keyset)
        except NotBelievedError:
            return None
        return Peer(membership, name, address, tuple(endpoints))

    def _void(self, membership: Membership) -> bool:
        return self.state is None or self.state.voids(membership.node, membership.serial)

    def _place(self) -> tuple[Any, ...]:
        return self.wireguard, self.endpoints, [4], LISTEN_PORT

    def _ask(self, tag: str, expected: str, *fields: Any) -> Message:
        said, answer = self.line.ask(tag, *fields)
        if said != expected:
            raise NotUnderstoodError(f"{said} is no answer to {tag}")
        return answer

    def _dial(self, secret: bytes) -> None:
        self.close()
        self._line = Line(self.invitation.controllers[0], secret, self._take)

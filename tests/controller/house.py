"""A controller without sockets: a real database and desk, frames in and out as values, time by hand."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import func, select
from sqlmodel import SQLModel

from controller.addresses.idle import Idle
from controller.cli.init import create
from controller.config import Config
from controller.front.desk import Desk
from controller.front.push import Push
from controller.front.sessions import Sessions
from controller.opening import open_registry
from controller.registry import Registry
from controller.store.audit import Entry
from controller.store.model import ASSIGNMENT, AUDIT, NODE, TOKEN
from controller.store.records import Token, sixteen
from controller.store.survey import believe, survey
from controller.store.work import QUARANTINE_MS
from controller.verbs.dispatch import answer
from controller.verbs.office import Office
from protocol.admin import Call, Failed, Result, decode_answer, encode_admin
from protocol.keys import new_curve_pair
from protocol.messages import (
    WIRE_VERSION,
    Ack,
    Admit,
    FetchRows,
    Hello,
    Join,
    Joined,
    Leave,
    NodeRequest,
    Refresh,
    Reply,
    Rows,
    TokenRequest,
    Welcome,
    decode_reply,
    encode,
)
from protocol.signed import open_signed, read_unverified
from protocol.statements import Membership, NetworkState

ENDPOINT = "tcp://203.0.113.10:9930"
START_MS = 1_795_000_000_000
DAY_MS = 24 * 3600 * 1000


@dataclass
class Frame:
    """What zmq gives for a received frame: its bytes, and what ZAP said of the connection."""

    bytes: bytes
    user: str
    peer: str = "198.51.100.7"

    def get(self, name: str) -> str:
        return {"User-Id": self.user, "Peer-Address": self.peer}[name]


class Guest(Struct):
    """A node, from the controller's side: its key, and the routing id of its connection."""

    key: bytes
    wireguard: bytes
    routing: bytes
    endpoints: tuple[str, ...] = ()
    families: tuple[int, ...] = (4,)
    name: str = "n1"
    generation: int = 1


@dataclass
class House:
    directory: Path
    sent: list[tuple[bytes, Reply]] = field(default_factory=list)
    deaf: set[bytes] = field(default_factory=set)  # routing ids that take nothing
    now_ms: int = START_MS
    now: float = 1000.0
    spoilt: bool = False  # by the test: some rows are not as the controller wrote them
    _count: int = 0

    def __post_init__(self) -> None:
        self.config = Config(data=str(self.directory / "data"))
        create(self.config, (ENDPOINT,))
        self.open()

    def open(self) -> None:
        """Open the database, as a start does; what was in memory is gone."""
        self.registry: Registry = open_registry(self.config)
        self.registry.idle = Idle(self.now_ms)  # started in our time
        self.sessions = Sessions()
        self.push = Push(self.registry, self.sessions, self._send)
        self.desk = Desk(self.registry, self.sessions, self.push)
        self.office = Office(self.desk, lambda: 0)

    def reopen(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.registry.connection.close()

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.now_ms += int(seconds * 1000)

    # an operator

    def do(self, verb: str, **arguments: Any) -> list[dict[str, Any]]:
        reply = self.call(verb, **arguments)
        assert isinstance(reply, Result), reply
        return reply.items

    def call(self, verb: str, **arguments: Any) -> Result | Failed:
        return self._call(Call(7, verb, arguments))

    def rehearse(self, verb: str, **arguments: Any) -> Result | Failed:
        return self._call(Call(7, verb, arguments, dry_run=True))

    def _call(self, call: Call) -> Result | Failed:
        frame = encode_admin(call)
        reply = decode_answer(answer(self.office, frame, self.now_ms, self.now))
        self.push.run(self.now)
        assert not self.registry.connection.in_transaction()
        return reply

    def network(
        self, name: str = "home", ipv4: str = "10.9.0.0/16", ipv6: str = "", **more: Any
    ) -> str:
        made = self.do(
            "network.create", id=f"request-{name}", name=name, ipv4=ipv4, ipv6=ipv6, **more
        )
        return str(made[0]["id"])

    def token(self, network: str = "home", **more: Any) -> bytes:
        """The public half of a new token."""
        public, _ = new_curve_pair()
        self.later(0.001)
        self.do("token.create", network=network, key=public.hex(), **more)
        return bytes(public)

    def old_token(self, **fields: Any) -> bytes:
        """The public half of a token that is in the database, whatever would be said to it today."""
        plain: dict[str, Any] = {
            "key": bytes(new_curve_pair()[0]),
            "network": 1,
            "uses": 1,
            "uses_left": 1,
            "created_at": self.now_ms,
            "expires_at": self.now_ms + DAY_MS,
            "address": "",
            "ask": False,
            "roles": "",
            "created_by": "local",
        }
        token = Token(**plain | fields)
        self.desk.transact(lambda work: work.tokens.put(token), self.now_ms, self.now)
        return token.key

    # nodes

    def guest(self, name: str = "n1", **more: Any) -> Guest:
        self._count += 1
        key = bytes(new_curve_pair()[0])
        wireguard = bytes(new_curve_pair()[0])
        return Guest(key, wireguard, b"route%d" % self._count, name=name, **more)

    def number(self) -> int:
        self._count += 1
        return self._count

    def take(self, user: str, routing: bytes, message: TokenRequest | NodeRequest) -> None:
        """One frame from a connection; an answer at once is sent."""
        at_once = self.desk.take(routing, Frame(encode(message), user), self.now)
        if at_once is not None:
            self._send(routing, at_once)

    def work(self) -> None:
        """What the loop does in one turn."""
        for routing, frame in self.desk.work_off(self.now_ms, self.now):
            self._send(routing, frame)
        self.push.run(self.now)
        for routing, frame in self.desk.answer_deferred(self.now_ms, self.now):
            self._send(routing, frame)
        assert not self.registry.connection.in_transaction()

    def tell(self, user: str, routing: bytes, message: Any) -> Reply:
        """One request and its answer."""
        before = len(self.sent)
        self.take(user, routing, message)
        self.work()
        answers = [r for to, r in self.sent[before:] if to == routing and r.id == message.id]
        assert len(answers) == 1, answers
        return answers[0]

    def admit(self, token: bytes, guest: Guest) -> Reply:
        return self.tell(*self.admit_frame(token, guest))

    def admit_frame(self, token: bytes, guest: Guest) -> tuple[str, bytes, Admit]:
        message = Admit(self.number(), guest.key, guest.name, "0.1.0", "linux")
        return f"t:{token.hex()}", b"token" + guest.routing, message

    def ask(self, guest: Guest, message: Any) -> Reply:
        return self.tell(f"n:{guest.key.hex()}", guest.routing, message)

    def say(self, guest: Guest, message: NodeRequest) -> None:
        self.take(f"n:{guest.key.hex()}", guest.routing, message)
        self.work()

    def hello(self, guest: Guest) -> Reply:
        return self.ask(
            guest,
            Hello(
                self.number(),
                WIRE_VERSION,
                guest.name,
                "0.1.0",
                "linux",
                guest.generation,
                self.registry.keyset_number,
            ),
        )

    def join(self, guest: Guest, network: str) -> Reply:
        return self.ask(guest, self.joining(guest, network))

    def joining(self, guest: Guest, network: str) -> Join:
        return Join(self.number(), network, guest.wireguard, guest.endpoints, guest.families, 51820)

    def refresh(self, guest: Guest, network: str, joined: Joined, revision: int = 0) -> Reply:
        membership = read_unverified(joined.membership, Membership)
        state = read_unverified(joined.state, NetworkState)
        return self.ask(
            guest,
            Refresh(
                self.number(),
                network,
                guest.wireguard,
                guest.endpoints,
                guest.families,
                51820,
                membership.serial,
                state.incarnation,
                state.epoch,
                revision,
            ),
        )

    def leave(self, guest: Guest, network: str) -> Reply:
        return self.ask(guest, Leave(self.number(), network))

    def fetch(self, guest: Guest, network: str, revision: int = 0, after: bytes = b"") -> Reply:
        self.later(0.05)  # pushes that gather go first
        self.push.run(self.now)
        return self.ask(guest, FetchRows(self.number(), network, revision, after))

    def enrol(self, network: str, token: bytes | None = None, **more: Any) -> Guest:
        """A node that is in, and holds all rows."""
        guest = self.guest(**more)
        self.admit(token or self.token(network), guest)
        assert isinstance(self.hello(guest), Welcome)
        joined = self.join(guest, network)
        assert isinstance(joined, Joined), joined
        self.say(guest, Ack(network, joined.revision))
        return guest

    def pushed(self, guest: Guest) -> list[Reply]:
        """What came to this node unasked, and forget it."""
        found = [r for to, r in self.sent if to == guest.routing and r.id == 0]
        self.sent = [x for x in self.sent if not (x[0] == guest.routing and x[1].id == 0)]
        return found

    def pushed_rows(self, guest: Guest) -> list[Rows]:
        return [reply for reply in self.pushed(guest) if isinstance(reply, Rows)]

    def membership(self, reply: Reply) -> Membership:
        """The certificate in an answer, verified."""
        assert isinstance(reply, Joined), reply
        signer = self.registry.signer
        return open_signed(reply.membership, Membership, {signer.id: signer.key})

    def state(self, reply: Joined | Rows) -> NetworkState:
        assert reply.state is not None
        signer = self.registry.signer
        return open_signed(reply.state, NetworkState, {signer.id: signer.key})

    def addresses(self, reply: Reply) -> list[str]:
        return [str(interface) for interface in self.membership(reply).interfaces]

    def count(self, table: str) -> int:
        query = select(func.count()).select_from(SQLModel.metadata.tables[table])
        with self.registry.connection.begin():
            return int(self.registry.connection.execute(query).scalar_one())

    def notes(self) -> list[Entry]:
        """The audit log, oldest first."""
        query = select(*[AUDIT.c[name] for name in Entry.__struct_fields__]).order_by(AUDIT.c.seq)
        with self.registry.connection.begin():
            return [Entry(*row) for row in self.registry.connection.execute(query)]

    def audit(self, action: str) -> list[Any]:
        """The rows of this action, oldest first."""
        query = select(AUDIT).where(AUDIT.c.action == action).order_by(AUDIT.c.seq)
        with self.registry.connection.begin():
            return list(self.registry.connection.execute(query).all())

    def keep_seen(self) -> None:
        """What the loop does each minute: when nodes were last heard goes into the database."""
        connection = self.registry.connection
        for node, (at, where) in self.desk.seen.items():
            change = NODE.update().where(NODE.c.id == node).values(last_seen=at, last_at=where)
            connection.execute(change)
        connection.commit()
        self.desk.seen.clear()

    def check_addresses(self) -> None:
        """What memory holds as used, resting or promised is exactly what the database has, and all
        rows fit to their sums.
        """
        connection = self.registry.connection
        with connection.begin():
            rows = connection.execute(select(ASSIGNMENT)).all()
            tokens = connection.execute(select(TOKEN).where(TOKEN.c.address != "")).all()
            work = self.registry.work(self.now_ms)
            places = [
                place
                for network in self.registry.networks.values()
                for place in self.registry.book.places(work, network)
            ]
        for place in places:
            space = place.space
            space.wake_all(self.now_ms)
            stored = {
                int.from_bytes(row.address): row.released_at and row.released_at + QUARANTINE_MS
                for row in rows
                if row.network == place.pool.network
                and (not row.released_at or row.released_at + QUARANTINE_MS > self.now_ms)
            }
            stored = {address: until for address, until in stored.items() if address in space.shape}
            assert all(address in space for address in stored)
            assert space.taken == len(stored)
            resting = {until for until in stored.values() if until}
            assert space.resting == len([until for until in stored.values() if until])
            assert space.wakes_at() == min(resting, default=None)
            promised = {
                int.from_bytes(sixteen(ip_address(token.address)))
                for token in tokens
                if token.network == place.pool.network
                and (token.uses_left and not token.revoked_at and token.expires_at > self.now_ms)
            }
            promised = {address for address in promised if address in space.shape}
            assert all(space.is_promised(address, self.now_ms) for address in promised)
            assert space.promised == len(promised - stored.keys())
            assert space.free == space.shape.size - len(promised | stored.keys())
        live = [
            (row.network, row.family, row.node)
            for row in rows
            if not row.released_at and row.kind == "auto"
        ]
        assert len(set(live)) == len(live)
        if not self.spoilt:
            assert self.misfits() == []

    def misfits(self) -> list[str]:
        """The rows that do not fit to their sums."""
        connection = self.registry.connection
        with connection.begin():
            return [found.what for found in survey(connection, self.registry.seals.sums)]

    def spoil(self, sql: str, *values: Any) -> None:
        """What somebody does who can write the file and has no key."""
        self.spoilt = True
        with closing(sqlite3.connect(self.config.database)) as other, other:
            assert other.execute(sql, values).rowcount, sql

    def edit(self, sql: str, *values: Any) -> None:
        """A change by hand that is as good as one of the controller's: its rows fit."""
        connection = self.registry.connection
        with connection.begin():
            connection.exec_driver_sql(sql, values)
            for found in list(survey(connection, self.registry.seals.sums)):
                believe(connection, found)

    def _send(self, routing: bytes, frame: bytes) -> bool:
        if routing in self.deaf:
            return False
        self.sent.append((routing, decode_reply(frame)))
        return True

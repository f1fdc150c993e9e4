"""`ncadm export`: everything as keys of the Redis schema, in pages.

A page's items are {"key": …, "value": …}; a hash that is cut by a page's end goes on in the next one
under the same key.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from controller.schema.keys import (
    VERSION,
    AssignmentsKey,
    Hash,
    Key,
    MemberKey,
    NetworkKey,
    UserKey,
    VersionKey,
)
from controller.schema.records import member_hash, network_hash
from controller.schema.texts import write_interface
from controller.store import model
from controller.store.records import Assignment, Member, Network, Node
from controller.verbs.office import Office
from controller.verbs.paging import MAX_BYTES, Paged, Told, wrong_cursor

CHUNK = 500  # rows of one look
STAGES = ("version", "user", "network", "assigned", "member")


class Export(Paged, frozen=True, forbid_unknown_fields=True):
    """`network`: only this one, without users."""

    network: str = ""


class Position(NamedTuple):
    """How far a document is written: all below it is."""

    number: int = 0  # of the network; 0: what belongs to none
    stage: int = 0
    place: str = ""  # user id, address or node in hex

    def __str__(self) -> str:
        return f"{self.number}.{self.stage}.{self.place}"


class Piece(NamedTuple):
    position: Position
    key: Key
    value: Hash | str


def export(office: Office, wanted: Export) -> Told:
    items: list[dict[str, Any]] = []
    last, size = _position(wanted.after), 0
    for piece in _pieces(office, last, wanted.network):
        if len(items) >= wanted.limit or size > MAX_BYTES:
            return Told(items, next=str(last))
        last, key = piece.position, str(piece.key)
        if items and items[-1]["key"] == key:
            items[-1]["value"] |= piece.value
        else:
            items.append({"key": key, "value": piece.value})
        size += len(msgspec.msgpack.encode(piece.value)) + len(key)
    return Told(items)


def _pieces(office: Office, begin: Position, only: str) -> Iterator[Piece]:
    """In the order of their positions, above `begin`."""
    if begin.stage == 0 and not begin.place and begin.number == 0:
        yield Piece(Position(0, 0, "-"), VersionKey(), VERSION)
    if not only:
        yield from _users(office, begin)
    for number in office.registry.seals.networks:  # an export that lacks one is none
        office.registry.seals.check_network(number)
    networks = [office.network(only)] if only else office.registry.networks.values()
    for network in sorted(networks, key=lambda n: n.number):
        if network.number < begin.number:
            continue
        here = begin if begin.number == network.number else Position(network.number)
        if here.stage < 2:
            yield _network(office, network)
            here = Position(network.number, 2)
        if here.stage <= 3:
            yield from _assigned(office, network, here.place if here.stage == 3 else "")
            here = Position(network.number, 3)
        yield from _members(
            office, network, begin.place if begin[:2] == (network.number, 4) else ""
        )


def _users(office: Office, begin: Position) -> Iterator[Piece]:
    if begin.number:
        return
    table = model.USER
    after = begin.place if begin.stage == 1 else ""
    query = select(table.c.id, table.c.body).where(table.c.id > after).order_by(table.c.id)
    for user, body in office.connection.execute(query).all():
        yield Piece(Position(0, 1, user), UserKey(user), msgspec.json.decode(body, type=Hash))


def _network(office: Office, network: Network) -> Piece:
    pools = office.registry.book.pools(network.number)
    value = network_hash(network, pools, office.registry.controller)
    key = NetworkKey(network.id(office.registry.controller))
    return Piece(Position(network.number, 2), key, value)


def _assigned(office: Office, network: Network, after: str) -> Iterator[Piece]:
    table = model.ASSIGNMENT
    key = AssignmentsKey(network.id(office.registry.controller))
    while True:
        query = (
            select(*[table.c[name] for name in Assignment.__struct_fields__])
            .where(table.c.network == network.number, table.c.address > bytes.fromhex(after))
            .where(table.c.released_at == 0)
            .order_by(table.c.address)
            .limit(CHUNK)
        )
        rows = [Assignment(*row) for row in office.connection.execute(query).all()]
        for row in rows:
            after = row.address.hex()
            text = write_interface(row.interface)
            yield Piece(Position(network.number, 3, after), key, {text: f"{row.node:010x}"})
        if len(rows) < CHUNK:
            return


def _members(office: Office, network: Network, after: str) -> Iterator[Piece]:
    member, node = model.MEMBER, model.NODE
    columns = [member.c[name] for name in Member.__struct_fields__]
    columns += [node.c[name] for name in Node.__struct_fields__]
    network_id = network.id(office.registry.controller)
    width = len(Member.__struct_fields__)
    while True:
        query = (
            select(*columns)
            .join(node, node.c.id == member.c.node)
            .where(member.c.network == network.number, member.c.removed_at == 0)
            .where(member.c.node > int(after or "0", 16))
            .order_by(member.c.node)
            .limit(CHUNK)
        )
        rows = office.connection.execute(query).all()
        pairs = [(Member(*row[:width]), Node(*row[width:])) for row in rows]
        held = _held(office, network.number, [n.id for _, n in pairs])
        for found, its in pairs:
            after = its.address
            value = member_hash(network_id, its, found, held.get(its.id, []))
            yield Piece(
                Position(network.number, 4, after), MemberKey(network_id, its.address), value
            )
        if len(rows) < CHUNK:
            return


def _held(office: Office, number: int, nodes: list[int]) -> dict[int, list[Assignment]]:
    table = model.ASSIGNMENT
    query = (
        select(*[table.c[name] for name in Assignment.__struct_fields__])
        .where(table.c.network == number, table.c.node.in_(nodes), table.c.released_at == 0)
        .order_by(table.c.family, table.c.address)
    )
    held: dict[int, list[Assignment]] = {}
    for row in office.connection.execute(query).all():
        assignment = Assignment(*row)
        held.setdefault(assignment.node, []).append(assignment)
    return held


def _position(after: str) -> Position:
    if not after:
        return Position()
    number, _, rest = after.partition(".")
    stage, _, place = rest.partition(".")
    if not (number.isdecimal() and stage.isdecimal() and int(stage) < len(STAGES)):
        raise wrong_cursor(after)
    if int(stage) > 1:
        try:
            bytes.fromhex(place)
        except ValueError as error:
            raise wrong_cursor(after) from error
    return Position(int(number), int(stage), place)

"""All rows that do not fit to their sums, and how an operator has them believed.

    for found in survey(connection, sums): ...     # reads everything, some thousand members at a time
    believe(connection, found)                     # what stands there now fits

For the command line, with the controller stopped; a controller at work looks at what it reads (`seals`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select, tuple_

from controller.store.loading import read_all, wrong_networks
from controller.store.model import ADMIN_KEY, ASSIGNMENT, FLOOR, MEMBER, META, NETWORK, NODE, TOKEN
from controller.store.ranges import read_ranges
from controller.store.records import Assignment, Floor, Member, Network, Token
from controller.store.sums import NO_FLOORS, Sums

SEALED_META = ("incarnation", "keyset", "keyset wanted", "last network", "rotation", "signing")
_AT_ONCE = 4000
_MEMBERS = (
    select(*(MEMBER.c[name] for name in Member.__struct_fields__), NODE.c.key, NODE.c.next_key)
    .join(NODE, NODE.c.id == MEMBER.c.node)
    .order_by(MEMBER.c.node, MEMBER.c.network)
    .limit(_AT_ONCE)
)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row, or with `network` what belongs to one, and the values with which it fits."""

    what: str
    table: Table
    key: dict[str, Any]
    values: dict[str, bytes]
    member: tuple[int, int] | None = None
    network: int | None = None


def survey(connection: Connection, sums: Sums) -> Iterator[Misfit]:
    networks = [Network(*row) for row in read_all(connection, NETWORK)]
    names = {network.number: network.name for network in networks}
    closed = {network.number for network in networks if network.closed_at}
    yield from _meta(connection, sums)
    yield from _networks(connection, sums, networks)
    yield from _members(connection, sums, names, closed)
    yield from _tokens(connection, sums)
    for row in read_all(connection, ADMIN_KEY):
        fits = sums.admin(row.key, row.name)
        if row.sum != fits:
            yield Misfit(f"admin key {row.name}", ADMIN_KEY, {"key": row.key}, {"sum": fits})


def believe(connection: Connection, found: Misfit) -> None:
    """Within the caller's transaction."""
    here = [found.table.c[name] == value for name, value in found.key.items()]
    connection.execute(found.table.update().where(*here).values(found.values))


def _meta(connection: Connection, sums: Sums) -> Iterator[Misfit]:
    for row in read_all(connection, META, META.c.key.in_(SEALED_META)):
        fits = sums.meta(row.key, bytes(row.value))
        if row.sum != fits:
            yield Misfit(f"{row.key!r} of the controller", META, {"key": row.key}, {"sum": fits})


def _networks(connection: Connection, sums: Sums, networks: list[Network]) -> Iterator[Misfit]:
    wrong = wrong_networks(connection, networks, sums)
    ranges = read_ranges(connection, wrong)
    for network in networks:
        number = network.number
        if number in wrong:
            rows = read_all(connection, FLOOR, FLOOR.c.network == number)
            floors = sums.floors(NO_FLOORS, *(Floor(*row) for row in rows))
            whole = msgspec.structs.replace(network, floors=floors)
            fits = sums.network(whole, ranges[number].pools, ranges[number].leased)
            what = f"network {network.name}: {wrong[number]}"
            values = {"floors": floors, "sum": fits}
            yield Misfit(what, NETWORK, {"number": number}, values, network=number)


def _members(
    connection: Connection, sums: Sums, names: dict[int, str], closed: set[int]
) -> Iterator[Misfit]:
    last = (-1, -1)
    while True:
        place = tuple_(MEMBER.c.node, MEMBER.c.network)
        rows = connection.execute(_MEMBERS.where(place > tuple_(*last))).all()
        if not rows:
            return
        members = [(Member(*row[:-2]), (row[-2], row[-1])) for row in rows]
        held = _held(connection, members[0][0].node, members[-1][0].node)
        for member, keys in members:
            last = (member.node, member.network)
            fits = sums.member(member, keys, held.get((member.network, member.node), ()))
            if member.sum != fits and member.network not in closed:
                what = f"member {names.get(member.network)}/{member.node:010x} {member.name}"
                key = {"network": member.network, "node": member.node}
                here = (member.network, member.node)
                yield Misfit(what.rstrip(), MEMBER, key, {"sum": fits}, member=here)


def _held(connection: Connection, first: int, last: int) -> dict[tuple[int, int], list[Assignment]]:
    table = ASSIGNMENT.c
    held: dict[tuple[int, int], list[Assignment]] = {}
    for row in read_all(
        connection, ASSIGNMENT, table.node.between(first, last), table.released_at == 0
    ):
        assignment = Assignment(*row)
        held.setdefault((assignment.network, assignment.node), []).append(assignment)
    return held


def _tokens(connection: Connection, sums: Sums) -> Iterator[Misfit]:
    for row in read_all(connection, TOKEN):
        token = Token(*row)
        fits = sums.token(token)
        if token.sum != fits:
            yield Misfit(f"token {token.id}", TOKEN, {"key": token.key}, {"sum": fits})

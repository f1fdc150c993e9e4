"""A database of very many members, written as the controller would have, without its protocol.

    fill(database, network, count)     # the controller is stopped; minutes for a million by protocol

Each member has joined: a node, a member with a WireGuard key and a revision of its own, an address in
order from the network's first on. Keys are random bytes: nobody comes with them.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from controller.members.admission import new_member
from controller.signing import keyring
from controller.store.records import Assignment, Member, Network, Node, Pool, State, sixteen
from controller.store.sums import Sums, keys_of

AT_ONCE = 20_000
AT_MS = 1_795_000_000_000


def fill(database: Path, number: int, pool: str, count: int) -> None:
    """`pool`: the IPv4 range of network `number`."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-200000")
    connection.execute("BEGIN")
    sums = Sums(keyring.load(database.parent / "keys").sums_key)
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        nodes = [_node(n) for n in numbers]
        held = list(_assignments(number, pool, numbers))
        members = (
            _sealed(sums, _member(number, n), node, row)
            for n, node, row in zip(numbers, nodes, held, strict=True)
        )
        _insert(connection, "node", nodes)
        _insert(connection, "member", members)
        _insert(connection, "assignment", held)
    _grow(connection, sums, number, count)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _sealed(sums: Sums, member: Member, node: Node, held: Assignment) -> Member:
    return msgspec.structs.replace(member, sum=sums.member(member, keys_of(node), [held]))


def _grow(connection: sqlite3.Connection, sums: Sums, number: int, revision: int) -> None:
    """The network is at the last member's revision."""
    names = ", ".join(Network.__struct_fields__)
    query = f"SELECT {names} FROM network WHERE number = ?"  # noqa: S608  # names of our own
    row = connection.execute(query, (number,)).fetchone()
    flags = {name for name, kind in Network.__annotations__.items() if kind is bool}
    told = zip(Network.__struct_fields__, row, strict=True)
    values: dict[str, Any] = {name: bool(v) if name in flags else v for name, v in told}
    network = Network(**values)
    network = msgspec.structs.replace(network, revision=revision)
    ranges = connection.execute("SELECT * FROM pool WHERE network = ?", (number,))
    fits = sums.network(network, [Pool(*one) for one in ranges], [])
    connection.execute(
        "UPDATE network SET revision = ?, sum = ? WHERE number = ?", (revision, fits, number)
    )


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[msgspec.Struct]) -> None:
    values = [msgspec.structs.asdict(row) for row in rows]
    names = ", ".join(f'"{name}"' for name in values[0])
    places = ", ".join(f":{name}" for name in values[0])
    insert = f'INSERT INTO "{table}" ({names}) VALUES ({places})'  # noqa: S608  # names of our own
    connection.executemany(insert, values)


def _node(number: int) -> Node:
    return Node(
        id=_id(number),
        key=os.urandom(32),
        name=f"n{number}",
        first_seen=AT_MS,
        last_seen=AT_MS,
        last_at="198.51.100.7",
        client_version="0.1.0",
        client_os="linux",
        generation=1,
    )


def _member(network: int, number: int) -> Member:
    reserved = new_member(
        network,
        _id(number),
        state=State.AUTHORIZED,
        name=f"n{number}",
        roles="",
        by="token 0123456789ab",
        now_ms=AT_MS,
    )
    more: dict[str, Any] = {
        "wireguard": os.urandom(32),
        "families": "4",
        "serial": 1,
        "issued_at": AT_MS,
        "revision": number + 1,
    }
    return msgspec.structs.replace(reserved, **more)


def _assignments(network: int, pool: str, numbers: range) -> Iterator[Assignment]:
    whole = ip_network(pool)
    for number in numbers:
        address = sixteen(whole[number + 2])
        yield Assignment(network, address, 4, whole.prefixlen, _id(number), "auto", 0)


def _id(number: int) -> int:
    """Spread over all addresses of nodes, as hashes are."""
    return (number * 0x9E3779B97F + 1) % (1 << 40)

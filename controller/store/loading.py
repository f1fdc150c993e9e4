"""What a controller reads at its start and when somebody else has written: networks, and the rows of
`meta` that signatures follow from.
"""

from typing import Any

from sqlalchemy import Connection, select

from controller.store.database import DatabaseError, read_meta, write_meta
from controller.store.model import FLOOR, META, NETWORK
from controller.store.ranges import read_ranges
from controller.store.records import Floor, Network
from controller.store.seals import Seals
from controller.store.sums import NO_FLOORS, Sums
from runtime.failure import Exit


def load_networks(
    connection: Connection, seals: Seals, *, into: dict[int, Network], closed: dict[int, Network]
) -> None:
    """Those that fit to their sums; the others are in `seals.networks` afterwards."""
    into.clear()
    closed.clear()
    found = [Network(*row) for row in read_all(connection, NETWORK)]
    damaged = set(wrong_networks(connection, found, seals.sums))
    for network in found:
        if network.number in damaged:
            seals.spoil_network(network)
        else:
            (closed if network.closed_at else into)[network.number] = network


def wrong_networks(connection: Connection, networks: list[Network], sums: Sums) -> dict[int, str]:
    """By number: what does not fit to the network's sums."""
    ranges = read_ranges(connection, [network.number for network in networks])
    floors: dict[int, bytes] = {}
    for row in read_all(connection, FLOOR):
        floor = Floor(*row)
        floors[floor.network] = sums.floors(floors.get(floor.network, NO_FLOORS), floor)
    wrong = {}
    for network in networks:
        its = ranges[network.number]
        if network.sum != sums.network(network, its.pools, its.leased):
            wrong[network.number] = "its row, its pools or its prefix pools"
        elif network.floors != floors.get(network.number, NO_FLOORS):
            wrong[network.number] = "its revocations"
    return wrong


def read_all(connection: Connection, table: Any, *conditions: Any) -> list[Any]:
    return list(connection.execute(select(table).where(*conditions)).all())


def read_sealed(connection: Connection, key: str, sums: Sums) -> bytes:
    """A row of `meta` that signatures follow from. Raises DatabaseError."""
    value = read_meta(connection, key)
    fits = connection.execute(select(META.c.sum).where(META.c.key == key)).scalar()
    if fits is not None and bytes(fits) != sums.meta(key, value):
        raise DatabaseError(
            f"cannot use what the database says of {key!r}: it was changed by somebody else",
            hint="put it back as it was, or have it believed: zosnet-controller check --accept",
            code=Exit.PROBLEMS,
        )
    return value


def write_sealed(connection: Connection, key: str, value: bytes, sums: Sums) -> None:
    """Within the caller's transaction."""
    write_meta(connection, key, value, sums.meta(key, value))

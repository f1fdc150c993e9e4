"""What addresses and prefixes of networks come out of, as it is stored."""

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from controller.store.layouts import POOLS
from controller.store.model import POOL, PREFIX_POOL
from controller.store.prepared import Lookup
from controller.store.records import Pool
from controller.store.sums import Leased

_PREFIX = PREFIX_POOL.c
_POOLS = Lookup(POOLS.select, POOL.c.network)
_LEASED = Lookup(select(_PREFIX.network, _PREFIX.prefix, _PREFIX.length), _PREFIX.network)


@dataclass(slots=True)
class Ranges:
    pools: list[Pool] = field(default_factory=list)
    leased: list[Leased] = field(default_factory=list)


def read_ranges(connection: Connection, networks: Collection[int]) -> dict[int, Ranges]:
    """Of each of these networks."""
    found = {number: Ranges() for number in networks}
    if not found:
        return found
    for row in _POOLS.rows(connection, networks):
        pool = Pool(*row)
        found[pool.network].pools.append(pool)
    for number, prefix, length in _LEASED.rows(connection, networks):
        found[number].leased.append((prefix, length))
    return found

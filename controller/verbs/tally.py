"""Counts that cost a look at every row: taken anew only when the last ones are old enough.

A million members take some tenths of a second, in which nobody is answered; so counting may take
a hundredth of the time at most, and `at` says how old the numbers are.
"""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, func, select

from controller.store.model import ASSIGNMENT, MEMBER, POOL, TOKEN
from controller.store.records import State

SHARE = 100
POOLS_MAX = 1000  # more are not looked at one by one


@dataclass(frozen=True, slots=True)
class Fullest:
    network: int
    prefix: str
    used: int
    size: int


@dataclass(frozen=True, slots=True)
class Counts:
    """`at`: monotonic seconds; `states`: members by state."""

    at: float
    took: float
    states: dict[str, int] = field(default_factory=dict)
    joined: int = 0
    pools: int = 0
    fullest: Fullest | None = None


class Tally:
    def __init__(self) -> None:
        self._last: Counts | None = None

    def counts(self, connection: Connection, now: float) -> Counts:
        last = self._last
        if last is None or now < last.at or now - last.at > SHARE * last.took:
            self._last = last = _count(connection, now)
        return last


def live_tokens(connection: Connection, now_ms: int) -> int:
    query = select(func.count()).where(
        TOKEN.c.uses_left > 0, TOKEN.c.expires_at > now_ms, TOKEN.c.revoked_at == 0
    )
    return int(connection.execute(query).scalar_one())


def _count(connection: Connection, now: float) -> Counts:
    began = perf_counter()
    states, joined = _members(connection)
    pools = connection.execute(select(POOL).limit(POOLS_MAX + 1)).all()
    used = [_used(connection, pool) for pool in pools] if len(pools) <= POOLS_MAX else []
    fullest = max(used, key=lambda one: one.used / one.size, default=None)
    return Counts(now, perf_counter() - began, states, joined, len(pools), fullest)


def _members(connection: Connection) -> tuple[dict[str, int], int]:
    joined = func.count(MEMBER.c.wireguard)  # only those that are not NULL
    query = (
        select(MEMBER.c.state, func.count(), joined)
        .where(MEMBER.c.removed_at == 0)
        .group_by(MEMBER.c.state)
    )
    rows = connection.execute(query).all()
    states = dict.fromkeys((state.value for state in State), 0)
    return states | {state: count for state, count, _ in rows}, sum(row[2] for row in rows)


def _used(connection: Connection, pool: Any) -> Fullest:
    query = select(func.count()).where(
        ASSIGNMENT.c.network == pool.network,
        ASSIGNMENT.c.address.between(pool.first, pool.last),
        ASSIGNMENT.c.released_at == 0,
    )
    size = int.from_bytes(pool.last) - int.from_bytes(pool.first) + 1
    return Fullest(pool.network, pool.prefix, connection.execute(query).scalar_one(), size)

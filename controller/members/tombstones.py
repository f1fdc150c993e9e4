"""Tombstones of forgotten members: kept thirty days, so that a node that was away learns of them.

With them go nodes that are in no network any more, and floors that say nothing any more.
"""

import logging

import msgspec
from sqlalchemy import Connection, func, literal_column, select

from controller.registry import Registry
from controller.store.model import ASSIGNMENT, FLOOR, MEMBER, NETWORK, NODE, PREFIX_LEASE
from controller.store.ranges import read_ranges
from controller.store.records import Floor, Network

log = logging.getLogger(__name__)

KEEP_MS = 30 * 24 * 3600 * 1000
_SOME = 500  # nodes in one statement


def purge(registry: Registry, now_ms: int) -> int:
    """Drop what is older, and nodes that are in no network then. Who comes with a lower revision
    gets a snapshot. Returns how many.
    """
    connection = registry.connection
    # the first condition as the partial index has it, or SQLite does not see that it may use that
    old = literal_column("member.removed_at > 0") & (MEMBER.c.removed_at < now_ms - KEEP_MS)
    query = select(MEMBER.c.network, func.max(MEMBER.c.revision)).where(old)
    highest = connection.execute(query.group_by(MEMBER.c.network)).all()
    gone = connection.execute(select(MEMBER.c.node).where(old)).scalars().all() if highest else ()
    dropped = _drop_closed(registry, now_ms)
    changed: dict[int, Network] = {}
    for number, revision in highest:
        network = registry.networks.get(number) or registry.closed.get(number)
        if network is None:
            continue  # it is damaged
        purged = max(network.purged, min(revision, network.revision))
        changed[number] = msgspec.structs.replace(network, purged=purged)
        condition = old & (MEMBER.c.network == number)
        nodes = select(MEMBER.c.node).where(condition)
        connection.execute(
            ASSIGNMENT.delete().where(ASSIGNMENT.c.network == number, ASSIGNMENT.c.node.in_(nodes))
        )
        dropped += connection.execute(MEMBER.delete().where(condition)).rowcount
    _drop_nodes(connection, sorted(set(gone)))
    forgotten = set(changed)
    _drop_floors(registry, changed, now_ms)
    _store(registry, changed)
    connection.commit()
    for network in changed.values():
        if network.number in registry.networks:
            registry.purged(network, members=network.number in forgotten)
    if dropped:
        log.info("tombstones dropped", extra={"count": dropped})
    return dropped


def _drop_floors(registry: Registry, changed: dict[int, Network], now_ms: int) -> None:
    """Those that say nothing any more; into `changed` what their networks come to without them."""
    connection, sums = registry.connection, registry.seals.sums
    some = connection.execute(select(FLOOR.c.network).distinct()).scalars().all()
    over = (FLOOR.c.not_after > 0) & (FLOOR.c.not_after < now_ms - KEEP_MS)
    for number in registry.networks.keys() & set(some):
        network = changed.get(number, registry.networks[number])
        which = (FLOOR.c.network == number) & ((FLOOR.c.serial <= network.least) | over)
        gone = [Floor(*row) for row in connection.execute(select(FLOOR).where(which))]
        if gone:
            connection.execute(FLOOR.delete().where(which))
            floors = sums.floors(network.floors, *gone)
            changed[number] = msgspec.structs.replace(network, floors=floors)


def _store(registry: Registry, changed: dict[int, Network]) -> None:
    ranges = read_ranges(registry.connection, changed)
    for number, network in changed.items():
        its = ranges[number]
        fits = registry.seals.sums.network(network, its.pools, its.leased)
        changed[number] = msgspec.structs.replace(network, sum=fits)
        values = {"purged": network.purged, "floors": network.floors, "sum": fits}
        registry.connection.execute(
            NETWORK.update().where(NETWORK.c.number == number).values(values)
        )


def _drop_closed(registry: Registry, now_ms: int) -> int:
    """Members of networks that were deleted: by now they came and were told, or do not come."""
    dropped = 0
    for network in registry.closed.values():
        if network.closed_at < now_ms - KEEP_MS:
            mine = MEMBER.c.network == network.number
            nodes = registry.connection.execute(select(MEMBER.c.node).where(mine)).scalars().all()
            dropped += registry.connection.execute(MEMBER.delete().where(mine)).rowcount
            _drop_nodes(registry.connection, sorted(nodes))
    return dropped


def _drop_nodes(connection: Connection, nodes: list[int]) -> None:
    for start in range(0, len(nodes), _SOME):
        some = NODE.c.id.in_(nodes[start : start + _SOME])
        elsewhere = [NODE.c.id.not_in(select(table.c.node)) for table in (MEMBER, PREFIX_LEASE)]
        connection.execute(NODE.delete().where(some, *elsewhere))

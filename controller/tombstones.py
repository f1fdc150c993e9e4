"""Tombstones of forgotten members: kept thirty days, so that a node that was away learns of them."""

import logging

import msgspec
from sqlalchemy import func, select

from controller.model import ASSIGNMENT, MEMBER, NETWORK
from controller.registry import Registry

log = logging.getLogger(__name__)

KEEP_MS = 30 * 24 * 3600 * 1000


def purge(registry: Registry, now_ms: int) -> int:
    """Drop what is older; who comes with a lower revision gets a snapshot. Returns how many."""
    connection = registry.connection
    old = (MEMBER.c.removed_at > 0) & (MEMBER.c.removed_at < now_ms - KEEP_MS)
    query = select(MEMBER.c.network, func.max(MEMBER.c.revision)).where(old)
    highest = connection.execute(query.group_by(MEMBER.c.network)).all()
    dropped = 0
    changed = []
    for number, revision in highest:
        network = msgspec.structs.replace(registry.networks[number], purged=revision)
        condition = old & (MEMBER.c.network == number)
        nodes = select(MEMBER.c.node).where(condition)
        connection.execute(
            ASSIGNMENT.delete().where(ASSIGNMENT.c.network == number, ASSIGNMENT.c.node.in_(nodes))
        )
        dropped += connection.execute(MEMBER.delete().where(condition)).rowcount
        connection.execute(
            NETWORK.update().where(NETWORK.c.number == number).values(purged=revision)
        )
        changed.append(network)
    connection.commit()
    for network in changed:
        registry.networks[network.number] = network
        registry.book.forget(network.number)
        registry.netmap(network.number).purge(network)
    if dropped:
        log.info("tombstones dropped", extra={"count": dropped})
    return dropped

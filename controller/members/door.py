"""The open door: how many nodes may wait to be authorized, and for how long.

    take_place(limits, work, network)      # one more waits; RefusedError when too many do
    expire(registry, work)                 # those whom nobody let in for too long are forgotten

One that was hidden goes on waiting, out of sight, for as long as it keeps on asking: forgotten and
come again it would be in sight again.
"""

from typing import Any

import msgspec
from sqlalchemy import func, select, text

from controller.config import PendingConfig
from controller.members.departure import dismiss_if_out
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.store.model import MEMBER, NODE
from controller.store.records import DAY_MS, Network, State
from controller.store.work import Work
from protocol.messages import Code

AGAIN = 300.0  # seconds until somebody who found the door full may ask again
AT_ONCE = 500  # that expire in one transaction
WAITS = text("member.state = 'pending' AND member.removed_at = 0")  # as the index says it


def take_place(limits: PendingConfig, work: Work, network: Network) -> None:
    """Raises RefusedError."""
    counts = work.waiting
    if counts is None:
        table = MEMBER.c
        query = select(table.network, func.count()).where(WAITS).group_by(table.network)
        counts = work.waiting = {row[0]: row[1] for row in work.connection.execute(query)}
    here = counts.get(network.number, 0)
    if here >= limits.per_network:
        raise _full(f"{here} wait to be let into network {network.name}", network)
    if sum(counts.values()) >= limits.in_all:
        raise _full(f"{sum(counts.values())} wait at this controller", network)
    counts[network.number] = here + 1


def expire(registry: Registry, work: Work) -> int:
    """Returns how many are forgotten by it, at most AT_ONCE."""
    days = registry.pending.days
    found = work.connection.execute(_OVERDUE, {"before": work.now_ms - days * DAY_MS}).all()
    for number, node_id in found:
        node, member = work.node_by_id(node_id), work.sound_member(number, node_id)
        if node is None or member is None or member.state != State.PENDING:
            continue
        work.members.put(msgspec.structs.replace(member, removed_at=work.now_ms))
        thing = f"{registry.network_id(number)}/{node.address}"
        work.note("controller", "member.expire", thing, f"nobody let it in for {days} d")
        dismiss_if_out(work, node, f"nobody let it in for {days} days")
    return len(found)


def _overdue() -> Any:
    table, before = MEMBER.c, text(":before")
    since = (table.hidden.is_(False) & (table.created_at < before)) | (
        table.hidden.is_(True) & (NODE.c.last_seen < before)
    )
    return (
        select(table.network, table.node)
        .join(NODE, NODE.c.id == table.node)
        .where(WAITS, since)
        .limit(AT_ONCE)
    )


_OVERDUE = _overdue()


def _full(said: str, network: Network) -> RefusedError:
    return RefusedError(
        Code.FULL,
        f"cannot let this node wait: {said} already",
        hint=f"ncadm member list {network.name} --state pending; authorize, ban or forget some",
        retry_after=AGAIN,
    )

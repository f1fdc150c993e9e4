"""Whose address may go to a newcomer when a pool is full: the one that was silent longest.

    row = idle.find(work, network, family)      # None: nobody was silent for long enough

Only addresses that a member got by itself, of nodes that were heard of last before the network's
`reclaim_after`, and never that of the management member or of a node that is connected. It waits a
while after the controller's start: as long as it was off nobody was heard, and those who live come back
first.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from controller.store.model import ASSIGNMENT, NODE
from controller.store.records import Assignment, Network, Node
from controller.store.work import Work

AFTER_START_MS = 3600 * 1000
LOOK_EACH_MS = 60 * 1000  # a look reads all addresses of the network
BATCH = 256

Place = tuple[int, int]  # network, family


class Idle:
    """`is_online`: whether this node was heard since its `last_seen` was written."""

    def __init__(
        self, started_ms: int, is_online: Callable[[Node], bool] = lambda _: False
    ) -> None:
        self.is_online = is_online
        self._from_ms = started_ms + AFTER_START_MS
        self._found: dict[Place, deque[bytes]] = {}  # addresses, longest silent first
        self._looked: dict[Place, tuple[int, int]] = {}  # when, with which reclaim_after

    def find(self, work: Work, network: Network, family: int) -> Assignment | None:
        """It stays its holder's until somebody puts the row anew."""
        if not network.reclaim_after or work.now_ms < self._from_ms:
            return None
        place = (network.number, family)
        found = self._next(work, network, self._found.setdefault(place, deque()))
        if found is None and self._may_look(work, network, place):
            self._found[place] = deque(_look(work, network, family))
            found = self._next(work, network, self._found[place])
        return found

    def _next(self, work: Work, network: Network, candidates: deque[bytes]) -> Assignment | None:
        """The first that still is what it was; it stays in there: the batch may come to nothing."""
        while candidates:
            row = work.holder(network.number, candidates[0])
            if row is not None and self._is_idle(work, network, row):
                return row
            candidates.popleft()
        return None

    def _is_idle(self, work: Work, network: Network, row: Assignment) -> bool:
        node, member = work.node_by_id(row.node), work.sound_member(network.number, row.node)
        if row.released_at or row.kind != "auto" or node is None or member is None:
            return False
        silent = node.last_seen <= work.now_ms - network.reclaim_after
        return silent and "management" not in member.role_list and not self.is_online(node)

    def _may_look(self, work: Work, network: Network, place: Place) -> bool:
        at, after = self._looked.get(place, (0, 0))
        if after == network.reclaim_after and at <= work.now_ms < at + LOOK_EACH_MS:
            return False
        self._looked[place] = (work.now_ms, network.reclaim_after)
        return True


def _look(work: Work, network: Network, family: int) -> Any:
    table = ASSIGNMENT.c
    query = (
        select(table.address)
        .join(NODE, NODE.c.id == table.node)
        .where(
            table.network == network.number,
            table.family == family,
            table.kind == "auto",
            table.released_at == 0,
            NODE.c.last_seen <= work.now_ms - network.reclaim_after,
        )
        .order_by(NODE.c.last_seen, table.address)
        .limit(BATCH)
    )
    return work.connection.execute(query).scalars()

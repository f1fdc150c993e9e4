"""Rows of nodes that asked lately, as the database has them: who was admitted will join at once.

    kept = kept if kept.holds(connection) else Kept()
    work = Work(..., kept)                       # reads into it, and changes it
    kept.settle(work.written)                    # after the commit

After a batch that failed it is thrown away. It holds as long as every change of a row was one of its
batches' own: what other statements change, or another connection, shows in SQLite's counters.
"""

from sqlalchemy import Connection

from controller.store.layouts import ASSIGNMENTS, MEMBERS, NODES
from controller.store.prepared import changes_so_far
from controller.store.shelf import Shelf

NODES_MAX = 4096


class Kept:
    def __init__(self) -> None:
        self.nodes = Shelf(NODES)
        self.members = Shelf(MEMBERS)
        self.assignments = Shelf(ASSIGNMENTS)
        self.ids: dict[bytes, int | None] = {}  # by key; None: nobody has it
        self.complete: set[int] = set()  # nodes whose members and addresses were read
        self._seen: tuple[int, int] | None = None

    def holds(self, connection: Connection) -> bool:
        """Whether nobody else changed a row since; it is also given up when it has grown large."""
        now = changes_so_far(connection)
        if self._seen is None:
            self._seen = now
        return self._seen == now and len(self.ids) <= NODES_MAX

    def settle(self, written: int) -> None:
        """A batch that changed so many rows was committed."""
        for shelf in (self.nodes, self.members, self.assignments):
            shelf.settle()
        if self._seen is not None:
            self._seen = (self._seen[0] + written, self._seen[1])

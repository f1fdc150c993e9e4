"""The members of a network by revision: what came from the controller, before anybody believes it.

    netmap, outcome = netmap.take(rows)
    outcome.ask     # FetchRows to send: a piece is missing or there is a gap; else None
    outcome.ack     # whether `netmap.revision` may be acknowledged once it is stored
    outcome.older   # rows that changed nothing, as a newer certificate was believed

Rows travel in pieces; the revision moves at the last one, so that a broken transfer is asked for
again. A snapshot replaces all rows, at its last piece.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from agent.enrol.sink import Ask
from agent.overlay.verify import Refusal
from protocol.messages import Row, Rows
from protocol.signed import StatementError, read_unverified
from protocol.statements import Membership

MAX_ROWS = 20_000


class Outcome(Struct, frozen=True):
    ask: Ask | None = None
    ack: bool = False
    unreadable: int = 0  # rows that were dropped
    older: tuple[Refusal, ...] = ()


class Transfer(Struct, frozen=True):
    """Pieces that came so far; it brings everything up to `revision`."""

    since: int
    revision: int
    full: bool
    rows: Mapping[bytes, Row | None]  # None: gone


class Netmap(Struct, frozen=True):
    revision: int = 0
    rows: Mapping[bytes, Row] = field(default_factory=dict)  # by node key
    transfer: Transfer | None = None

    def take(
        self, piece: Rows, why_older: Callable[[Membership], str] = lambda _: ""
    ) -> tuple["Netmap", Outcome]:
        """What we hold after `piece`, and what to do about it. Where `why_older` has a reason the row
        that we hold stays.
        """
        if not piece.full and piece.revision <= self.revision and not piece.more:
            return self, Outcome(ack=True)  # an echo of what we have; the controller missed our ack
        if not piece.full and piece.since > self.revision:
            return self, Outcome(Ask(self.revision))
        told, older, unreadable = self._read(piece, why_older)
        transfer = self._join(piece, told)
        if len(transfer.rows) > MAX_ROWS:
            return replace(self, transfer=None), Outcome(unreadable=len(transfer.rows))
        if piece.more:
            ask = Ask(0 if piece.full else piece.since, piece.more)
            outcome = Outcome(ask, unreadable=unreadable, older=older)
            return replace(self, transfer=transfer), outcome
        rows = {} if transfer.full else self._without_renamed(transfer.rows)
        for node, row in transfer.rows.items():
            if row is None:
                rows.pop(node, None)
            else:
                rows[node] = row
        outcome = Outcome(ack=True, unreadable=unreadable, older=older)
        return Netmap(transfer.revision, rows), outcome

    def _without_renamed(self, told: Mapping[bytes, Row | None]) -> dict[bytes, Row]:
        """What we hold, but for nodes that come with another key: who was away is not told that the
        old one is gone.
        """
        fresh = {row.address: node for node, row in told.items() if row and node not in self.rows}
        if not fresh:
            return dict(self.rows)
        return {node: row for node, row in self.rows.items() if row.address not in fresh}

    def _join(self, piece: Rows, told: Mapping[bytes, Row | None]) -> Transfer:
        begun = self.transfer
        if begun is None or (begun.full, begun.since) != (piece.full, piece.since):
            return Transfer(piece.since, piece.revision, piece.full, told)
        # a row that changed between two pieces stands in a later one: the last one's revision holds
        return Transfer(piece.since, piece.revision, piece.full, {**begun.rows, **told})

    def _read(
        self, piece: Rows, why_older: Callable[[Membership], str]
    ) -> tuple[dict[bytes, Row | None], tuple[Refusal, ...], int]:
        told: dict[bytes, Row | None] = {bytes(node): None for node in piece.gone}
        older: list[Refusal] = []
        unreadable = 0
        for row in piece.rows:
            try:
                membership = read_unverified(row.membership, Membership)
            except StatementError:
                unreadable += 1
                continue
            node, why = membership.node, why_older(membership)
            if not why:
                told[node] = row
                continue
            older.append(Refusal(node, row.name, why))
            if node in self.rows:
                told.setdefault(node, self.rows[node])
        return told, tuple(older), unreadable

"""The members of a network by revision: what came from the controller, before anybody believes it.

    netmap, outcome = netmap.take(rows)
    outcome.ask     # FetchRows to send: a piece is missing or there is a gap; else None
    outcome.ack     # whether `netmap.revision` may be acknowledged once it is stored

Rows travel in pieces; the revision moves at the last one, so that a broken transfer is asked for
again. A snapshot replaces all rows, at its last piece.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.enrol.sink import Ask
from protocol.messages import Row, Rows
from protocol.signed import StatementError, read_unverified
from protocol.statements import Membership

MAX_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Outcome:
    ask: Ask | None = None
    ack: bool = False
    unreadable: int = 0  # rows that were dropped


@dataclass(frozen=True, slots=True)
class Transfer:
    """Pieces that came so far; it brings everything up to `revision`."""

    since: int
    revision: int
    full: bool
    rows: Mapping[bytes, Row | None]  # None: gone


@dataclass(frozen=True, slots=True)
class Netmap:
    revision: int = 0
    rows: Mapping[bytes, Row] = field(default_factory=dict)  # by node key
    transfer: Transfer | None = None

    def take(self, piece: Rows) -> tuple["Netmap", Outcome]:
        """What we hold after `piece`, and what to do about it."""
        if not piece.full and piece.revision <= self.revision and not piece.more:
            return self, Outcome(ack=True)  # an echo of what we have; the controller missed our ack
        if not piece.full and piece.since > self.revision:
            return self, Outcome(Ask(self.revision))
        told, unreadable = _read(piece)
        transfer = self._join(piece, told)
        if len(transfer.rows) > MAX_ROWS:
            return replace(self, transfer=None), Outcome(unreadable=len(transfer.rows))
        if piece.more:
            ask = Ask(0 if piece.full else piece.since, piece.more)
            return replace(self, transfer=transfer), Outcome(ask, unreadable=unreadable)
        rows = {} if transfer.full else dict(self.rows)
        for node, row in transfer.rows.items():
            if row is None:
                rows.pop(node, None)
            else:
                rows[node] = row
        return Netmap(transfer.revision, rows), Outcome(ack=True, unreadable=unreadable)

    def _join(self, piece: Rows, told: Mapping[bytes, Row | None]) -> Transfer:
        begun = self.transfer
        if begun is None or (begun.full, begun.since) != (piece.full, piece.since):
            return Transfer(piece.since, piece.revision, piece.full, told)
        # a row that changed between two pieces stands in a later one: the last one's revision holds
        return Transfer(piece.since, piece.revision, piece.full, {**begun.rows, **told})


def _read(piece: Rows) -> tuple[dict[bytes, Row | None], int]:
    told: dict[bytes, Row | None] = {bytes(node): None for node in piece.gone}
    unreadable = 0
    for row in piece.rows:
        try:
            told[read_unverified(row.membership, Membership).node] = row
        except StatementError:
            unreadable += 1
    return told, unreadable

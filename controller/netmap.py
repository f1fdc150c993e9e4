"""What the members of one network are told: rows by revision, in memory, already encoded.

    piece = netmap.piece(since)      what changed, or the first piece of a snapshot
    encode_piece(piece, ...)         as a frame
    netmap.apply(update)             after the commit

Every change of a row has a revision of its own, so an answer may be cut anywhere and still be a
revision. The rows lie in the order of their revisions; a row that changed leaves a stale mark behind
until the order is swept. A snapshot's cursor is (revision reached, head at its begin).
"""

import bisect
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from controller.records import Member, Network
from controller.relays import Reach
from protocol.messages import MAX_FRAME, MAX_PIECE
from protocol.messages import Row as WireRow
from protocol.signed import Signed

_CURSOR = struct.Struct(">QQ")
CURSOR_SIZE = _CURSOR.size
_encode = msgspec.msgpack.Encoder().encode


class RawRows(msgspec.Struct, array_like=True, frozen=True, tag_field="kind", tag="rows"):
    """`protocol.messages.Rows` with rows that are encoded already."""

    id: int
    network: str
    since: int
    revision: int
    full: bool
    rows: tuple[msgspec.Raw, ...]
    gone: tuple[bytes, ...]
    state: msgspec.Raw | None
    more: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A visible member as its peers see it, and what the controller remembers of it."""

    key: bytes
    address: str
    member: Member
    signed: Signed
    reach: Reach
    encoded: bytes

    @property
    def revision(self) -> int:
        return self.member.revision


def make_entry(key: bytes, address: str, member: Member, signed: Signed, reach: Reach) -> Entry:
    row = WireRow(signed, member.name, address, member.endpoint_list, member.family_list)
    return Entry(key, address, member, signed, reach, _encode(row))


@dataclass(frozen=True, slots=True)
class Update:
    """What one transaction changed in one network; `state` when that was made anew."""

    network: Network
    entries: tuple[Entry, ...]
    gone: tuple[tuple[bytes, int], ...]  # node key, revision
    relays: dict[bytes, bytes]
    floors: dict[bytes, int]
    state: Signed | None


class Netmap:
    """All rows and tombstones of one network, and its signed state."""

    def __init__(
        self,
        network: Network,
        entries: Iterable[Entry],
        gone: Iterable[tuple[bytes, int]],
        *,
        relays: dict[bytes, bytes],
        floors: dict[bytes, int],
        state: Signed,
        piece_max: int = MAX_PIECE,
    ) -> None:
        self._piece_max = piece_max
        self.network = network
        self.entries = {entry.key: entry for entry in entries}
        self.gone = dict(gone)
        self.relays, self.floors = relays, floors
        self.transits = {k: e.reach for k, e in self.entries.items() if e.reach.transit}
        self._order: list[tuple[int, bytes]] = []
        self._sweep()
        self._keep_state(state)
        self._cache: dict[tuple[int, bytes], Piece] = {}

    @property
    def head(self) -> int:
        return self.network.revision

    def apply(self, update: Update) -> None:
        """Take over what was committed."""
        self.network = update.network
        for entry in update.entries:
            self.entries[entry.key] = entry
            self.gone.pop(entry.key, None)
            self.transits.pop(entry.key, None)
            if entry.reach.transit:
                self.transits[entry.key] = entry.reach
        for key, revision in update.gone:
            self.entries.pop(key, None)
            self.transits.pop(key, None)
            self.gone[key] = revision
        self.relays, self.floors = update.relays, update.floors
        if update.state is not None:
            self._keep_state(update.state)
        self._cache.clear()
        self._order += sorted(
            [(e.revision, e.key) for e in update.entries] + [(r, k) for k, r in update.gone]
        )
        if len(self._order) > 2 * (len(self.entries) + len(self.gone)) + 64:
            self._sweep()

    def purge(self, network: Network) -> None:
        """Drop the tombstones up to `network.purged`."""
        self.network = network
        self.gone = {k: r for k, r in self.gone.items() if r > network.purged}
        self._cache.clear()
        self._sweep()

    def piece(self, since: int, after: bytes = b"") -> "Piece":
        """What somebody lacks who holds `since`, as far as one frame goes; `after` continues a
        snapshot. The same question until the next change is answered at once.
        """
        found = self._cache.get((since, after))
        if found is None:
            found = self._cut(since, after)
            if len(self._cache) < 64:
                self._cache[(since, after)] = found
        return found

    def _cut(self, since: int, after: bytes) -> "Piece":
        full = bool(after) or since == 0 or not self.network.purged <= since <= self.head
        position, begin = since, 0
        if full:
            position, begin = _CURSOR.unpack(after) if after else (0, self.head)
        with_state = not after and (full or since < self.network.state_revision)
        room = min(self._piece_max, MAX_FRAME - 1024 - (len(self._state) if with_state else 0))
        rows: list[msgspec.Raw] = []
        gone: list[bytes] = []
        more = False
        for index in range(
            bisect.bisect_right(self._order, (position, b"\xff" * 33)), len(self._order)
        ):
            revision, key = self._order[index]
            entry = self.entries.get(key)
            if entry is not None and entry.revision == revision:
                size = len(entry.encoded)
            elif self.gone.get(key) == revision and (not full or revision > begin):
                entry, size = None, 40
            else:
                continue  # stale: the row has changed since and stands further on
            if size > room:
                more = True
                break
            room -= size
            position = revision
            if entry is None:
                gone.append(key)
            else:
                rows.append(msgspec.Raw(entry.encoded))
        return Piece(
            full=full,
            revision=position if more else self.head,
            rows=tuple(rows),
            gone=tuple(gone),
            state=msgspec.Raw(self._state) if with_state else None,
            more=_CURSOR.pack(position, begin) if full and more else b"",
        )

    def _keep_state(self, state: Signed) -> None:
        self.state = state
        self._state = _encode(state)

    def _sweep(self) -> None:
        self._order = sorted(
            [(e.revision, k) for k, e in self.entries.items()]
            + [(r, k) for k, r in self.gone.items()]
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """One frame's worth. `revision` is what its reader holds then, unless there is `more`."""

    full: bool
    revision: int
    rows: tuple[msgspec.Raw, ...]
    gone: tuple[bytes, ...]
    state: msgspec.Raw | None
    more: bytes


def encode_piece(piece: Piece, network_id: str, since: int, request: int = 0) -> bytes:
    """The frame; request 0 is a push."""
    return _encode(
        RawRows(
            id=request,
            network=network_id,
            since=0 if piece.full else since,
            revision=piece.revision,
            full=piece.full,
            rows=piece.rows,
            gone=piece.gone,
            state=piece.state,
            more=piece.more,
        )
    )

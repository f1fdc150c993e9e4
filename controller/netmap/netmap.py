"""What the members of one network are told, by who they are (pure).

    piece = netmap.piece(key, since)    what this member lacks, or the first piece of a snapshot
    piece.frame(request)                as a frame
    netmap.apply(update)                after the commit

Every change of a row has a revision of its own, so an answer may be cut anywhere and still be a
revision. In memory are the last changes, and the members that carry for others; everything else is
asked of the source when somebody needs it.

In a mesh, and for the hubs of a hub network, the view is everybody. A spoke of a hub network sees the
hubs and itself: few, so that whatever changes there is told as a snapshot. A snapshot's cursor is
(revision reached, head at its begin).
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Protocol

import msgspec

from controller.netmap.recent import Log, Recent
from controller.netmap.relays import Reach, choose_transit, reach
from controller.netmap.rows import Change, Entry, Piece
from controller.store.records import Floor, Member, Network
from protocol.messages import MAX_FRAME, MAX_PIECE
from protocol.signed import Signed

_CURSOR = struct.Struct(">QQ")
CURSOR_SIZE = _CURSOR.size
REMEMBERED = 1024  # changes
CHUNK = 256  # changes that are read at once
SCAN_MAX = 4096  # changes that are looked at for one piece
_encode = msgspec.msgpack.Encoder().encode

Asked = tuple[int, int, int, "View", int, bytes]  # number, head, purged, view, since, after
Seal = Callable[[Network, Mapping[bytes, int]], Signed]


class View(Enum):
    ALL = "all"
    SPOKE = "spoke"


class Source(Protocol):
    """What is committed, about one network."""

    def entry(self, key: bytes) -> Entry | None: ...

    def changes(self, above: int, limit: int) -> list[Change]:
        """The next `limit` changes above a revision, in order; without a key: it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Update:
    """What one transaction changed in one network."""

    network: Network
    entries: tuple[Entry, ...]
    gone: tuple[tuple[bytes, int], ...]  # node key, revision
    floors: tuple[Floor, ...] = ()


class Netmap:
    """`carriers` are the visible members with a role. `everybody`: the keys of all visible members
    of a mesh; None in a hub network, which may be large. `seal` signs a state. `pieces` is a memory
    that several networks may share, `remembered` how many changes need no look into the source.
    """

    def __init__(
        self,
        network: Network,
        network_id: str,
        source: Source,
        *,
        carriers: Iterable[Entry],
        everybody: set[bytes] | None,
        floors: Iterable[Floor],
        seal: Seal,
        pieces: "Recent[Asked, Piece] | None" = None,
        piece_max: int = MAX_PIECE,
        remembered: int = REMEMBERED,
    ) -> None:
        self.network, self.network_id = network, network_id
        self.everybody = everybody
        self._keep_floors(floors)
        self._source, self._seal, self._piece_max = source, seal, piece_max
        self._carriers = {entry.key: entry for entry in carriers}
        self._sort_carriers()
        self._log = Log(network.revision, remembered)
        self._spoke_head = network.revision  # what they knew before may be more than there is now
        self._pieces: Recent[Asked, Piece] = Recent(64) if pieces is None else pieces
        self._states: dict[View, tuple[int, Signed]] = {}  # with its epoch

    # who is there

    @property
    def head(self) -> int:
        return self.network.revision

    @property
    def is_hub(self) -> bool:
        return self.network.topology == "hub"

    def view(self, key: bytes) -> View:
        return View.SPOKE if self.is_hub and key not in self.hubs else View.ALL

    def entry(self, key: bytes) -> Entry | None:
        """A visible member."""
        change = self._log.get(key)
        if change is not None:
            return change.entry
        return self._carriers.get(key) or self._source.entry(key)

    def carrier(self, key: bytes) -> Entry | None:
        return self._carriers.get(key)

    def via(self, member: Member) -> bytes:
        """The transit that carries this member's addresses."""
        if self.is_hub or not self.transits:
            return b""
        return choose_transit(reach(member), self.transits.items()) or b""

    # what they are told

    def state(self, key: bytes, *, gone: bool = False) -> Signed:
        """The network's state as this member gets it; `gone`: it has just lost its place."""
        view = self.view(key)
        if gone and view is View.SPOKE and key in self.floors:
            return self._seal(self.network, self._listed(view) | {key: self.floors[key].serial})
        return self._state(view)

    def is_known(self, key: bytes, epoch: int) -> bool:
        """Whether a member that holds this epoch lacks nothing."""
        if self.view(key) is View.SPOKE:
            return self.network.spoke_epoch <= epoch <= self.network.epoch
        return epoch == self.network.epoch

    def is_behind(self, key: bytes, revision: int) -> bool:
        if self.view(key) is View.ALL:
            return revision < self.head
        own = self._log.get(key)
        return revision < self._spoke_head or (own is not None and revision < own.revision)

    def audience(self, update: Update) -> set[bytes] | None:
        """Whom an update that was applied concerns; None: everybody."""
        if not self.is_hub or self._spoke_head == update.network.revision:
            return None
        return {*self.hubs, *(entry.key for entry in update.entries)}

    def piece(self, key: bytes, since: int, after: bytes = b"") -> Piece:
        """What this member lacks if it holds `since`, as far as one frame goes; `after` continues a
        snapshot. The same question until the next change is answered at once.
        """
        view = self.view(key)
        carrier = self._carriers.get(key)
        if carrier is not None and since < carrier.member.view_since:
            since = 0
        own = self._log.get(key) if view is View.SPOKE else None
        if own is not None and own.entry is not None and own.revision > since:
            return self._spoke_piece(since, after, own)
        network = self.network
        asked = (network.number, network.revision, network.purged, view, since, after)
        found = self._pieces.get(asked)
        if found is None:
            found = (
                self._piece(since, after) if view is View.ALL else self._spoke_piece(since, after)
            )
            self._pieces.put(asked, found)
        return found

    # changes

    def apply(self, update: Update) -> None:
        """Take over what was committed; the fold and the topology must be the same."""
        before, self.network = self.network, update.network
        hubs = self.hubs
        changes = [Change(entry.revision, entry.key, entry) for entry in update.entries]
        changes += [Change(revision, key, None) for key, revision in update.gone]
        changes.sort(key=lambda change: change.revision)
        for change in changes:
            self._log.add(change)
        if any([self._count(change) for change in changes]):  # noqa: C419  # all of them are counted
            self._sort_carriers()
        if self.network.epoch != before.epoch:
            self._keep_floors([*self.floors.values(), *update.floors])
        if self.is_hub and (
            before.spoke_epoch != self.network.spoke_epoch
            or any(change.key in hubs or change.key in self.hubs for change in changes)
        ):
            self._spoke_head = self.head

    # inside

    def _count(self, change: Change) -> bool:
        """Whether somebody with a role came, changed or went."""
        key, entry = change.key, change.entry
        if self.everybody is not None:
            (self.everybody.discard if entry is None else self.everybody.add)(key)
        if entry is not None and entry.member.roles:
            self._carriers[key] = entry
            return True
        return self._carriers.pop(key, None) is not None

    def _sort_carriers(self) -> None:
        carriers = self._carriers.items()
        self.hubs = {k: e for k, e in carriers if self.is_hub and "hub" in e.member.role_list}
        reaches = {k: reach(e.member) for k, e in carriers if not self.is_hub}
        self.transits: dict[bytes, Reach] = {k: r for k, r in reaches.items() if r.transit}

    def _keep_floors(self, floors: Iterable[Floor]) -> None:
        """Those that say something."""
        least, made_at = self.network.least, self.network.state_at
        self.floors = {f.node: f for f in floors if f.serial > least and f.lives(made_at)}

    def _listed(self, view: View) -> dict[bytes, int]:
        return {k: f.serial for k, f in self.floors.items() if view is View.ALL or f.hub}

    def _piece(self, since: int, after: bytes) -> Piece:
        full = bool(after) or since == 0 or not self.network.purged <= since <= self.head
        position, begin = since, 0
        if full:
            position, begin = _CURSOR.unpack(after) if after else (0, self.head)
        with_state = not after and (full or since < self.network.state_revision)
        return self._cut(
            self._changes(position),
            since=since,
            position=position,
            begin=begin,
            full=full,
            state=_encode(self._state(View.ALL)) if with_state else b"",
        )

    def _spoke_piece(self, since: int, after: bytes, own: Change | None = None) -> Piece:
        """All hubs, if anything is new there; a hub that has gone is in no snapshot."""
        current = self._spoke_head <= since <= self.head and since >= self.network.purged
        full = bool(after) or not current
        position, begin = since, 0
        if full:
            position, begin = _CURSOR.unpack(after) if after else (0, self.head)
        told = [Change(e.revision, k, e) for k, e in self.hubs.items()] if full else []
        told += [own] if own is not None and own.key not in self.hubs else []
        piece = self._cut(
            sorted((c for c in told if c.revision > position), key=lambda c: c.revision),
            since=since,
            position=position,
            begin=begin,
            full=full,
            state=_encode(self._state(View.SPOKE)) if full and not after else b"",
        )
        if full and after and not piece.more:
            piece.revision = begin  # a hub that went between the pieces is noticed by that
        return piece

    def _state(self, view: View) -> Signed:
        epoch, state = self._states.get(view, (0, None))
        if state is None or epoch != self.network.epoch:
            state = self._seal(self.network, self._listed(view))
            self._states[view] = (self.network.epoch, state)
        return state

    def _changes(self, position: int) -> Iterator[Change]:
        if position >= self._log.start:
            yield from self._log.above(position)
            return
        while True:
            read = self._source.changes(position, CHUNK)
            yield from read
            if len(read) < CHUNK:
                return
            position = read[-1].revision

    def _cut(
        self,
        changes: Iterable[Change],
        *,
        since: int,
        position: int,
        begin: int,
        full: bool,
        state: bytes,
    ) -> Piece:
        room = min(self._piece_max, MAX_FRAME - 1024 - len(state))
        rows: list[msgspec.Raw] = []
        gone: list[bytes] = []
        more = False
        looked = iter(changes)
        for change in islice(looked, SCAN_MAX):
            entry = change.entry
            if entry is None and (not change.key or (full and change.revision <= begin)):
                position = change.revision
                continue
            size = len(entry.encoded) if entry is not None else 40
            if size > room:
                more = True
                break
            room -= size
            position = change.revision
            if entry is None:
                gone.append(change.key)
            else:
                rows.append(msgspec.Raw(entry.encoded))
        more = more or next(looked, None) is not None
        return Piece(
            network_id=self.network_id,
            since=since,
            revision=position if more else self.head,
            full=full,
            rows=tuple(rows),
            gone=tuple(gone),
            state=msgspec.Raw(state) if state else None,
            more=_CURSOR.pack(position, begin) if full and more else b"",
        )

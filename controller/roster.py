"""Who is in a network: read from the database and signed when somebody needs it, remembered a while.

Nothing in here is all of a large network; what is read costs as much as what is asked for. A row that
cannot be read is named in the log and left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, literal_column, select

from controller.netmap.recent import Recent
from controller.netmap.rows import Change, Entry
from controller.store.layouts import ASSIGNMENTS
from controller.store.model import FLOOR, MEMBER, NODE
from controller.store.prepared import Query
from controller.store.records import Assignment, Floor, Member, Network, State
from controller.store.seals import Seals
from protocol.messages import Row
from protocol.signed import StatementError, read_unverified
from protocol.statements import Membership

ENTRIES_MAX = 32_768  # 1.5 KB each

_COLUMNS = [NODE.c.key, NODE.c.next_key, *(MEMBER.c[name] for name in Member.__struct_fields__)]
_MEMBERS = select(*_COLUMNS).select_from(MEMBER).join(NODE, NODE.c.id == MEMBER.c.node)
_OF_NETWORK = MEMBER.c.network == bindparam("network")
_JOINED = (
    (MEMBER.c.removed_at == 0)
    & (MEMBER.c.state == State.AUTHORIZED.value)
    & (MEMBER.c.wireguard.is_not(None))
)
_ONE = Query(_MEMBERS.where(_OF_NETWORK, NODE.c.key == bindparam("key"), _JOINED))
_ABOVE = Query(
    _MEMBERS.where(
        _OF_NETWORK, literal_column("member.revision > 0"), MEMBER.c.revision > bindparam("above")
    )
    .order_by(MEMBER.c.revision)
    .limit(bindparam("count"))
)
# the first condition as the partial index has it, or SQLite does not see that it may use that; the
# second so that it prefers that to all members of the network
_CARRIERS = Query(
    _MEMBERS.where(
        _OF_NETWORK,
        literal_column("member.roles <> ''"),
        literal_column("member.roles > ''"),
        _JOINED,
    )
)
_VISIBLE = _MEMBERS.where(_OF_NETWORK, _JOINED)
_EVERYBODY = Query(_VISIBLE)
_KEYS = Query(_VISIBLE.with_only_columns(NODE.c.key))
_FLOORS = Query(
    select(*(FLOOR.c[name] for name in Floor.__struct_fields__)).where(
        FLOOR.c.network == bindparam("network"), FLOOR.c.serial > bindparam("least")
    )
)

Make = Callable[[Network, bytes, Member, Iterable[Assignment]], Entry]


class Roster:
    """`networks` are the committed ones; `make` signs what `seals` do not call damaged."""

    def __init__(
        self, connection: Connection, networks: Mapping[int, Network], seals: Seals, make: Make
    ) -> None:
        self._connection, self._networks = connection, networks
        self._seals, self._make = seals, make
        self._recent: Recent[tuple[int, bytes], Entry] = Recent(ENTRIES_MAX)

    def of(self, number: int) -> "Source":
        return Source(self, number)

    def entry(self, number: int, key: bytes) -> Entry | None:
        found = self._recent.get((number, key))
        if found is None:
            rows = _ONE.rows(self._connection, network=number, key=key)
            found = next((c.entry for c in self._changes(number, rows)), None)
        return found

    def changes(self, number: int, above: int, count: int) -> list[Change]:
        """The next changes above a revision; one without a key is of a row that cannot be read."""
        rows = _ABOVE.rows(self._connection, network=number, above=above, count=count)
        return list(self._changes(number, rows))

    def carriers(self, number: int) -> list[Entry]:
        """The visible members that have a role."""
        changes = self._changes(number, _CARRIERS.rows(self._connection, network=number))
        return [change.entry for change in changes if change.entry is not None]

    def keys(self, number: int) -> set[bytes]:
        """Of all visible members: for a mesh, which is bounded."""
        return {row[0] for row in _KEYS.rows(self._connection, network=number)}

    def members(self, number: int) -> list[tuple[bytes, Member]]:
        """All visible ones, with their keys: for a mesh, which is bounded."""
        return [
            (key, Member(*values))
            for key, _, *values in _EVERYBODY.rows(self._connection, network=number)
        ]

    def floors(self, network: Network) -> list[Floor]:
        """Those that say more than the network's least serial."""
        rows = _FLOORS.rows(self._connection, network=network.number, least=network.least)
        return [Floor(*row) for row in rows]

    def take(self, number: int, entries: Iterable[Entry], gone: Iterable[bytes]) -> None:
        """What was committed."""
        for entry in entries:
            self._recent.put((number, entry.key), entry)
        for key in gone:
            self._recent.pop((number, key))

    def forget(self) -> None:
        """Everything is read again when it is needed."""
        self._recent.clear()

    def _changes(self, number: int, rows: list[Any]) -> Iterator[Change]:
        members = [((key, coming), Member(*values)) for key, coming, *values in rows]
        known = {}
        for (key, _), member in members:
            entry = self._recent.get((number, key))
            if entry is not None and entry.revision == member.revision:
                known[key] = entry
        held = self._held(number, [m.node for (key, _), m in members if key not in known])
        for keys, member in members:
            key, has = keys[0], held.get(member.node, [])
            if key in known:
                yield Change(member.revision, key, known[key])
            elif not self._seals.see_member(member, keys, has):
                yield Change(member.revision, b"", None)
            elif not member.visible:
                yield Change(member.revision, key, None)
            else:
                entry = self._entry(number, key, member, has)
                yield Change(member.revision, key if entry is not None else b"", entry)

    def _entry(
        self, number: int, key: bytes, member: Member, held: Iterable[Assignment]
    ) -> Entry | None:
        try:
            entry = self._make(self._networks[number], key, member, held)
            _check(entry)
        except (ValueError, TypeError, StatementError) as error:
            self._seals.spoil_member(number, member.node, str(error))
            return None
        self._recent.put((number, key), entry)
        return entry

    def _held(self, number: int, nodes: list[int]) -> dict[int, list[Assignment]]:
        held: dict[int, list[Assignment]] = {}
        with looking(self._connection):
            for row in ASSIGNMENTS.by["node"].rows(self._connection, nodes):
                assignment = Assignment(*row)
                if assignment.network == number:
                    held.setdefault(assignment.node, []).append(assignment)
        return held


class Source:
    """One network's part of a roster, as its netmap asks for it."""

    def __init__(self, roster: Roster, number: int) -> None:
        self._roster, self._number = roster, number

    def entry(self, key: bytes) -> Entry | None:
        return self._roster.entry(self._number, key)

    def changes(self, above: int, limit: int) -> list[Change]:
        return self._roster.changes(self._number, above, limit)


@contextmanager
def looking(connection: Connection) -> Iterator[None]:
    """A look, within the transaction that there is or in one of its own that ends with it."""
    within = connection.in_transaction()
    try:
        yield
    finally:
        if not within:
            connection.rollback()


def _check(entry: Entry) -> None:
    """Raises ValueError or StatementError: one such row would make a whole frame unreadable."""
    read_unverified(entry.signed, Membership)
    msgspec.msgpack.decode(entry.encoded, type=Row)

"""Rows by revision: any holder, by any cuts, ends with what it may see of what is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.members.admission import new_member
from controller.netmap.netmap import Netmap, Update
from controller.netmap.rows import Change, Entry, RawRows
from controller.store.records import Floor, Network, State
from protocol.messages import MAX_FRAME, MAX_PIECE, Row, Rows, decode_reply, encode
from protocol.signed import Signed

NETWORK = Network(1, "home", "", True, 0, "mesh", 0, "", 0, 0, 0, 1, 0, 0, "r")
ID = "00112233440000aa"


def key(number: int) -> bytes:
    return b"%032d" % number


def entry(number: int, revision: int, *, role: str = "", view_since: int = 0) -> Entry:
    member = new_member(
        1, number, state=State.AUTHORIZED, name=f"n{number}", roles=role, by="", now_ms=0
    )
    member = msgspec.structs.replace(
        member, wireguard=b"w" * 32, revision=revision, view_since=view_since
    )
    return Entry(key(number), member, Signed(b"certificate", b"s" * 8, b"x" * 64), 1)


@dataclass
class Place:
    """A network: what is committed of it, and the netmap of a controller that runs."""

    topology: str = "mesh"
    piece_max: int = MAX_PIECE
    remembered: int = 1000
    state_size: int = 5
    stored: dict[bytes, Change] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network = msgspec.structs.replace(NETWORK, topology=self.topology)
        self.start()

    def start(self) -> None:
        """Anew, with nothing in memory."""
        there = [c.entry for c in self.stored.values() if c.entry is not None]
        mesh = self.topology == "mesh"
        self.netmap = Netmap(
            self.network,
            ID,
            self,
            carriers=[e for e in there if e.member.roles],
            everybody={e.key for e in there} if mesh else None,
            floors=(),
            seal=lambda network, _: Signed(
                b"%d" % network.epoch + b"s" * self.state_size, b"s" * 8, b"x" * 64
            ),
            piece_max=self.piece_max,
            remembered=self.remembered,
        )

    # what the netmap asks

    def entry(self, key: bytes) -> Entry | None:
        change = self.stored.get(key)
        return change.entry if change is not None else None

    def changes(self, above: int, limit: int) -> list[Change]:
        found = sorted((c for c in self.stored.values() if c.revision > above), key=lambda c: c[0])
        return found[:limit]

    # what happens

    def change(
        self, *numbers: int, gone: tuple[int, ...] = (), role: str = "", state: bool = False
    ) -> None:
        """Members `numbers` change (or come), `gone` ones go, each with a revision of its own."""
        revision = self.netmap.head
        entries, tombs = [], []
        for number in numbers:
            revision += 1
            was = key(number) in self.netmap.hubs
            before = self.entry(key(number))
            since = before.member.view_since if before is not None else 0
            since = revision if role == "hub" and not was else since
            entries.append(entry(number, revision, role=role, view_since=since))
            self.stored[key(number)] = Change(revision, key(number), entries[-1])
        for number in gone:
            revision += 1
            tombs.append((key(number), revision))
            self.stored[key(number)] = Change(revision, key(number), None)
        self.network = msgspec.structs.replace(self.network, revision=revision)
        if state:
            epoch = self.network.epoch + 1
            self.network = msgspec.structs.replace(
                self.network,
                revision=revision + 1,
                state_revision=revision + 1,
                epoch=epoch,
                spoke_epoch=epoch,
            )
        self.netmap.apply(Update(self.network, tuple(entries), tuple(tombs)))

    def purge(self, revision: int) -> None:
        dead = [k for k, c in self.stored.items() if c.entry is None and c.revision <= revision]
        for one in dead:
            del self.stored[one]
        self.network = msgspec.structs.replace(self.network, purged=revision)
        self.netmap.network = self.network

    def seen_by(self, number: int) -> set[bytes]:
        """Whom this member is to know of, itself aside."""
        there = {k for k, c in self.stored.items() if c.entry is not None} - {key(number)}
        if self.topology == "mesh" or key(number) in self.netmap.hubs:
            return there
        return there & self.netmap.hubs.keys()


class Reader:
    """An agent's memory of rows."""

    def __init__(self, number: int = 0) -> None:
        self.number, self.key = number, key(number)
        self.rows: dict[bytes, int] = {}
        self.revision = 0
        self._fresh: dict[bytes, int] = {}
        self.frames = 0

    def read(self, place: Place, between: Callable[[], None] = lambda: None) -> None:
        """Until there is nothing more; `between` pieces something may change."""
        after = b""
        while True:
            piece = place.netmap.piece(self.key, self.revision, after)
            frame = piece.frame(1)
            assert len(frame) <= MAX_FRAME
            reply = decode_reply(frame)
            assert isinstance(reply, Rows)
            self.learn(reply)
            self.frames += 1
            between()
            after = reply.more
            if not after and not place.netmap.is_behind(self.key, self.revision):
                return

    def learn(self, reply: Rows) -> None:
        into = self._fresh if reply.full else self.rows
        for row in reply.rows:
            into[key(int(row.address, 16))] = 1
        for gone in reply.gone:
            into.pop(gone, None)
        if reply.full and not reply.more:
            self.rows, self._fresh = self._fresh, {}
        if not reply.more:
            self.revision = reply.revision

    @property
    def others(self) -> set[bytes]:
        return self.rows.keys() - {self.key}


def test_the_raw_frame_is_the_message() -> None:
    place = Place()
    place.change(1, 2)
    piece = place.netmap.piece(b"", 0)
    entries = [c.entry for c in place.stored.values() if c.entry is not None]
    rows = tuple(Row(e.signed, e.member.name, e.address, (), ()) for e in entries)
    state = place.netmap.state(b"")

    for request in (0, 7, 300, 2**32):
        message = Rows(request, ID, 0, place.netmap.head, True, rows, (), state)
        assert piece.frame(request) == encode(message)
    assert RawRows.__struct_fields__ == Rows.__struct_fields__


def test_rows_above_a_revision_are_only_those_that_changed() -> None:
    """D3: who comes again with its last revision gets what it lacks."""
    place = Place()
    place.change(1, 2, 3)
    held = place.netmap.head
    place.change(2, gone=(3,))
    for _ in ("running", "restarted"):
        piece = place.netmap.piece(b"", held)

        assert not piece.full
        assert len(piece.rows) == 1
        assert piece.gone == (key(3),)
        assert piece.revision == place.netmap.head
        place.start()


def test_a_snapshot_names_nobody_who_went_before_it() -> None:
    place = Place()
    place.change(1, 2)
    place.change(gone=(1,))

    assert place.netmap.piece(b"", 0).full
    assert place.netmap.piece(b"", 0).gone == ()


def test_a_row_that_changed_twice_comes_once() -> None:
    place = Place()
    place.change(1)
    held = place.netmap.head
    place.change(1)
    place.change(1)

    assert len(place.netmap.piece(b"", held).rows) == 1


def test_the_state_comes_with_a_snapshot_and_when_it_changed() -> None:
    place = Place()
    place.change(1)
    held = place.netmap.head
    place.change(2)

    assert place.netmap.piece(b"", 0).state is not None
    assert place.netmap.piece(b"", held).state is None
    place.change(3, state=True)
    assert place.netmap.piece(b"", held).state is not None


def test_somebody_older_than_the_oldest_tombstone_gets_a_snapshot() -> None:
    """D3: a gap ends in all of it."""
    place = Place()
    place.change(1, 2)
    held = place.netmap.head
    place.change(gone=(1,))
    place.purge(place.netmap.head)

    assert place.netmap.piece(b"", held).full
    assert place.netmap.piece(b"", held).gone == ()
    assert not place.netmap.piece(b"", place.netmap.head).full


def test_somebody_from_the_future_gets_a_snapshot() -> None:
    place = Place()
    place.change(1)

    assert place.netmap.piece(b"", place.netmap.head + 5).full


def test_the_same_question_is_answered_from_memory_until_something_changes() -> None:
    place = Place()
    place.change(1)
    first = place.netmap.piece(key(1), 0)

    assert place.netmap.piece(key(2), 0) is first
    place.change(2)
    assert place.netmap.piece(key(1), 0) is not first


@pytest.mark.parametrize("remembered", [1, 1000])
def test_a_large_network_comes_in_pieces_that_fit(remembered: int) -> None:
    place = Place(remembered=remembered)
    place.change(*range(1, 1001))
    reader = Reader()
    reader.read(place)

    assert len(reader.rows) == 1000
    assert reader.frames > 2


def test_a_large_state_leaves_room_for_itself() -> None:
    place = Place(state_size=45_000)
    place.change(*range(1, 1001), state=True)
    reader = Reader()
    reader.read(place)

    assert len(reader.rows) == 1000


@pytest.mark.parametrize("held", [0, 5])
@pytest.mark.parametrize("remembered", [1, 1000])
def test_changes_between_pieces_are_not_missed(held: int, remembered: int) -> None:
    place = Place(remembered=remembered)
    place.change(*range(1, 6))
    reader = Reader()
    if held:
        reader.read(place)
    place.change(*range(6, 500))

    def change_once() -> None:
        if key(501) not in place.stored:
            place.change(3, 501, gone=(1, 7, 499))

    reader.read(place, between=change_once)

    assert set(reader.rows) == place.seen_by(0)


def test_a_scan_without_a_row_to_tell_ends_and_is_gone_on_with() -> None:
    place = Place(topology="hub", remembered=1)
    place.change(1, role="hub")
    for start in range(2, 6002, 1000):
        numbers = range(start, start + 1000)
        place.change(*numbers)
        place.change(gone=tuple(numbers))
    place.change(7000)
    reader = Reader(1)
    reader.read(place)

    assert reader.rows.keys() == {key(1), key(7000)}
    assert reader.frames > 1


def test_a_spoke_sees_the_hubs_and_itself_and_a_hub_everybody() -> None:
    place = Place("hub")
    place.change(1, 2, role="hub")
    place.change(3, 4)
    readers = [Reader(number) for number in (1, 3)]
    for reader in readers:
        reader.read(place)

    assert readers[0].rows.keys() == {key(1), key(2), key(3), key(4)}
    assert readers[1].rows.keys() == {key(1), key(2), key(3)}


def test_what_other_spokes_do_is_no_news_to_a_spoke() -> None:
    """D2: a join costs those bytes whom it concerns, however many there are."""
    place = Place("hub")
    place.change(1, role="hub")
    place.change(3)
    hub, spoke = Reader(1), Reader(3)
    hub.read(place)
    spoke.read(place)
    place.change(4, gone=(5,))

    assert place.netmap.is_behind(hub.key, hub.revision)
    assert not place.netmap.is_behind(spoke.key, spoke.revision)
    piece = place.netmap.piece(spoke.key, spoke.revision)
    assert (piece.full, piece.rows, piece.gone, piece.revision) == (
        False,
        (),
        (),
        place.netmap.head,
    )


def test_who_becomes_a_hub_gets_everything_anew() -> None:
    place = Place("hub")
    place.change(1, role="hub")
    place.change(3, 4, 5)
    reader = Reader(3)
    reader.read(place)
    place.change(3, role="hub")
    piece = place.netmap.piece(reader.key, reader.revision)

    assert piece.full
    assert len(piece.rows) == 4
    held = piece.revision
    place.change(4)
    assert not place.netmap.piece(reader.key, held).full


def test_a_hub_that_goes_while_a_spoke_reads_is_not_held_on_to() -> None:
    place = Place("hub", piece_max=500)
    place.change(*range(1, 11), role="hub")
    place.change(20)
    reader = Reader(20)

    def go_once() -> None:
        if place.entry(key(1)) is not None:
            place.change(gone=(1,))

    reader.read(place, between=go_once)

    assert reader.others == place.seen_by(20)
    assert len(reader.others) == 9


def test_spokes_share_one_encoded_answer() -> None:
    place = Place("hub")
    place.change(1, role="hub")
    place.change(3, 4)
    held = place.netmap.head
    place.change(1, role="hub")

    assert place.netmap.piece(key(3), held) is place.netmap.piece(key(4), held)


def test_a_state_for_spokes_lists_the_floors_of_hubs_only() -> None:
    listed: list[dict[bytes, int]] = []

    def seal(_: Network, floors: object) -> Signed:
        assert isinstance(floors, dict)
        listed.append(floors)
        return Signed(b"state", b"s" * 8, b"x" * 64)

    place = Place("hub")
    netmap = Netmap(
        msgspec.structs.replace(place.network, epoch=3),
        ID,
        place,
        carriers=[entry(1, 1, role="hub")],
        everybody=None,
        floors=[Floor(1, key(8), 4, 2, 0, hub=True), Floor(1, key(9), 5, 3, 0)],
        seal=seal,
    )
    netmap.state(key(1))
    netmap.state(key(3))
    netmap.state(key(4))
    netmap.state(key(9), gone=True)

    everything = {key(8): 4, key(9): 5}
    assert listed == [everything, {key(8): 4}, everything]


steps = st.lists(
    st.tuples(
        st.sampled_from(["change", "change", "hub", "gone", "read", "purge", "restart", "state"]),
        st.integers(1, 12),
    ),
    max_size=40,
)


@given(steps, st.sampled_from(["mesh", "hub"]), st.sampled_from([1, 5, 1000]))
@settings(max_examples=300, deadline=None)
def test_readers_that_read_now_and_then_end_with_what_they_may_see(
    plan: list[tuple[str, int]], topology: str, remembered: int
) -> None:
    """D3."""
    place = Place(topology, piece_max=500, remembered=remembered)  # a few rows a piece
    readers = [Reader(number) for number in range(1, 6)]
    for what, number in plan:
        match what:
            case "change":
                place.change(number)
            case "hub":
                place.change(number, role="hub")
            case "state":
                place.change(number, state=True)
            case "gone" if place.entry(key(number)) is not None:
                place.change(gone=(number,))
            case "read":
                readers[number % 5].read(place)
            case "purge":
                dead = [c.revision for c in place.stored.values() if c.entry is None]
                place.purge(min(dead, default=place.network.purged))
            case "restart":
                place.start()
            case _:
                pass
    for reader in readers:
        reader.read(place)

        assert reader.others == place.seen_by(reader.number)

"""Rows by revision: any holder, by any cuts, ends with what is."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.admission import new_member
from controller.netmap import Entry, Netmap, RawRows, Update, encode_piece, make_entry
from controller.records import Network, State
from controller.relays import reach_of
from protocol.messages import MAX_FRAME, MAX_PIECE, Row, Rows, decode_reply, encode
from protocol.signed import Signed

STATE = Signed(b"state", b"s" * 8, b"x" * 64)
NETWORK = Network(1, "home", "", True, 0, "mesh", 0, "", 0, 0, 0, 1, 0, 0, "r")
ID = "00112233440000aa"


def entry(number: int, revision: int, payload: bytes = b"certificate") -> Entry:
    member = new_member(
        1, number, state=State.AUTHORIZED, name=f"n{number}", roles="", by="", now_ms=0
    )
    member = msgspec.structs.replace(member, wireguard=b"w" * 32, revision=revision)
    signed = Signed(payload, b"s" * 8, b"x" * 64)
    reach = reach_of(roles=[], endpoints=[], families=[4])
    return make_entry(b"%032d" % number, f"{number:010x}", member, signed, reach)


def empty(piece_max: int = MAX_PIECE) -> Netmap:
    return Netmap(NETWORK, [], [], relays={}, floors={}, state=STATE, piece_max=piece_max)


def change(netmap: Netmap, *numbers: int, gone: tuple[int, ...] = (), state: bool = False) -> None:
    """Members `numbers` change (or come), `gone` ones go, each with a revision of its own."""
    revision = netmap.head
    entries, tombs = [], []
    for number in numbers:
        revision += 1
        entries.append(entry(number, revision))
    for number in gone:
        revision += 1
        tombs.append((b"%032d" % number, revision))
    network = msgspec.structs.replace(netmap.network, revision=revision)
    if state:
        network = msgspec.structs.replace(
            network, revision=revision + 1, state_revision=revision + 1
        )
    netmap.apply(Update(network, tuple(entries), tuple(tombs), {}, {}, STATE if state else None))


class Reader:
    """An agent's memory of rows."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.revision = 0
        self._fresh: dict[bytes, int] = {}
        self.frames = 0

    def read(self, netmap: Netmap, between: object = None) -> None:
        """Until there is nothing more; `between` pieces the netmap may change."""
        after = b""
        while True:
            piece = netmap.piece(self.revision, after)
            frame = encode_piece(piece, ID, self.revision, 1)
            assert len(frame) <= MAX_FRAME
            reply = decode_reply(frame)
            assert isinstance(reply, Rows)
            self.learn(reply)
            self.frames += 1
            if callable(between):
                between()
            after = reply.more
            if not after and self.revision >= netmap.head:
                return

    def learn(self, reply: Rows) -> None:
        into = self._fresh if reply.full else self.rows
        for row in reply.rows:
            into[b"%032d" % int(row.address, 16)] = 1
        for key in reply.gone:
            into.pop(key, None)
        if reply.full and not reply.more:
            self.rows, self._fresh = self._fresh, {}
        if not reply.more:
            self.revision = reply.revision


def test_the_raw_frame_is_the_message() -> None:
    netmap = empty()
    change(netmap, 1, 2)
    piece = netmap.piece(0)
    frame = encode_piece(piece, ID, 0, 7)
    rows = tuple(Row(e.signed, e.member.name, e.address, (), ()) for e in netmap.entries.values())
    message = Rows(7, ID, 0, netmap.head, True, rows, (), STATE)

    assert frame == encode(message)
    assert RawRows.__struct_fields__ == Rows.__struct_fields__


def test_rows_above_a_revision_are_only_those_that_changed() -> None:
    netmap = empty()
    change(netmap, 1, 2, 3)
    held = netmap.head
    change(netmap, 2, gone=(3,))
    piece = netmap.piece(held)

    assert not piece.full
    assert len(piece.rows) == 1
    assert piece.gone == (b"%032d" % 3,)
    assert piece.revision == netmap.head


def test_a_snapshot_names_nobody_who_went_before_it() -> None:
    netmap = empty()
    change(netmap, 1, 2)
    change(netmap, gone=(1,))

    assert netmap.piece(0).full
    assert netmap.piece(0).gone == ()


def test_a_row_that_changed_twice_comes_once() -> None:
    netmap = empty()
    change(netmap, 1)
    held = netmap.head
    change(netmap, 1)
    change(netmap, 1)

    assert len(netmap.piece(held).rows) == 1


def test_the_state_comes_with_a_snapshot_and_when_it_changed() -> None:
    netmap = empty()
    change(netmap, 1)
    held = netmap.head
    change(netmap, 2)

    assert netmap.piece(0).state is not None
    assert netmap.piece(held).state is None
    change(netmap, 3, state=True)
    assert netmap.piece(held).state is not None


def test_somebody_older_than_the_oldest_tombstone_gets_a_snapshot() -> None:
    netmap = empty()
    change(netmap, 1, 2)
    held = netmap.head
    change(netmap, gone=(1,))
    netmap.purge(msgspec.structs.replace(netmap.network, purged=netmap.head))

    assert netmap.piece(held).full
    assert netmap.piece(held).gone == ()
    assert not netmap.piece(netmap.head).full


def test_somebody_from_the_future_gets_a_snapshot() -> None:
    netmap = empty()
    change(netmap, 1)

    assert netmap.piece(netmap.head + 5).full


def test_the_same_question_is_answered_from_memory_until_something_changes() -> None:
    netmap = empty()
    change(netmap, 1)
    first = netmap.piece(0)

    assert netmap.piece(0) is first
    change(netmap, 2)
    assert netmap.piece(0) is not first


def test_a_large_network_comes_in_pieces_that_fit() -> None:
    netmap = empty()
    change(netmap, *range(1, 1001))
    reader = Reader()
    reader.read(netmap)

    assert len(reader.rows) == 1000
    assert reader.frames > 2


def test_a_large_state_leaves_room_for_itself() -> None:
    netmap = empty()
    change(netmap, *range(1, 1001))
    big = Signed(b"s" * 45_000, b"s" * 8, b"x" * 64)
    network = msgspec.structs.replace(netmap.network, state_revision=netmap.head)
    netmap.apply(Update(network, (), (), {}, {}, big))
    reader = Reader()
    reader.read(netmap)

    assert len(reader.rows) == 1000


@pytest.mark.parametrize("held", [0, 5])
def test_changes_between_pieces_are_not_missed(held: int) -> None:
    netmap = empty()
    change(netmap, *range(1, 6))
    reader = Reader()
    if held:
        reader.read(netmap)
    change(netmap, *range(6, 500))

    def change_once() -> None:
        if b"%032d" % 501 not in netmap.entries:
            change(netmap, 3, 501, gone=(1, 7, 499))

    reader.read(netmap, between=change_once)

    assert set(reader.rows) == set(netmap.entries)


steps = st.lists(
    st.tuples(st.sampled_from(["change", "gone", "read", "purge"]), st.integers(1, 12)),
    max_size=40,
)


@given(steps)
@settings(max_examples=200)
def test_a_reader_that_reads_now_and_then_ends_with_what_is(plan: list[tuple[str, int]]) -> None:
    netmap, reader = empty(piece_max=500), Reader()  # a few rows a piece
    for what, number in plan:
        match what:
            case "change":
                change(netmap, number)
            case "gone" if b"%032d" % number in netmap.entries:
                change(netmap, gone=(number,))
            case "read":
                reader.read(netmap)
            case "purge" if netmap.gone:
                oldest = min(netmap.gone.values())
                netmap.purge(msgspec.structs.replace(netmap.network, purged=oldest))
            case _:
                pass
    reader.read(netmap)

    assert set(reader.rows) == set(netmap.entries)

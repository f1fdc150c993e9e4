"""The netmap by revision: pieces, gaps, echoes; what is kept is what was told."""

import msgspec
from msgspec.structs import replace

from agent.enrol.sink import Ask
from agent.overlay.netmap import Netmap
from agent.overlay.verify import Refusal
from protocol.messages import Row, Rows
from protocol.signed import Signed
from tests.agent.overlay.signing import NETWORK, Authority, Someone

FARM = Authority()
N1, N2, N3 = (Someone(f"n{i}", (f"10.9.0.{i}/16",)) for i in (1, 2, 3))


def rows(
    since: int,
    revision: int,
    *members: Someone,
    gone: tuple[Someone, ...] = (),
    full: bool = False,
    more: bytes = b"",
) -> Rows:
    return Rows(
        id=0,
        network=NETWORK,
        since=since,
        revision=revision,
        full=full,
        rows=FARM.rows(*members),
        gone=tuple(bytes(who.node) for who in gone),
        state=None,
        more=more,
    )


def names(netmap: Netmap) -> set[str]:
    return {row.name for row in netmap.rows.values()}


def test_a_push_adds_and_removes_and_is_acknowledged() -> None:
    netmap, _ = Netmap().take(rows(0, 3, N1, N2))
    netmap, outcome = netmap.take(rows(3, 5, N3, gone=(N1,)))

    assert names(netmap) == {"n2", "n3"}
    assert netmap.revision == 5
    assert outcome.ack
    assert outcome.ask is None


def test_after_a_gap_what_is_missing_is_asked_for() -> None:
    netmap, _ = Netmap().take(rows(0, 3, N1))
    after, outcome = netmap.take(rows(4, 5, N2))

    assert after == netmap
    assert outcome.ask == Ask(3)
    assert not outcome.ack


def test_rows_that_are_known_are_acknowledged_again() -> None:
    netmap, _ = Netmap().take(rows(0, 3, N1))
    after, outcome = netmap.take(rows(2, 3, N1))

    assert after == netmap
    assert outcome.ack


def test_a_snapshot_replaces_at_its_last_piece_only() -> None:
    netmap, _ = Netmap().take(rows(0, 3, N1))
    netmap, outcome = netmap.take(rows(0, 9, N2, full=True, more=b"n2"))

    assert outcome.ask == Ask(0, b"n2")
    assert not outcome.ack
    assert (names(netmap), netmap.revision) == ({"n1"}, 3)

    netmap, outcome = netmap.take(rows(0, 9, N3, full=True))

    assert outcome.ack
    assert (names(netmap), netmap.revision) == ({"n2", "n3"}, 9)


def test_a_row_that_changes_between_two_pieces_is_taken_as_the_later_one_has_it() -> None:
    renamed = replace(N1, name="new", serial=2)
    netmap, _ = Netmap().take(rows(0, 2, N1, N2, full=True, more=b"2"))
    netmap, _ = netmap.take(rows(0, 9, renamed, full=True))

    assert netmap.revision == 9
    assert names(netmap) == {"new", "n2"}


def test_a_transfer_that_begins_anew_forgets_the_broken_one() -> None:
    netmap, _ = Netmap().take(rows(0, 9, N1, full=True, more=b"n1"))
    netmap, _ = netmap.take(rows(0, 10, N2))

    assert names(netmap) == {"n2"}


def test_a_row_that_cannot_be_read_is_counted_and_the_others_stay() -> None:
    torn = Row(Signed(b"\xc1", b"s" * 8, b"s" * 64), "torn", "", (), ())
    piece = rows(0, 3, N1)
    piece = Rows(0, NETWORK, 0, 3, False, (*piece.rows, torn), (), None)
    netmap, outcome = Netmap().take(piece)

    assert names(netmap) == {"n1"}
    assert outcome.unreadable == 1


def test_a_node_that_comes_with_another_key_takes_the_place_of_its_old_row() -> None:
    netmap, _ = Netmap().take(rows(0, 3, N1, N2))
    turned = Someone("n1", N1.addresses, wireguard=N1.wireguard)
    told = msgspec.structs.replace(FARM.row(turned), address=FARM.row(N1).address)
    netmap, outcome = netmap.take(msgspec.structs.replace(rows(3, 5), rows=(told,)))

    assert set(netmap.rows) == {bytes(turned.node), bytes(N2.node)}
    assert outcome.ack
    again, _ = netmap.take(rows(5, 6, N2))
    assert set(again.rows) == set(netmap.rows)


def test_in_place_of_a_row_that_is_older_the_one_we_hold_stays() -> None:
    older = replace(N2, serial=0, endpoints=("192.0.2.66:1",))
    for full in (False, True):
        netmap, _ = Netmap().take(rows(0, 3, N1, N2))
        held = netmap.rows[N2.node]
        piece = rows(0 if full else 3, 4, N1, older, full=full)
        control, _ = netmap.take(piece)
        netmap, outcome = netmap.take(piece, lambda said: "" if said.serial else "old")

        assert control.rows[N2.node].endpoints == older.endpoints
        assert netmap.rows[N2.node] is held
        assert (netmap.revision, names(netmap)) == (4, {"n1", "n2"})
        assert outcome.ack
        assert outcome.older == (Refusal(bytes(N2.node), "n2", "old"),)


def test_a_row_that_is_older_brings_nobody_back() -> None:
    netmap, _ = Netmap().take(rows(0, 3, N1, N2))
    netmap, _ = netmap.take(rows(3, 4, gone=(N2,)))
    control, _ = netmap.take(rows(4, 5, N2))
    netmap, outcome = netmap.take(rows(4, 5, N2), lambda _: "old")

    assert names(control) == {"n1", "n2"}
    assert names(netmap) == {"n1"}
    assert len(outcome.older) == 1


def test_a_row_that_is_older_undoes_nothing_that_stands_beside_it() -> None:
    newer, older = replace(N2, serial=2), replace(N2, serial=0)
    why = lambda said: "" if said.serial else "old"  # noqa: E731
    held, _ = Netmap().take(rows(0, 3, N1, N2))
    beside_newer, _ = held.take(rows(3, 4, newer, older), why)
    beside_gone, _ = held.take(rows(3, 4, older, gone=(N2,)), why)

    assert beside_newer.rows[N2.node] == FARM.row(newer)
    assert names(beside_gone) == {"n1"}

"""An old row that somebody puts before a node: what was believed once is not taken back by it."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from agent.enrol.sink import Ask, Trust
from agent.overlay.belief import Belief
from agent.overlay.cache import Cache
from agent.overlay.netmap import Outcome
from agent.overlay.newest import Newest
from protocol.messages import Joined, Row, Rows
from protocol.statements import Keyset, NetworkState
from tests.agent.overlay.signing import NETWORK, SETTINGS, Authority, Someone, state

FARM = Authority()
DAY = 24 * 3600 * 1000
ISSUED = 1_790_000_000_000
ME = Someone("me", ("10.9.0.1/16",), serial=3)
OLD = Someone("n2", ("10.9.0.2/16",), serial=5)
NEW = replace(OLD, wireguard=Someone("", ()).wireguard, serial=6)
N3 = Someone("n3", ("10.9.0.3/16",))
REASON = "it is older than what we hold: serial 5 after 6"


class Node:
    """A belief with its disk, and a controller that says what it is told to say."""

    def __init__(self, directory: Path, *, authority: Authority = FARM) -> None:
        self.cache, self.authority = Cache(directory), authority
        self.number, self.revision = 1, 0  # of its keyset, and the head of its netmap
        self.belief = Belief.begin(
            bytes(ME.node), bytes(ME.wireguard), self.trust, self.joined(state(epoch=5))
        )

    @property
    def trust(self) -> Trust:
        return Trust(FARM.root_key, self.authority.signed_keyset(self.number))

    def joined(self, now: NetworkState, who: Someone = ME) -> Joined:
        seal = self.authority.signer.seal
        return Joined(1, NETWORK, 0, SETTINGS, seal(who.membership), seal(now), self.revision)

    def tell(
        self,
        *everybody: Someone,
        now: NetworkState | None = None,
        gone: Iterable[Someone] = (),
        full: bool = False,
        since: int | None = None,
        more: bytes = b"",
        by: Authority | None = None,
        also: tuple[Row, ...] = (),
    ) -> Outcome:
        by = by or self.authority
        held = self.belief.holding.revision
        self.revision = max(self.revision, held) + 1
        outcome = self.belief.take_rows(
            Rows(
                id=0,
                network=NETWORK,
                since=0 if full else held if since is None else since,
                revision=self.revision,
                full=full,
                rows=by.rows(*everybody) + also,
                gone=tuple(bytes(who.node) for who in gone),
                state=by.signer.seal(now) if now is not None else None,
                more=more,
            )
        )
        self.cache.keep(self.belief.kept, self.belief.reached)
        return outcome

    def join(self, now: NetworkState, who: Someone = ME) -> None:
        self.belief.take_joined(self.trust, self.joined(now, who))
        self.cache.keep(self.belief.kept, self.belief.reached)

    def restart(self) -> None:
        (kept,) = self.cache.networks()
        self.belief = Belief(
            bytes(ME.node), bytes(ME.wireguard), kept, highest=self.cache.highest(NETWORK)
        )

    @property
    def outlived(self) -> int:
        """Certificates that are remembered and stand in no row."""
        return len(self.belief.kept.newest)

    def serials(self) -> dict[str, int]:
        return {m.name: m.serial for m in self.belief.members(None).members.values()}

    def reasons(self) -> list[tuple[str, str]]:
        return [(r.name, r.reason) for r in self.belief.members(None).refusals]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    one = Node(tmp_path)
    one.tell(ME, OLD, N3, full=True)
    assert one.serials() == {"n2": 5, "n3": 1}
    one.tell(NEW)
    assert one.serials() == {"n2": 6, "n3": 1}
    assert one.reasons() == []
    return one


@pytest.mark.parametrize("full", [False, True])
def test_an_older_certificate_of_a_peer_is_refused_and_the_newer_one_stays(
    node: Node, full: bool
) -> None:
    outcome = node.tell(ME, replace(OLD, endpoints=("198.51.100.66:1",)), N3, full=full)

    assert outcome.ack
    assert node.serials() == {"n2": 6, "n3": 1}
    assert node.reasons() == [("n2", REASON)]
    assert node.belief.refused_count == 1
    peers = node.belief.members(None).members
    assert (bytes(peers[OLD.node].wireguard), peers[OLD.node].endpoints) == (NEW.wireguard, ())


def test_it_is_reported_until_the_controller_says_the_newer_one_again(node: Node) -> None:
    node.tell(OLD)
    node.tell(N3)
    assert node.reasons() == [("n2", REASON)]
    node.tell(NEW)
    assert node.reasons() == []

    node.tell(OLD)
    node.tell(gone=[OLD])
    assert node.reasons() == []
    node.tell(OLD)
    assert node.reasons() == [("n2", REASON)]
    node.tell(now=state(epoch=6, floors=[(OLD, 7)]))  # it left: nobody waits for a newer one
    assert node.reasons() == []


def test_an_older_one_in_a_piece_of_a_snapshot_is_refused_as_well(node: Node) -> None:
    node.tell(ME, OLD, full=True, more=b"next")
    assert node.serials() == {"n2": 6, "n3": 1}
    node.tell(N3, full=True)

    assert node.serials() == {"n2": 6, "n3": 1}
    assert node.reasons() == [("n2", REASON)]


@pytest.mark.parametrize("how", ["gone", "left out", "garbage", "another's row"])
@pytest.mark.parametrize("restarts", [False, True])
def test_whoever_takes_the_row_away_first_brings_back_no_older_one(
    node: Node, how: str, restarts: bool
) -> None:
    match how:
        case "gone":
            node.tell(gone=[OLD])
        case "left out":
            node.tell(ME, N3, full=True)
        case "garbage":
            node.tell(replace(OLD, serial=9), by=Authority())
        case _:  # as if it were the same node under another key
            row = FARM.row(Someone("n9", ("10.9.0.9/16",)))
            address = FARM.row(OLD).address
            node.tell(also=(msgspec.structs.replace(row, address=address),))
    assert "n2" not in node.serials()
    if restarts:
        node.restart()
    node.tell(OLD)

    assert "n2" not in node.serials()
    assert ("n2", REASON) in node.reasons()
    node.tell(NEW)
    assert node.serials()["n2"] == 6
    assert node.reasons() == []


def test_what_was_believed_outlives_a_restart(node: Node) -> None:
    node.restart()
    node.tell(OLD)

    assert node.serials() == {"n2": 6, "n3": 1}
    assert node.reasons() == [("n2", REASON)]
    node.restart()
    node.tell(ME, OLD, N3, full=True)
    assert node.serials() == {"n2": 6, "n3": 1}


def test_a_damaged_row_on_the_disk_leaves_the_others_as_new_as_they_were(node: Node) -> None:
    row = FARM.row(N3)
    damaged = msgspec.structs.replace(row, membership=Authority().signer.seal(N3.membership))
    rows = tuple(damaged if r.name == "n3" else r for r in node.belief.kept.rows)
    node.cache.keep(msgspec.structs.replace(node.belief.kept, rows=rows))
    node.restart()
    assert node.belief.holding.revision == 0
    node.join(state(epoch=6))
    node.restart()
    node.tell(ME, OLD, N3, full=True)

    assert node.serials() == {"n2": 6, "n3": 1}


def test_what_is_held_only_rises() -> None:
    newest, sealed = Newest(), FARM.signer.seal
    for who in (OLD, NEW, OLD):
        newest.take(sealed(who.membership), who.membership)

    assert newest.beside([]) == (sealed(NEW.membership),)
    assert newest.beside([sealed(NEW.membership)]) == ()


def test_of_two_with_one_serial_the_later_issued_is_the_newer(node: Node) -> None:
    first = replace(NEW, not_after=ISSUED + DAY)
    renewed = replace(first, issued_at=ISSUED + DAY // 2, not_after=ISSUED + 3 * DAY // 2)
    node.tell(first)
    node.tell(renewed)
    assert node.reasons() == []
    node.tell(renewed)  # the same one again
    assert node.reasons() == []
    node.tell(first)

    assert node.reasons() == [("n2", "it is older than what we hold: it was renewed since")]
    assert NEW.node in node.belief.members(ISSUED + DAY + 1).members
    node.tell(now=state(epoch=6, floors=[(NEW, 6)]))
    node.tell(first)  # a floor at the serial of both changes nothing
    assert NEW.node in node.belief.members(ISSUED + DAY + 1).members


def test_an_own_certificate_from_before_its_renewal_is_refused(node: Node) -> None:
    renewed = replace(ME, issued_at=ISSUED + DAY, not_after=ISSUED + 3 * DAY)
    node.tell(renewed)
    assert node.belief.membership == renewed.membership
    node.tell(replace(ME, not_after=ISSUED + 2 * DAY))

    assert node.belief.membership == renewed.membership
    assert node.reasons() == [("membership", "it is older than what we hold: it was renewed since")]


def test_after_a_restore_lower_serials_are_right_and_all_rows_are_asked_for(node: Node) -> None:
    node.tell(OLD)
    behind = node.belief.holding.revision
    node.join(state(incarnation=2))
    assert node.reasons() == []
    node.join(state(incarnation=2, epoch=2))
    assert node.belief.holding.revision == 0
    assert node.serials() == {"n2": 6, "n3": 1}  # nothing is withdrawn before there is a word of it
    assert node.tell(N3, since=behind).ask == Ask(0)
    node.tell(ME, OLD, N3, full=True)

    assert node.serials() == {"n2": 5, "n3": 1}
    assert node.reasons() == []
    node.tell(replace(OLD, serial=4))  # from here on it counts again
    assert node.reasons() == [("n2", "it is older than what we hold: serial 4 after 5")]


def test_a_restart_amid_a_restore_changes_nothing(node: Node) -> None:
    node.tell(gone=[N3])
    node.join(state(incarnation=2))
    node.restart()
    assert node.serials() == {"n2": 6}
    node.tell(ME, OLD, N3, full=True)
    assert node.serials() == {"n2": 5, "n3": 1}
    node.restart()
    node.tell(replace(OLD, serial=4))

    assert node.serials() == {"n2": 5, "n3": 1}


def test_the_state_and_the_rows_of_a_restored_controller_may_come_in_one_frame(node: Node) -> None:
    mine = replace(ME, serial=2)
    node.tell(mine, OLD, N3, full=True, now=state(incarnation=2))

    assert node.serials() == {"n2": 5, "n3": 1}
    assert node.belief.membership == mine.membership
    assert node.reasons() == []
    node.tell(replace(ME, serial=1))

    assert node.belief.membership == mine.membership


def test_a_piece_from_before_a_restore_is_no_part_of_what_comes_after(node: Node) -> None:
    node.tell(ME, replace(NEW, serial=9), Someone("n4", ("10.9.0.4/16",)), full=True, more=b"next")
    node.join(state(incarnation=2))
    node.tell(ME, OLD, N3, full=True)

    assert node.serials() == {"n2": 5, "n3": 1}


def test_another_node_key_counts_by_itself(node: Node) -> None:
    fresh = replace(NEW, node=Someone("", ()).node, serial=1)
    floors = [(OLD, 7)]
    node.tell(fresh, gone=[OLD], now=state(epoch=6, floors=floors))
    assert node.serials() == {"n2": 1, "n3": 1}
    node.tell(NEW)

    assert node.serials() == {"n2": 1, "n3": 1}
    assert node.reasons() == [("n2", "it was revoked: serial 6 is below 7")]


def test_a_fold_lifts_everybody_and_what_it_voids_is_remembered_no_longer(node: Node) -> None:
    node.tell(gone=[N3])
    lifted = replace(NEW, serial=13)
    node.tell(replace(ME, serial=11), lifted)
    assert node.serials() == {"n2": 13}
    assert node.outlived == 1  # n3's, whom no floor names
    node.tell(now=state(epoch=6, least=11))
    assert node.outlived == 0
    node.tell(NEW)

    assert node.serials() == {"n2": 13}
    assert node.reasons() == [("n2", "it is older than what we hold: serial 6 after 13")]
    node.tell(replace(N3, serial=10))
    assert "n3" not in node.serials()


def test_who_left_with_a_floor_and_comes_again_is_believed_and_leaves_nothing(node: Node) -> None:
    node.tell(gone=[OLD], now=state(epoch=6, floors=[(OLD, 7)]))
    assert node.outlived == 0
    node.tell(replace(NEW, serial=7), now=state(epoch=7))

    assert node.serials() == {"n2": 7, "n3": 1}


def test_a_network_that_was_left_and_joined_anew_begins_anew(node: Node, tmp_path: Path) -> None:
    node.cache.forget(NETWORK)
    again = Node(tmp_path)
    again.tell(ME, OLD, full=True)

    assert again.serials() == {"n2": 5}


def test_only_what_is_signed_here_counts_as_the_newest(node: Node) -> None:
    node.tell(replace(NEW, serial=50), by=Authority())
    node.tell(replace(NEW, serial=60, network="0011223344000002"))
    node.tell(replace(NEW, serial=7))

    assert node.serials() == {"n2": 7, "n3": 1}


def test_what_a_signer_said_who_is_believed_no_more_binds_nobody(tmp_path: Path) -> None:
    """A stolen signer could otherwise shut a member out for ever by one high serial."""
    stolen, fresh = Authority(root=FARM.root), Authority(root=FARM.root)
    node = Node(tmp_path, authority=stolen)
    node.tell(ME, NEW, N3, full=True)
    node.tell(replace(NEW, serial=2**53))
    overlap = both(stolen, fresh)
    node.belief.take_trust(Trust(FARM.root_key, FARM.root.seal(overlap)))
    node.authority = fresh
    node.tell(ME, replace(NEW, serial=8), N3, now=state(epoch=6))
    assert node.serials()["n2"] == 2**53
    assert node.belief.holding.revision > 0
    node.belief.take_trust(Trust(FARM.root_key, fresh.signed_keyset(3)))
    assert node.belief.holding.revision == 0  # what was refused for the thief's sake is asked for
    node.tell(ME, replace(NEW, serial=8), N3, full=True)

    assert node.serials() == {"n2": 8, "n3": 1}


def test_nor_does_it_bind_us(tmp_path: Path) -> None:
    stolen, fresh = Authority(root=FARM.root), Authority(root=FARM.root)
    node = Node(tmp_path, authority=stolen)
    node.tell(replace(ME, serial=2**53))
    node.authority = fresh
    node.number = 2
    node.join(state(epoch=6))

    assert node.belief.membership.serial == ME.serial


def test_rows_that_come_before_their_signer_count_from_when_it_is_known(tmp_path: Path) -> None:
    node, fresh = Node(tmp_path), Authority(root=FARM.root)
    node.tell(ME, OLD, N3, full=True)
    node.tell(NEW, by=fresh)
    assert node.serials() == {"n3": 1}
    node.belief.take_trust(Trust(FARM.root_key, FARM.root.seal(both(FARM, fresh))))
    assert node.serials() == {"n2": 6, "n3": 1}
    node.tell(OLD)

    assert node.serials() == {"n2": 6, "n3": 1}


def test_what_was_issued_after_a_life_was_over_begins_anew(node: Node) -> None:
    """The floor of who left a network with a life ends with that life, and serials begin anew."""
    node.tell(replace(NEW, not_after=ISSUED + DAY))
    node.tell(replace(OLD, issued_at=ISSUED + DAY))
    assert node.serials() == {"n2": 6, "n3": 1}
    node.tell(replace(OLD, serial=1, issued_at=ISSUED + DAY + 1))

    assert node.serials() == {"n2": 1, "n3": 1}
    assert node.reasons() == []


def both(one: Authority, other: Authority) -> Keyset:
    signers = tuple(sorted(bytes(a.signer.key) for a in (one, other)))
    return Keyset(version=1, number=2, signers=signers, controllers=(), issued_at=0)

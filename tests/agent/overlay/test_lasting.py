"""What ends a peer and what brings it back, on a device: revocation, life, restarts, old files."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from agent.enrol.sink import Trust
from agent.enrol.store import WireGuardKey
from agent.overlay.belief import Belief
from agent.overlay.cache import Cache
from agent.overlay.peering import Peering
from agent.overlay.peers import Here, Plan, plan_peers
from netns.wireguard.device import PeerStat
from protocol.keys import WireGuardPublic, WireGuardSecret
from protocol.messages import Joined, Rows
from protocol.signed import StatementError
from protocol.statements import NetworkState
from tests.agent.overlay.signing import NETWORK, SETTINGS, Authority, Someone, endpoint, state
from tests.fakes.wireguard import MemoryDevice

FARM = Authority()
DAY = 24 * 3600 * 1000
ISSUED = 1_790_000_000_000
ME = Someone("me", ("10.9.0.1/16",), families=(4,))
N2 = Someone("n2", ("10.9.0.2/16",), endpoints=("198.51.100.2:1",), families=(4,))
N3 = Someone("n3", ("10.9.0.3/16",), endpoints=("198.51.100.3:1",), families=(4,))
KEY = WireGuardKey(WireGuardPublic(ME.wireguard), WireGuardSecret(ME.secret), 51820)


class Node:
    """A belief, what it keeps, and the device that follows."""

    def __init__(self, directory: Path) -> None:
        self.cache = Cache(directory)
        self.device = MemoryDevice()
        self.peering = Peering(self.device, "w-1")
        self.now = 0.0
        trust = Trust(FARM.root_key, FARM.signed_keyset())
        seal = FARM.signer.seal
        joined = Joined(1, NETWORK, 0, SETTINGS, seal(ME.membership), seal(state(epoch=5)), 2)
        self.belief = Belief.begin(bytes(ME.node), bytes(ME.wireguard), trust, joined)
        self.tell(ME, N2, N3, full=True)

    def tell(
        self,
        *everybody: Someone,
        now: NetworkState | None = None,
        gone: Iterable[Someone] = (),
        full: bool = False,
    ) -> None:
        before = self.belief.holding.revision
        signed = FARM.signer.seal(now) if now is not None else None
        left = tuple(bytes(who.node) for who in gone)
        since = 0 if full else before
        rows = FARM.rows(*everybody)
        self.belief.take_rows(Rows(0, NETWORK, since, before + 1, full, rows, left, signed))
        self.cache.keep(self.belief.kept, self.belief.reached)

    def restart(self) -> None:
        """From the disk, as a start does. Raises StatementError."""
        (kept,) = self.cache.networks()
        self.cache._highest.clear()
        self.belief = Belief(
            bytes(ME.node), bytes(ME.wireguard), kept, highest=self.cache.highest(NETWORK)
        )

    def tend(self, now_ms: int | None = None) -> set[str]:
        """The names of the peers that the device has."""
        try:
            verified = self.belief.members(now_ms)
            plan = plan_peers(verified, Here((), frozenset({4})), {})
        except StatementError:
            plan = Plan({}, {})
        self.now += 4.0
        asyncio.run(self.peering.tend(plan, KEY, self.now))
        assert self.device.device is not None
        names = {bytes(who.wireguard): who.name for who in (N2, N3)}
        return {names[key] for key in self.device.device.peers}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    one = Node(tmp_path)
    assert one.tend() == {"n2", "n3"}
    one.device.hear(bytes(N2.wireguard), endpoint("198.51.100.2:1"), PeerStat(handshake=1.0))
    one.device.hear(bytes(N3.wireguard), endpoint("198.51.100.3:1"), PeerStat(handshake=1.0))
    return one


def test_a_revocation_takes_the_peer_with_its_session_off_the_device(node: Node) -> None:
    """S4"""
    node.tell(now=state(epoch=6, floors=[(N2, 2)]))

    assert node.tend() == {"n3"}
    assert [r.reason for r in node.belief.members(None).refusals] == [
        "it was revoked: serial 1 is below 2"
    ]
    assert node.belief.refused_count == 1
    node.tell(replace(N2, serial=2))  # let in again
    assert node.tend() == {"n2", "n3"}


def test_who_was_away_learns_the_revocation_with_the_first_rows_and_no_old_row_undoes_it(
    node: Node,
) -> None:
    """S5"""
    node.restart()
    assert node.tend() == {"n2", "n3"}  # nobody has told it yet
    node.tell(gone=[N2], now=state(epoch=9, floors=[(N2, 2)]))
    assert node.tend() == {"n3"}

    node.tell(N2)  # an answer that was recorded before
    assert node.tend() == {"n3"}
    node.tell(ME, N2, N3, full=True, now=state(epoch=8))
    assert node.tend() == {"n3"}
    node.restart()
    assert node.tend() == {"n3"}
    assert node.belief.holding.epoch == 9


def test_an_expired_peer_is_taken_off_without_a_word_from_a_controller(node: Node) -> None:
    """S3"""
    node.tell(replace(N2, not_after=ISSUED + DAY))
    assert node.tend(ISSUED + DAY) == {"n2", "n3"}

    assert node.tend(None) == {"n2", "n3"}  # who knows what time it is
    assert node.tend(ISSUED + DAY + 1) == {"n3"}
    node.tell(replace(N2, not_after=ISSUED + 2 * DAY))
    assert node.tend(ISSUED + DAY + 1) == {"n2", "n3"}


def test_without_an_own_life_nobody_is_left_on_the_device_and_the_last_quarter_is_said(
    node: Node,
) -> None:
    node.tell(replace(ME, not_after=ISSUED + DAY))
    told = [node.belief.ending(ISSUED + part * DAY // 8) for part in (0, 4, 6, 7, 8, 9)]

    assert told == [None, None, None, DAY // 8, 0, 0]
    assert node.belief.ending(None) is None
    assert node.tend(ISSUED + DAY) == {"n2", "n3"}
    assert node.tend(ISSUED + DAY + 1) == set()


def test_a_file_that_was_put_back_from_before_is_not_believed(node: Node, tmp_path: Path) -> None:
    path = tmp_path / NETWORK / "netmap.json"
    before = path.read_bytes()
    node.tell(now=state(epoch=6, floors=[(N2, 2)]))
    after = path.read_bytes()
    node.restart()  # the control
    path.write_bytes(before)

    with pytest.raises(StatementError, match=r"older than what we held: 1\.5 after 1\.6"):
        node.restart()
    path.write_bytes(after)
    node.restart()
    assert node.tend() == {"n3"}


def test_a_crash_between_the_two_files_costs_nothing(node: Node, tmp_path: Path) -> None:
    highest = tmp_path / NETWORK / "highest.json"
    before = highest.read_bytes()
    node.tell(now=state(epoch=6))
    highest.write_bytes(before)
    node.restart()

    assert node.belief.reached == (1, 6)
    highest.write_bytes(b"{")  # damaged: it guards no more, and is in nobody's way
    node.restart()
    assert node.tend() == {"n2", "n3"}


def test_a_network_that_is_joined_anew_is_not_begun_below_what_was_reached(node: Node) -> None:
    trust = Trust(FARM.root_key, FARM.signed_keyset())
    seal = FARM.signer.seal
    old = Joined(1, NETWORK, 0, SETTINGS, seal(ME.membership), seal(state(epoch=4)), 2)
    new = msgspec.structs.replace(old, state=seal(state(epoch=5)))
    highest = node.cache.highest(NETWORK)
    args = (bytes(ME.node), bytes(ME.wireguard), trust)
    assert Belief.begin(*args, new, highest=highest).reached == (1, 5)

    with pytest.raises(StatementError, match="older than what we held"):
        Belief.begin(*args, old, highest=highest)
    assert Belief.begin(*args, old).reached == (1, 4)


def test_each_statement_that_is_refused_is_counted(node: Node) -> None:
    trust = Trust(FARM.root_key, FARM.signed_keyset())
    stranger = Authority().signer
    bad = Joined(
        1, NETWORK, 0, SETTINGS, stranger.seal(ME.membership), FARM.signer.seal(state(epoch=7)), 2
    )
    with pytest.raises(StatementError):
        node.belief.take_joined(trust, bad)
    node.tell(now=state(epoch=1))
    node.tell(replace(N3, addresses=("10.9.0.2/16",), serial=9))
    for _ in range(3):
        node.belief.members(None)

    assert node.belief.refused_count == 3

"""Floors: listed, folded when they are many, never lowered; no certificate comes back to life."""

import pytest

from controller.members import publish
from controller.members.publish import FOLD_TIME_MS
from controller.members.tombstones import KEEP_MS, purge
from controller.signing.statement import sign_state
from protocol.messages import MAX_FRAME, Ack, Joined, Rows, Unchanged
from protocol.signed import MAX_PAYLOAD, read_unverified
from protocol.statements import FLOORS_MAX, Membership, NetworkState
from tests.controller.house import Guest, House

FEW = 4
NETWORK = "00112233440000aa"


@pytest.fixture(autouse=True)
def _folds_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "FOLD_ABOVE", FEW)


class Judge:
    """What a member that has seen each state believes: the rule of the agent."""

    def __init__(self) -> None:
        self.state: NetworkState | None = None

    def see(self, state: NetworkState) -> None:
        if self.state is not None:
            before, after = self.state, state
            assert (after.incarnation, after.epoch) >= (before.incarnation, before.epoch)
            assert after.least >= before.least
        self.state = state

    def believes(self, certificate: Membership) -> bool:
        assert self.state is not None
        floors = {floor.node: floor.serial for floor in self.state.floors}
        lowest = max(self.state.least, floors.get(certificate.node, 0))
        return certificate.serial >= lowest


def come_and_go(house: House, network: str, count: int, since: int = 0) -> list[Membership]:
    """The certificates of members that were there and have left."""
    gone = []
    for number in range(since, since + count):
        guest = house.enrol(network, name=f"gone{number}")
        gone.append(house.membership(house.join(guest, network)))
        house.leave(guest, network)
    return gone


def now_of(house: House, guest: Guest, network: str) -> NetworkState:
    """The newest state, as this member is told it."""
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    return house.state(joined)


@pytest.mark.parametrize("topology", ["mesh", "hub"])
def test_what_was_void_stays_void_however_many_leave(house: House, topology: str) -> None:
    network = house.network(topology=topology)
    stays = house.enrol(network, house.token(roles=["hub"]), name="stays")
    judge, void = Judge(), []
    for turn in range(6):
        void += come_and_go(house, network, 3, since=3 * turn)
        house.later(FOLD_TIME_MS / 2000)
        state = now_of(house, stays, network)
        judge.see(state)
        assert len(state.floors) <= 3 * FEW
        assert not any(map(judge.believes, void))
        assert judge.believes(house.membership(house.join(stays, network)))
        if turn == 3:
            house.reopen()
            house.hello(stays)
            assert now_of(house, stays, network) == state

    assert judge.state is not None
    assert judge.state.least > 1
    void += come_and_go(house, network, 1, since=100)
    assert not any(map(judge.believes, void[:-1]))


def test_a_fold_gives_everybody_certificates_that_outlive_it_before_the_old_ones_are_void(
    house: House,
) -> None:
    network = house.network()
    stays = [house.enrol(network, name=f"stays{i}") for i in range(2)]
    before = [house.membership(house.join(guest, network)) for guest in stays]
    come_and_go(house, network, FEW + 1)
    judge = Judge()
    judge.see(now_of(house, stays[0], network))
    rows = house.fetch(stays[0], network)
    assert isinstance(rows, Rows)
    after = [read_unverified(row.membership, Membership) for row in rows.rows]

    assert all(map(judge.believes, before))  # nobody is cut
    assert all(map(judge.believes, after))
    highest = max(one.serial for one in before)
    assert all(one.serial > highest for one in after)
    house.later(FOLD_TIME_MS / 1000)
    come_and_go(house, network, 1, since=50)
    judge.see(now_of(house, stays[0], network))
    assert not any(map(judge.believes, before))
    assert all(map(judge.believes, after))


def test_a_fold_is_pushed_as_a_snapshot_and_noticed_by_a_refresh(house: House) -> None:
    network = house.network()
    stays = house.enrol(network, name="stays")
    joined = house.join(stays, network)
    assert isinstance(joined, Joined)
    come_and_go(house, network, FEW)
    house.say(stays, Ack(network, house.registry.networks[1].revision))
    house.later(1)
    house.pushed(stays)
    come_and_go(house, network, 1, since=50)
    house.later(5)
    house.work()
    told = house.pushed_rows(stays)
    renewed = house.refresh(stays, network, joined)

    assert told[-1].full
    assert [row.name for row in told[-1].rows] == ["stays"]
    fresh = house.membership(renewed)
    assert fresh == read_unverified(told[-1].rows[0].membership, Membership)
    assert fresh.serial > house.membership(joined).serial
    assert isinstance(renewed, Joined)
    assert isinstance(house.refresh(stays, network, renewed), Unchanged)


def test_somebody_comes_back_after_a_fold_above_all_that_it_had(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    old = house.membership(house.join(guest, network))
    house.leave(guest, network)
    come_and_go(house, network, FEW)
    house.later(FOLD_TIME_MS / 1000)
    come_and_go(house, network, 1, since=50)
    judge = Judge()
    judge.see(now_of(house, guest, network))
    back = house.membership(house.join(guest, network))

    assert judge.believes(back)
    assert not judge.believes(old)


def test_floors_that_are_far_too_many_are_void_in_one_number_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_SPARE", FLOORS_MAX - 2 * FEW)
    network = house.network()
    stays = house.enrol(network, name="stays")
    void = come_and_go(house, network, 2 * FEW + 1)
    state = now_of(house, stays, network)
    judge = Judge()
    judge.see(state)

    assert state.least > 1
    assert len(state.floors) <= FEW  # of those who left since
    assert not any(map(judge.believes, void))
    assert judge.believes(house.membership(house.join(stays, network)))


def test_floors_that_say_nothing_any_more_are_deleted(house: House) -> None:
    network = house.network()
    stays = house.enrol(network, name="stays")
    come_and_go(house, network, FEW + 1)
    house.later(FOLD_TIME_MS / 1000)
    void = come_and_go(house, network, 1, since=50)
    state = now_of(house, stays, network)
    assert house.count("revocation") == FEW + 2
    house.later(KEEP_MS / 1000)
    purge(house.registry, house.now_ms)
    assert house.count("revocation") == 1
    house.reopen()
    house.hello(stays)

    assert now_of(house, stays, network) == state
    assert [floor.node for floor in state.floors] == [void[0].node]


def test_floors_of_certificates_whose_life_is_over_are_listed_no_more(house: House) -> None:
    network = house.network(life=24 * 3600)
    stays = house.enrol(network, name="stays")
    (void,) = come_and_go(house, network, 1)
    assert [floor.node for floor in now_of(house, stays, network).floors] == [void.node]
    house.later(24 * 3600 + 1)
    (other,) = come_and_go(house, network, 1, since=1)

    assert [floor.node for floor in now_of(house, stays, network).floors] == [other.node]


def test_the_longest_list_of_floors_fits_into_a_frame_beside_rows(house: House) -> None:
    house.network()
    floors = {bytes([n % 256, n // 256]) * 16: 2**40 + n for n in range(FLOORS_MAX)}
    signed = sign_state(
        house.registry.signer, NETWORK, house.registry.networks[1], incarnation=1, floors=floors
    )

    assert len(read_unverified(signed, NetworkState).floors) == FLOORS_MAX
    assert len(signed.payload) < MAX_PAYLOAD
    assert MAX_FRAME - len(signed.payload) > 16 * 1024

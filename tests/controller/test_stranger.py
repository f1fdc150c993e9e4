"""A client written from docs/protocol.md alone is a node like any other for the real controller."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.controller.farm import Controller, running, wait_for
from tests.controller.stranger import Netmap, Stranger
from tests.controller.stranger_line import (
    Invitation,
    NotLetInError,
    NotUnderstoodError,
    RefusedError,
)

# eight as long as they get: few members fill a piece of a snapshot
LONG = tuple(f"[2001:db8:1111:2222:3333:4444:5555:666{i}]:51820" for i in range(8))
CROWD = 90

Member = Callable[[str], Stranger]


def join_string(controller: Controller, *words: str) -> str:
    made = controller.ncadm("token", "create", "home", *words)
    assert made.returncode == 0, made.stderr
    return made.stdout


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with running(tmp_path) as controller:
        yield controller


@pytest.fixture
def network(controller: Controller) -> str:
    return controller.network("home")


@pytest.fixture
def guest(controller: Controller, network: str) -> Iterator[Member]:
    """Strangers who share a token, closed at the end."""
    text = join_string(controller, "--uses", str(CROWD))
    strangers: list[Stranger] = []

    def make(name: str) -> Stranger:
        strangers.append(Stranger(text, name, endpoints=LONG))
        return strangers[-1]

    yield make
    for stranger in strangers:
        stranger.close()


@pytest.fixture
def member(guest: Member, network: str) -> Member:
    """A stranger that is admitted, has joined and holds the netmap."""

    def make(name: str) -> Stranger:
        stranger = guest(name)
        stranger.admit()
        stranger.connect()
        stranger.join(network)
        stranger.fetch()
        return stranger

    return make


def test_a_stranger_is_admitted_and_welcomed_to_its_network(guest: Member, network: str) -> None:
    ann = guest("ann")
    ann.admit()
    welcome = ann.connect()
    assert welcome["networks"] == [network]
    assert welcome["observed"] == "127.0.0.1"


def test_a_stranger_gets_a_membership_that_it_can_verify(member: Member) -> None:
    ann = member("ann")
    assert ann.membership is not None
    assert ann.membership.addresses
    own = ann.netmap.rows[ann.node]
    assert own.membership == ann.membership
    assert own.endpoints == tuple(ann.endpoints)


def test_the_one_who_comes_later_sees_who_is_there_and_is_pushed_to_them(member: Member) -> None:
    ann, bob = member("ann"), member("bob")
    assert bob.peers()["ann"].membership == ann.membership
    ann.listen_until(lambda node: "bob" in node.peers())
    assert ann.peers()["bob"].membership == bob.membership


def test_nothing_new_is_answered_unchanged(member: Member) -> None:
    assert member("ann").refresh() == "unchanged"


def test_a_new_wireguard_key_is_signed_and_reaches_the_others(member: Member) -> None:
    ann, bob = member("ann"), member("bob")
    ann.listen_until(lambda node: "bob" in node.peers())
    bob.new_wireguard_key()
    assert bob.refresh() == "joined"
    ann.listen_until(lambda node: node.peers()["bob"].membership.wireguard == bob.wireguard)
    assert ann.peers()["bob"].membership == bob.membership


def test_who_leaves_is_gone_from_the_netmap_and_void_by_a_floor(member: Member) -> None:
    ann, bob = member("ann"), member("bob")
    ann.listen_until(lambda node: "bob" in node.peers())
    bob.leave()
    ann.listen_until(lambda node: "bob" not in node.peers())
    assert bob.membership is not None
    assert ann.state is not None
    assert ann.state.voids(bob.node, bob.membership.serial)


def test_a_crowd_comes_in_several_pieces(member: Member) -> None:
    first = member("0")
    for number in range(1, CROWD):
        member(str(number)).close()
    first.netmap = Netmap()
    assert first.fetch() > 1
    assert set(first.peers()) == {str(number) for number in range(1, CROWD)}


def test_who_must_wait_is_told_when_it_may_come(controller: Controller, network: str) -> None:
    ann = Stranger(join_string(controller, "--ask"), "ann")
    try:
        ann.admit()
        ann.connect()
        assert ann.join(network) == "pending"
        controller.ncadm("member", "authorize", "home", "ann")
        ann.listen_until(lambda node: node.standing == "authorized")
        assert ann.join(network) == "joined"
    finally:
        ann.close()


def test_who_is_put_out_is_told_with_the_floor_that_proves_it(
    controller: Controller, member: Member
) -> None:
    ann = member("ann")
    controller.ncadm("member", "deauthorize", "home", "ann", "--yes")
    ann.listen_until(lambda node: node.standing == "deauthorized")
    assert ann.membership is not None
    assert ann.state is not None
    assert ann.state.voids(ann.node, ann.membership.serial)


def test_a_stranger_comes_back_with_its_own_key_and_holds_what_it_held(member: Member) -> None:
    ann = member("ann")
    before = ann.membership
    ann.close()
    ann.connect()
    assert ann.refresh() == "unchanged"
    assert ann.membership == before


def test_who_comes_back_and_says_what_it_holds_is_pushed_what_it_missed(member: Member) -> None:
    ann = member("ann")
    ann.close()
    bob = member("bob")
    ann.connect()
    ann.refresh()
    ann.listen_until(lambda node: "bob" in node.peers())
    assert ann.peers()["bob"].membership == bob.membership


def test_a_ping_is_answered(member: Member) -> None:
    member("ann").ping()


def test_a_used_up_token_is_refused_in_the_handshake(
    controller: Controller, network: str, guest: Member
) -> None:
    text = join_string(controller)
    first, second = Stranger(text, "first"), Stranger(text, "second")
    try:
        first.admit()
        with pytest.raises(NotLetInError):
            second.admit()
    finally:
        second.close()


def test_an_expired_token_is_refused_in_the_handshake(controller: Controller, network: str) -> None:
    late = Stranger(join_string(controller, "--ttl", "1s"), "late")

    def over() -> bool:
        try:
            late.admit()
        except NotLetInError:
            return True
        return False

    try:
        wait_for(over)
    finally:
        late.close()


def test_a_network_that_the_stranger_has_no_place_in_is_not_found(
    controller: Controller, guest: Member, network: str
) -> None:
    ann = guest("ann")
    ann.admit()
    ann.connect()
    with pytest.raises(RefusedError) as refused:
        ann.join(controller.network("away"))
    assert refused.value.code == "not-found"
    ann.join(network)


def test_a_damaged_join_string_is_noticed(controller: Controller, network: str) -> None:
    text = join_string(controller).strip()
    other = "a" if text[20] != "a" else "b"
    with pytest.raises(NotUnderstoodError, match="damaged"):
        Invitation.parse(text[:20] + other + text[21:])

"""Free addresses: never one twice, never one too few."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller import pools
from controller.pools import Space, to_int, usable_range
from controller.records import Assignment, address_from, sixteen
from protocol.packing import pack_interface


def test_every_address_is_given_once_and_then_none() -> None:
    space = Space(10, 19)
    given_out = [space.allocate(7, 0) for _ in range(10)]

    assert sorted(a for a in given_out if a is not None) == list(range(10, 20))
    assert space.allocate(7, 0) is None
    assert space.free == 0


def test_the_same_start_gives_the_same_address() -> None:
    assert Space(0, 999).allocate(12345, 0) == Space(0, 999).allocate(12345, 0) == 345


def test_a_released_address_rests_and_then_comes_back() -> None:
    space = Space(1, 1)
    assert space.allocate(0, 0) == 1
    space.release(1, 100)

    assert space.allocate(0, 99) is None
    assert space.allocate(0, 100) == 1


def test_a_resting_address_that_its_holder_took_back_is_not_free_later() -> None:
    space = Space(1, 1, resting=[(100, 1)])
    assert space.wake(1)

    assert space.allocate(0, 1000) is None


def test_waking_what_does_not_rest_says_so() -> None:
    assert not Space(1, 4, used=[2]).wake(2)


@pytest.mark.parametrize("dense_max", [1 << 22, 0])
def test_a_large_and_a_small_space_do_the_same(
    dense_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "DENSE_MAX", dense_max)
    space = Space(100, 163, used=[100, 163], resting=[(50, 101)])
    given_out = {space.allocate(start * 37, 0) for start in range(61)}

    assert given_out == set(range(102, 163))
    assert space.allocate(0, 0) is None
    assert space.allocate(0, 50) == 101


def test_above_many_members_addresses_come_in_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SCATTER_MAX", 3)
    space = Space(0, 999)
    scattered = [space.allocate(start, 0) for start in (500, 100, 900)]
    following = [space.allocate(start, 0) for start in (7, 300, 42)]

    assert scattered == [500, 100, 900]
    assert following == [901, 902, 903]


def test_a_pool_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="before"):
        Space(2, 1)


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("10.9.0.0/16", "10.9.0.2", "10.9.255.254"),
        ("10.9.0.0/29", "10.9.0.2", "10.9.0.6"),
        ("fd00::/64", "fd00::2", "fd00::ffff:ffff:ffff:ffff"),
    ],
)
def test_network_gateway_and_broadcast_are_left_out(network: str, first: str, last: str) -> None:
    assert usable_range(ip_network(network)) == (ip_address(first), ip_address(last))


@pytest.mark.parametrize("network", ["10.9.0.0/31", "10.9.0.0/32", "fd00::/127"])
def test_a_range_without_room_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        usable_range(ip_network(network))


@given(st.ip_addresses())
def test_an_address_survives_the_database(address: object) -> None:
    value = ip_address(str(address))

    assert address_from(sixteen(value), value.version) == value


@given(st.ip_addresses(), st.integers(0, 32))
def test_an_assignment_is_packed_as_the_certificate_has_it(address: object, length: int) -> None:
    value = ip_address(str(address))
    row = Assignment(1, sixteen(value), value.version, length, 1, "auto", 0)

    assert row.packed == pack_interface(row.interface)


def test_a_stored_address_counts_as_its_family_does() -> None:
    assert to_int(sixteen(ip_address("10.9.0.2"))) == int(ip_address("10.9.0.2"))
    assert to_int(sixteen(ip_address("fd00::2"))) == int(ip_address("fd00::2"))


class SpaceMachine(RuleBasedStateMachine):
    """Anything in any order, beside a model that is three sets."""

    SIZE = 12

    def __init__(self) -> None:
        super().__init__()
        self.space = Space(0, self.SIZE - 1)
        self.used: set[int] = set()
        self.resting: dict[int, int] = {}
        self.now = 0

    @rule(start=st.integers(0, 100))
    def allocate(self, start: int) -> None:
        for address in [a for a, until in self.resting.items() if until <= self.now]:
            del self.resting[address]
        got = self.space.allocate(start, self.now)
        free = set(range(self.SIZE)) - self.used - self.resting.keys()
        assert (got in free) if free else got is None
        if got is not None:
            self.used.add(got)

    @rule(address=st.integers(0, SIZE - 1), rest=st.integers(1, 5))
    def release(self, address: int, rest: int) -> None:
        if address in self.used:
            self.space.release(address, self.now + rest)
            self.used.remove(address)
            self.resting[address] = self.now + rest

    @rule(address=st.integers(0, SIZE - 1))
    def take(self, address: int) -> None:
        taken = self.space.take(address)
        assert taken == (address not in self.used and address not in self.resting)
        if taken:
            self.used.add(address)

    @rule(address=st.integers(0, SIZE - 1))
    def give_back(self, address: int) -> None:
        if address in self.used:
            self.space.give_back(address)
            self.used.remove(address)

    @rule(address=st.integers(0, SIZE - 1))
    def wake(self, address: int) -> None:
        assert self.space.wake(address) == (address in self.resting)
        if self.resting.pop(address, None) is not None:
            self.used.add(address)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def counts(self) -> None:
        assert self.space.free == self.SIZE - len(self.used) - len(self.resting)


TestSpaceMachine = SpaceMachine.TestCase

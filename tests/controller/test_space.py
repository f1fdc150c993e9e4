"""Free addresses: never one twice, never one too few."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.addresses import space as module
from controller.addresses.space import WINDOW, Shape, Space


def made(size: int, *, first: int = 0, step: int = 1) -> Space:
    return Space(Shape(first, step, size))


def test_every_address_is_given_once_and_then_none() -> None:
    space = made(10, first=10)
    given_out = [space.allocate(7, 0) for _ in range(10)]

    assert sorted(a for a in given_out if a is not None) == list(range(10, 20))
    assert space.allocate(7, 0) is None
    assert space.free == 0


def test_a_range_without_an_address_is_full_at_once() -> None:
    assert made(0).allocate(3, 0) is None


def test_the_same_start_gives_the_same_address() -> None:
    assert made(999).allocate(12345, 0) == made(999).allocate(12345, 0) == 12345 % 999


def test_of_subnets_only_the_first_addresses_are_given_out() -> None:
    space = made(3, first=257, step=256)

    assert {space.allocate(0, 0) for _ in range(3)} == {257, 513, 769}
    assert not space.take(258)
    assert 258 not in space


def test_a_released_address_rests_and_then_comes_back() -> None:
    space = made(1)
    assert space.allocate(0, 0) == 0
    space.release(0, 100)

    assert space.wakes_at() == 100
    assert space.allocate(0, 99) is None
    assert space.allocate(0, 100) == 0


def test_an_address_that_its_holder_took_back_and_released_again_rests_from_then() -> None:
    space = made(1)
    space.take(0)
    space.release(0, 100)
    assert space.wake(0)
    assert space.allocate(0, 1000) is None
    space.release(0, 2000)

    assert space.wakes_at() == 2000
    assert space.allocate(0, 1999) is None
    assert space.allocate(0, 2000) == 0


def test_waking_what_does_not_rest_says_so() -> None:
    space = made(4)
    space.take(2)

    assert not space.wake(2)
    assert not space.wake(3)
    assert not space.wake(77)


def test_a_wide_range_costs_what_its_members_cost() -> None:
    space = made(2**64 - 2)
    given_out = {space.allocate(start * 2**33, 0) for start in range(3 * WINDOW)}

    assert len(given_out) == 3 * WINDOW
    assert len(space._window) == 8 * WINDOW


def test_what_is_taken_far_out_is_known_when_the_window_comes_there() -> None:
    space = made(4 * WINDOW)
    far = 2 * WINDOW + 1
    assert space.take(far)
    space.release(far + 1, 100)  # not in use: nothing to release
    assert far in space
    assert not space.take(far)
    others = {space.allocate(far, 0) for _ in range(space.shape.size - 1)}

    assert others == set(range(space.shape.size)) - {far}
    assert space.allocate(far, 0) is None


def test_above_many_members_addresses_come_in_sequence() -> None:
    space = Space(Shape(0, 1, 2**24), module.SCATTER_MAX)
    space.fill(((n).to_bytes(16),) for n in range(0, 2 * module.SCATTER_MAX, 2))
    taken = [space.allocate(start, 0) for start in (7_777_777, 3, 15)]

    assert taken == [1, 3, 5]


def test_what_the_database_has_is_loaded_whatever_its_order() -> None:
    space = Space(Shape(100, 1, 64), 5)
    space.fill([((101).to_bytes(16),), ((163).to_bytes(16),)])
    space.load([(105, 50), (99, 0), (164, 0), (200, 7)])

    assert space.taken == 3
    assert space.resting == 1
    assert [n for n in range(90, 210) if n in space] == [101, 105, 163]
    free = {space.allocate(0, 49) for _ in range(61)}
    assert free == set(range(100, 164)) - {101, 105, 163}
    assert space.allocate(0, 49) is None
    assert space.allocate(0, 50) == 105


def test_a_promised_address_is_passed_over_until_its_time() -> None:
    space = made(3)
    space.promise(1, 100)
    space.promise(77, 100)  # none of ours

    assert [space.allocate(1, 99) for _ in range(3)] == [2, 0, None]
    assert (space.free, space.promised) == (0, 1)
    assert space.is_promised(1, 99)
    assert not space.is_promised(1, 100)
    assert not space.is_promised(2, 99)
    assert space.allocate(1, 100) == 1


def test_a_promised_address_is_taken_by_its_name_and_stays_promised_when_it_is_released() -> None:
    space = made(1)
    space.promise(0, 100)
    assert space.take(0)
    assert (space.taken, space.promised) == (1, 0)
    space.release(0, 50)
    assert space.allocate(0, 50) is None
    assert space.take(0)
    space.give_back(0)
    assert space.allocate(0, 99) is None
    space.promise(0, 0)

    assert space.allocate(0, 99) == 0


def test_a_window_full_of_promises_grows_until_there_is_a_free_address() -> None:
    space = made(16 * WINDOW)
    for address in range(3 * WINDOW):
        space.promise(address, 100)

    assert space.allocate(5, 0) == 3 * WINDOW
    assert space.free == 13 * WINDOW - 1
    assert space.allocate(5, 100) == 5


class SpaceMachine(RuleBasedStateMachine):
    """Anything in any order, beside a model that is two dicts; undone or kept now and then."""

    SIZE = 12

    def __init__(self) -> None:
        super().__init__()
        self.space = made(self.SIZE, first=5, step=3)
        self.taken: dict[int, int] = {}  # until, 0: in use
        self.kept: dict[int, int] = {}
        self.promised: dict[int, int] = {}
        self.now = 0

    addresses = st.integers(0, SIZE - 1).map(lambda n: 5 + 3 * n)

    @rule(start=st.integers(0, 100))
    def allocate(self, start: int) -> None:
        self.wake_all()
        got = self.space.allocate(start, self.now)
        free = {5 + 3 * n for n in range(self.SIZE)} - self.taken.keys() - self.promised.keys()
        assert self.space.free == len(free) - (got is not None)
        assert (got in free) if free else got is None
        if got is not None:
            self.taken[got] = 0

    @rule(address=addresses, seconds=st.integers(0, 5))
    def promise(self, address: int, seconds: int) -> None:
        until = self.now + seconds if seconds else 0
        self.space.promise(address, until)
        self.promised.pop(address, None)
        if until:
            self.promised[address] = until

    @rule(address=addresses, rest=st.integers(1, 5))
    def release(self, address: int, rest: int) -> None:
        self.space.release(address, self.now + rest)
        if address in self.taken:
            self.taken[address] = self.now + rest

    @rule(address=addresses)
    def take(self, address: int) -> None:
        assert self.space.take(address) == (address not in self.taken)
        self.taken.setdefault(address, 0)

    @rule(address=addresses)
    def give_back(self, address: int) -> None:
        self.space.give_back(address)
        self.taken.pop(address, None)

    @rule(address=addresses)
    def wake(self, address: int) -> None:
        rests = bool(self.taken.get(address))
        assert self.space.wake(address) == rests
        if rests:
            self.taken[address] = 0

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def keep(self) -> None:
        self.space.keep()
        self.kept = dict(self.taken)

    @rule()
    def undo(self) -> None:
        self.space.undo()
        self.taken = dict(self.kept)

    @invariant()
    def agrees(self) -> None:
        assert self.space.taken == len(self.taken)
        assert self.space.resting == len([u for u in self.taken.values() if u])
        assert all(address in self.space for address in self.taken)
        assert self.space.promised == len(self.promised.keys() - self.taken.keys())
        assert self.space.wakes_at() == min((u for u in self.taken.values() if u), default=None)

    def wake_all(self) -> None:
        self.taken = {a: u for a, u in self.taken.items() if not 0 < u <= self.now}
        self.promised = {a: u for a, u in self.promised.items() if u > self.now}


TestSpaceMachine = SpaceMachine.TestCase


@given(st.lists(st.integers(0, 5 * WINDOW), unique=True, max_size=40), st.integers(0, 2**40))
def test_growing_forgets_nothing(far: list[int], start: int) -> None:
    space = made(8 * WINDOW)
    for address in far:
        space.take(address)
    got = list(itertools.islice((space.allocate(start, 0) for _ in itertools.count()), WINDOW))

    assert not set(got) & set(far)
    assert space.taken == len(far) + WINDOW

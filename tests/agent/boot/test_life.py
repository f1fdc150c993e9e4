"""When an uplink is left, and when the node goes back."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.boot.life import BACK_AFTER, DEAD_AFTER, FRESH, RETRY, SETTLED, Life, Move

BOTH = ("eth0", "eth1")


class Story:
    """Second by second; eth0 is the boot's, `up` says which NICs have a way out."""

    def __init__(self) -> None:
        self.life, self.now = Life("eth0"), 0.0
        self.up = {"eth0": True, "eth1": True}
        self.moves: list[tuple[float, str]] = []

    def go(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(round(seconds / step)):
            self.now += step
            self.look()
            move = self.life.decide(self.now, tuple(n for n in BOTH if n != self.life.uplink))
            if move is not None:
                self.moves.append((self.now, move.nic))
                self.life.moved(move.nic, self.now)

    def look(self) -> None:
        for nic, up in self.up.items():
            if nic == self.life.uplink:
                self.life.alive(up, self.now, "" if up else "no carrier")
            elif up:
                self.life.ready(nic, self.now)
            else:
                self.life.unready(nic)


@pytest.fixture
def story() -> Story:
    story = Story()
    story.go(10)
    return story


def test_a_living_uplink_is_never_left(story: Story) -> None:
    story.go(10_000)

    assert story.moves == []


def test_a_dead_uplink_is_left_after_thirty_seconds_and_not_before(story: Story) -> None:
    story.up["eth0"] = False
    story.go(100)

    assert story.moves == [(11 + DEAD_AFTER, "eth1")]


def test_without_another_that_is_ready_it_waits(story: Story) -> None:
    story.up = {"eth0": False, "eth1": False}
    story.go(1000)
    before = list(story.moves)
    story.up["eth1"] = True
    story.go(2)

    assert before == []
    assert [nic for _, nic in story.moves] == ["eth1"]


def test_it_goes_home_when_home_was_ready_for_five_minutes_without_a_break(story: Story) -> None:
    story.up["eth0"] = False
    story.go(100)
    story.up["eth0"] = True
    story.go(200)
    story.up["eth0"] = False
    story.go(1)
    story.up["eth0"] = True
    began = story.now
    story.go(400)

    assert [nic for _, nic in story.moves] == ["eth1", "eth0"]
    assert story.moves[1][0] == began + 1 + BACK_AFTER


def test_it_goes_home_at_once_when_the_other_dies(story: Story) -> None:
    story.up["eth0"] = False
    story.go(60)
    story.up = {"eth0": True, "eth1": False}
    story.go(60)

    assert [nic for _, nic in story.moves] == ["eth1", "eth0"]


def test_an_uplink_that_flaps_is_left_once(story: Story) -> None:
    for _ in range(1000):
        story.up["eth0"] = not story.up["eth0"]
        story.go(0.5, 0.5)

    assert [nic for _, nic in story.moves] == ["eth1"]


def test_two_that_flap_do_not_throw_the_node_to_and_fro(story: Story) -> None:
    for _ in range(2000):
        story.up = {"eth0": not story.up["eth0"], "eth1": story.up["eth0"]}
        story.go(0.5, 0.5)

    assert len(story.moves) <= story.now / DEAD_AFTER


def test_a_gap_shorter_than_thirty_seconds_is_forgotten(story: Story) -> None:
    for _ in range(10):
        story.up["eth0"] = False
        story.go(DEAD_AFTER - SETTLED - 2)
        story.up["eth0"] = True
        story.go(SETTLED + 1)

    assert story.moves == []


def test_an_uplink_that_lives_again_is_not_left_although_its_death_is_not_over() -> None:
    life = Life("eth0")
    life.alive(False, 0.0, "no carrier")
    life.ready("eth1", DEAD_AFTER - 1)
    life.alive(True, DEAD_AFTER - 1)
    waits = life.decide(DEAD_AFTER, ("eth1",))
    life.alive(False, DEAD_AFTER + 1, "no carrier")

    assert waits is None
    assert life.decide(DEAD_AFTER + 1, ("eth1",)) is not None


def test_an_old_probe_is_no_reason_to_move() -> None:
    life = Life("eth0")
    life.ready("eth1", 0.0)
    life.alive(False, 50.0, "gateway is silent")

    assert life.decide(FRESH + DEAD_AFTER, ("eth1",)) is None


def test_a_move_says_why() -> None:
    life = Life("eth0")
    life.alive(False, 0.0, "no carrier")
    life.ready("eth1", 29.0)

    assert life.decide(29.0, ("eth1",)) is None
    assert life.deadline == DEAD_AFTER
    assert life.decide(30.0, ("eth1",)) == Move("eth1", "eth0 is dead for 30 s: no carrier")


def test_an_uplink_is_over_once_it_would_be_left_and_not_when_it_stirs() -> None:
    life = Life("eth0")
    life.alive(False, 0.0, "no carrier")

    assert [life.is_over(now) for now in (0.0, 29.9, 30.0)] == [False, False, True]
    life.alive(True, 31.0)
    assert not life.is_over(31.0)


def test_a_move_that_failed_is_tried_later_and_by_the_next_best() -> None:
    life = Life("eth0")
    life.alive(False, 0.0, "no carrier")
    for nic in ("eth1", "eth2"):
        life.ready(nic, 30.0)
    first = life.decide(30.0, ("eth1", "eth2"))
    life.failed("eth1", 30.0)

    assert first is not None
    assert first.nic == "eth1"
    assert life.decide(31.0, ("eth1", "eth2")) is None
    assert life.deadline == 30.0 + RETRY
    second = life.decide(30.0 + RETRY, ("eth1", "eth2"))
    assert second is not None
    assert second.nic == "eth2"


@given(st.lists(st.tuples(st.sampled_from(["eth0", "eth1"]), st.floats(0.2, 40.0)), max_size=60))
def test_whatever_cables_do_no_two_moves_are_closer_than_a_death(
    flips: list[tuple[str, float]],
) -> None:
    story = Story()
    for nic, seconds in flips:
        story.up[nic] = not story.up[nic]
        story.go(seconds, 0.2)
    moments = [moment for moment, _ in story.moves]

    assert all(b - a >= DEAD_AFTER - 1 for a, b in itertools.pairwise(moments))

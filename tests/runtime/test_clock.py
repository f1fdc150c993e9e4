"""The clock goes on: over a reboot, and when somebody sets the system's. Who is believed corrects it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.clock import LAST_MS, FlooredClock, boot_ms, wall_ms

MINUTE = 60_000
YEAR = 365 * 24 * 60 * MINUTE
NOON = 1_800_000_000_000


@dataclass
class Machine:
    """A machine's two clocks; `pass_` lets time go by on both."""

    path: Path
    wall: int = NOON
    boot: int = 1000
    boots: int = 1

    def clock(self) -> FlooredClock:
        return FlooredClock(
            self.path,
            wall=lambda: self.wall,
            boot=lambda: self.boot,
            boot_id=lambda: f"boot-{self.boots}",
            set_wall=self.set_wall,
        )

    def set_wall(self, now: int) -> None:
        self.wall = now

    def pass_(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.boot += milliseconds

    def reboot(self, wall: int) -> FlooredClock:
        self.wall, self.boot, self.boots = wall, 500, self.boots + 1
        return self.clock()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "clock")


def test_a_good_system_clock_is_taken_as_it_is(machine: Machine) -> None:
    clock = machine.clock()
    machine.pass_(5000)

    assert clock.now_ms() == NOON + 5000
    assert clock.behind_ms == 0
    assert not clock.step_system_clock()


def test_after_a_reboot_without_battery_time_goes_on_a_minute_after_the_last_save(
    machine: Machine,
) -> None:
    clock = machine.clock()
    machine.pass_(10 * MINUTE)
    clock.save()
    clock = machine.reboot(wall=0)
    first = clock.now_ms()
    machine.pass_(7000)

    assert first == NOON + 11 * MINUTE
    assert clock.behind_ms == NOON + 11 * MINUTE
    assert clock.now_ms() == first + 7000


def test_each_reboot_starts_later_than_the_one_before_even_if_it_lived_shortly(
    machine: Machine,
) -> None:
    machine.clock().save()
    seen = []
    for _ in range(3):
        clock = machine.reboot(wall=0)
        seen.append(clock.now_ms())
        clock.save()

    assert seen == [NOON + MINUTE, NOON + 2 * MINUTE, NOON + 3 * MINUTE]


def test_starts_in_one_boot_go_on_exactly_however_many(machine: Machine) -> None:
    for _ in range(100):
        machine.pass_(1000)
        machine.clock().save()
    machine.wall = 0
    clock = machine.clock()

    assert clock.now_ms() == NOON + 100_000
    assert clock.behind_ms == NOON + 100_000


def test_authenticated_time_moves_forward_only_and_goes_on(machine: Machine) -> None:
    clock = machine.clock()
    clock.learn(NOON + MINUTE)
    clock.learn(NOON - MINUTE)
    machine.pass_(1000)

    assert clock.now_ms() == NOON + MINUTE + 1000
    assert clock.ahead_ms == -MINUTE


def test_a_system_clock_years_ahead_is_followed_only_until_the_time_is_told(
    machine: Machine,
) -> None:
    machine.wall += 10 * YEAR
    clock = machine.clock()
    ahead = clock.now_ms()
    clock.save()
    clock.learn(NOON)
    told, off = clock.now_ms(), clock.ahead_ms
    clock.save()
    clock = machine.reboot(wall=0)

    assert ahead == NOON + 10 * YEAR
    assert (told, off) == (NOON, 10 * YEAR)
    assert clock.now_ms() == NOON + MINUTE  # the floor is right again


def test_once_told_the_time_goes_on_however_the_system_clock_jumps(machine: Machine) -> None:
    clock = machine.clock()
    clock.learn(NOON)
    seen = []
    for jump in (10 * YEAR, -40 * YEAR, 0):
        machine.wall = NOON + jump
        machine.boot += 1000
        seen.append(clock.now_ms() - NOON)

    assert seen == [1000, 2000, 3000]


def test_a_time_that_nobody_lives_to_see_is_not_taken_for_good(machine: Machine) -> None:
    clock = machine.clock()
    for absurd in (0, -1, 2**53, 2**63, LAST_MS + 1):
        clock.learn(absurd)
    assert (clock.now_ms(), clock.trusted) == (NOON, False)
    machine.path.write_bytes(b"%d 0 boot-0\n" % 2**53)

    assert machine.clock().now_ms() == NOON


def test_stepping_the_system_clock_counts_what_was_learnt_once(machine: Machine) -> None:
    clock = machine.clock()
    clock.learn(NOON + 60 * MINUTE)
    stepped = clock.step_system_clock()

    assert stepped
    assert machine.wall == NOON + 60 * MINUTE
    assert clock.now_ms() == NOON + 60 * MINUTE
    assert not clock.step_system_clock()


def test_a_system_clock_that_is_set_back_takes_nothing_back(machine: Machine) -> None:
    clock = machine.clock()
    before = clock.now_ms()
    machine.wall -= 30 * MINUTE
    machine.pass_(2000)

    assert clock.now_ms() == before + 2000
    assert clock.step_system_clock()
    assert machine.wall == before + 2000


@pytest.mark.parametrize("damage", [b"", b"yesterday", b"-5", b"\xff\n"])
def test_a_damaged_floor_is_no_floor(machine: Machine, damage: bytes) -> None:
    machine.path.write_bytes(damage)

    assert machine.clock().now_ms() == NOON


def test_a_time_without_its_boot_is_of_another_boot(machine: Machine) -> None:
    """As it was written before."""
    machine.path.write_bytes(b"%d\n" % (NOON + MINUTE))

    assert machine.clock().now_ms() == NOON + 2 * MINUTE


def test_the_real_clocks_are_the_defaults(tmp_path: Path) -> None:
    clock = FlooredClock(tmp_path / "clock")

    assert abs(clock.now_ms() - wall_ms()) < 1000
    assert boot_ms() > 0

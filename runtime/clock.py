"""The wall clock of a node that may have no battery: a floor under it, and authenticated time on top.

A node whose clock went back is refused by its WireGuard peers until it passes the last value they
saw; so the last known time is saved each minute and at boot the clock is at least that plus 60 s.

    clock = FlooredClock(STATE / "clock")
    each SAVE_EACH seconds: clock.save()

All timers are monotonic and do not come here.
"""

import time
from collections.abc import Callable
from pathlib import Path

from runtime import files

SAVE_EACH = 60.0  # seconds
LAST_MS = 4_102_444_800_000  # the year 2100; nobody who is right says a later time


def wall_ms() -> int:
    """Milliseconds since 1970 as the system clock has it."""
    return time.time_ns() // 1_000_000


def boot_ms() -> int:
    """Milliseconds since power-on; nobody can set this clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def set_wall_ms(now: int) -> None:
    """Set the system clock. Raises PermissionError without the right to."""
    time.clock_settime_ns(time.CLOCK_REALTIME, now * 1_000_000)


class FlooredClock:
    """Wall time that never is below what this node has already lived through, and never goes back.

    The best time known so far goes on by the boot clock, so a system clock that stands wrong, is
    set right or is set back does not matter.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall: Callable[[], int] = wall_ms,
        boot: Callable[[], int] = boot_ms,
        set_wall: Callable[[int], None] = set_wall_ms,
    ) -> None:
        self._path, self._wall, self._boot, self._set_wall = path, wall, boot, set_wall
        saved = self._saved()
        floor = saved + int(SAVE_EACH * 1000) if saved else 0
        self._behind_at_start = max(0, floor - wall())
        self._known, self._known_at = floor, boot()
        self._trusted = False

    @property
    def behind_ms(self) -> int:
        """How far the system clock lay behind the floor at start, 0 when it did not."""
        return self._behind_at_start

    @property
    def trusted(self) -> bool:
        """Whether somebody who can be believed has told the time since start."""
        return self._trusted

    def now_ms(self) -> int:
        lived = self._boot()
        self._known = max(self._wall(), self._known + lived - self._known_at)
        self._known_at = lived
        return self._known

    def learn(self, authenticated_ms: int) -> None:
        """Take the controller's time: forward only, as the floor is for good."""
        if authenticated_ms > LAST_MS:
            return
        self._known = max(self.now_ms(), authenticated_ms)
        self._trusted = True

    def save(self) -> None:
        """Call each SAVE_EACH seconds and at the end."""
        files.write_atomic(self._path, b"%d\n" % self.now_ms())

    def step_system_clock(self) -> bool:
        """Set the system clock forward to ours; False when it already is there."""
        now = self.now_ms()
        if now <= self._wall():
            return False
        self._set_wall(now)
        return True

    def _saved(self) -> int:
        try:
            saved = int(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return 0
        return saved if 0 < saved <= LAST_MS else 0

"""The wall clock of a node that may have no battery: a floor under it, and authenticated time on top.

A node whose clock went back is refused by its WireGuard peers until it passes the last value they
saw; so the last known time is saved each minute and after a boot the clock is at least that plus 60 s.
A program that starts again in the same boot goes on from there exactly.

    clock = FlooredClock(STATE / "clock")
    each SAVE_EACH seconds: clock.save()

All timers are monotonic and do not come here.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

from runtime import files

SAVE_EACH = 60.0  # seconds
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAVED = re.compile(rb"(?P<time>[0-9]{1,16})(?: (?P<at>[0-9]{1,16}) (?P<boot>[!-~]+))?\n")
LAST_MS = 4_102_444_800_000  # the year 2100; nobody who is right says a later time


def wall_ms() -> int:
    """Milliseconds since 1970 as the system clock has it."""
    return time.time_ns() // 1_000_000


def boot_ms() -> int:
    """Milliseconds since power-on; nobody can set this clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def boottime() -> float:
    """Seconds since power-on, asleep or not: what leases and phases count on."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Another one after each boot."""
    return BOOT_ID.read_text().strip()


def set_wall_ms(now: int) -> None:
    """Set the system clock. Raises PermissionError without the right to."""
    time.clock_settime_ns(time.CLOCK_REALTIME, now * 1_000_000)


class FlooredClock:
    """Wall time that never is below what this node has already lived through.

    The best time known so far goes on by the boot clock. Until somebody who can be believed has told
    the time, a system clock that is ahead is followed; from then on it is not asked any more, however
    it stands or jumps, and a floor that it had lifted too high is gone.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall: Callable[[], int] = wall_ms,
        boot: Callable[[], int] = boot_ms,
        boot_id: Callable[[], str] = boot_id,
        set_wall: Callable[[int], None] = set_wall_ms,
    ) -> None:
        self._path, self._wall, self._boot, self._set_wall = path, wall, boot, set_wall
        self._boot_id = boot_id()
        self._known, self._known_at = self._floor(boot()), boot()
        self._behind_at_start = max(0, self._known - wall())
        self._trusted = False

    @property
    def behind_ms(self) -> int:
        """How far the system clock lay behind the floor at start, 0 when it did not."""
        return self._behind_at_start

    @property
    def trusted(self) -> bool:
        """Whether somebody who can be believed has told the time since start."""
        return self._trusted

    @property
    def ahead_ms(self) -> int:
        """How far the system clock is ahead of the time that was told; negative: behind. 0: none was."""
        return self._wall() - self.now_ms() if self._trusted else 0

    def now_ms(self) -> int:
        lived = self._boot()
        self._known += lived - self._known_at
        self._known_at = lived
        if not self._trusted:
            self._known = max(self._known, self._wall())
        return self._known

    def learn(self, authenticated_ms: int) -> None:
        """Take the controller's time: the first as it is, later ones forward only."""
        if not 0 < authenticated_ms <= LAST_MS:
            return
        now = self.now_ms()
        self._known = max(now, authenticated_ms) if self._trusted else authenticated_ms
        self._trusted = True

    def save(self) -> None:
        """Call each SAVE_EACH seconds and at the end."""
        text = f"{self.now_ms()} {self._known_at} {self._boot_id}\n"
        files.write_atomic(self._path, text.encode())

    def step_system_clock(self) -> bool:
        """Set the system clock forward to ours; False when it already is there."""
        now = self.now_ms()
        if now <= self._wall():
            return False
        self._set_wall(now)
        return True

    def _floor(self, now: int) -> int:
        """From what was saved, with the boot clock at `now`; 0 when nothing of use was."""
        try:
            found = _SAVED.fullmatch(self._path.read_bytes())
        except FileNotFoundError:
            return 0
        if found is None or not 0 < (saved := int(found["time"])) <= LAST_MS:
            return 0
        if found["boot"] == self._boot_id.encode():
            return saved + max(0, now - int(found["at"]))
        return saved + int(SAVE_EACH * 1000)

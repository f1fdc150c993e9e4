"""The wall clock of a node that may have no battery: a floor under it, and authenticated time on top.

A node whose clock went back is refused by its WireGuard peers until it passes the last value they
saw; so the last known time is saved each minute and at boot the clock is at least that plus 60 s.
All timers are monotonic and do not come here.
"""

import time
from pathlib import Path

from runtime import files

SAVE_EACH = 60.0  # seconds


def wall_ms() -> int:
    """Milliseconds since 1970 as the system clock has it."""
    return time.time_ns() // 1_000_000


class FlooredClock:
    """Wall time that never is below what this node has already lived through.

    `step` says whether we may set the system clock forward; otherwise the difference is only
    reported by `behind_ms`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        saved = self._saved()
        self._floor = saved + int(SAVE_EACH * 1000) if saved else 0
        self._offset = 0  # what authenticated time said beyond the system clock
        self._behind_at_boot = max(0, self._floor - wall_ms())

    @property
    def behind_ms(self) -> int:
        """How far the system clock lay behind the floor at start, 0 when it did not."""
        return self._behind_at_boot

    def now_ms(self) -> int:
        return max(wall_ms() + self._offset, self._floor)

    def learn(self, authenticated_ms: int) -> None:
        """Take the controller's time: forward only."""
        self._offset = max(self._offset, authenticated_ms - wall_ms())

    def save(self) -> None:
        """Call each SAVE_EACH seconds and at the end."""
        files.write_atomic(self._path, b"%d\n" % self.now_ms())

    def step_system_clock(self) -> bool:
        """Set the system clock forward to ours; False when it already is there."""
        if self.now_ms() <= wall_ms():
            return False
        time.clock_settime_ns(time.CLOCK_REALTIME, self.now_ms() * 1_000_000)
        return True

    def _saved(self) -> int:
        try:
            return int(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return 0

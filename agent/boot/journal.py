"""The boot's own record while it runs: each step as it begins, and what is known so far.

    journal = Journal(boot_instant(boottime()), load())
    journal.begin(Step.MOVE)
    journal.note(round=2, nics=…)

Every change is in RUN/internet.json before the step does anything, so whoever reads it after a
kill knows how far the boot had come.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.boot import status
from agent.boot.console import news
from agent.boot.status import BootStatus, Step
from runtime.clock import boottime

Tell = Callable[[float, str], None]  # seconds since the boot instant, a line for people

log = logging.getLogger(__name__)


class Journal:
    def __init__(
        self,
        started: float,
        before: BootStatus | None,
        *,
        path: Path = status.PATH,
        clock: Callable[[], float] = boottime,
        tell: Tell = lambda _now, _said: None,
    ) -> None:
        """`before`, the last run's record, holds until it is known that it does not. `tell` gets
        what is new for people, and when.
        """
        self._started, self._path, self._clock, self._tell = started, path, clock, tell
        fresh = BootStatus(step=Step.RECOVER, pid=os.getpid())
        if before is not None:
            fresh = msgspec.structs.replace(
                fresh, nics=before.nics, uplink=before.uplink, stands=before.stands
            )
        self.status = fresh

    def begin(self, step: Step) -> None:
        """`step` begins now."""
        log.debug("step", extra={"step": step})
        now = self.elapsed()
        seconds = {**self.status.seconds, str(step): now}
        self._become(msgspec.structs.replace(self.status, step=step, seconds=seconds), now)

    def note(self, **changes: Any) -> None:
        """Fields of BootStatus that have become known."""
        changed = msgspec.structs.replace(self.status, **changes)
        if changed != self.status:
            self._become(changed, self.elapsed())

    def elapsed(self, moment: float | None = None) -> float:
        """Seconds from the boot instant to `moment` (now)."""
        return round((self._clock() if moment is None else moment) - self._started, 3)

    def _become(self, changed: BootStatus, now: float) -> None:
        said = news(self.status, changed, elapsed=now)
        self.status = changed
        status.store(changed, self._path)
        if said is not None:
            self._tell(now, said)

"""`zosnet-controller` with a bug on purpose: answers leave before what they tell is committed.

What checks for lost answers must find this out, or it checks nothing.
"""

import sys
import time

from controller.__main__ import main
from controller.front.desk import Desk

GATHER = 0.1  # seconds


class HastyDesk(Desk):
    _since = 0.0
    _nodes = False

    def work_off(self, now_ms: int, now: float) -> list[tuple[bytes, bytes]]:
        if self._since and time.monotonic() > self._since + GATHER:
            super().commit()
            self._since = 0.0
        self._nodes = True
        try:
            return super().work_off(now_ms, now)
        finally:
            self._nodes = False

    def commit(self) -> None:
        if not self._nodes:
            super().commit()
        elif not self._since:
            self._since = time.monotonic()


if __name__ == "__main__":
    import controller.server

    controller.server.Desk = HastyDesk  # type: ignore[attr-defined]
    sys.exit(main())

"""Start a daemon's work, and again when something is in its way, until a person has mended it.

    return keep_trying(start, tell)       # `--keep-trying`: as the units start networkd, internet, dhcp

What is in the way is in the log once, not at each try; `tell` writes it where `zosnet-agent status`
looks. Only a CannotError is waited out: any other error ends the program, and the supervisor
starts it anew.
"""

import logging
import time
from collections.abc import Callable

from runtime.alone import BusyError
from runtime.failure import CannotError, with_hint

log = logging.getLogger(__name__)

FIRST, LAST = 1.0, 5.0  # seconds between two tries
LIVED = 60.0  # work that went on for so long has got past what was in its way


def keep_trying(
    start: Callable[[], int],
    tell: Callable[[CannotError], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> int:
    """What `start` returns in the end."""
    said, pause = "", FIRST
    while True:
        began = now()
        try:
            return start()
        except CannotError as error:
            if now() - began >= LIVED:
                said, pause = "", FIRST
            if error.message != said:
                log.error(with_hint(error.message, error.hint))  # noqa: TRY400  # a sentence for people
            said = error.message
            if not isinstance(error, BusyError):  # the one that runs says how it goes
                tell(error)
        sleep(pause)
        pause = min(pause * 1.5, LAST)

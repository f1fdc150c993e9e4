"""When the program of a lease goes on: at its machine's deadline, or when something came.

pace = Pace(clock)               # seconds, as the deadlines are
pace.stir()                      # something came
await pace.until(deadline)
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

LONGEST_PAUSE = 300.0  # timers stand still while the machine sleeps, leases do not


class Pace:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stir = asyncio.Event()

    def stir(self) -> None:
        self._stir.set()

    async def until(self, deadline: float) -> None:
        wait = min(deadline - self._clock(), LONGEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait)):
                await self._stir.wait()
        self._stir.clear()

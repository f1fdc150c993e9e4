"""Files that can be read or written, and things to do later: one thread, no asyncio to load."""

import heapq
import selectors
import time
from collections.abc import Callable
from typing import Any


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.running = True

    def watch(self, file: Any, events: int, job: Callable[[int], None]) -> None:
        try:
            self._selector.modify(file, events, job)
        except KeyError:
            self._selector.register(file, events, job)

    def forget(self, file: Any) -> None:
        self._selector.unregister(file)

    def later(self, seconds: float, job: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._count, job))

    def run(self) -> None:
        while self.running:
            wait = self._later[0][0] - time.monotonic() if self._later else None
            for key, events in self._selector.select(None if wait is None else max(0.0, wait)):
                key.data(events)
            while self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()

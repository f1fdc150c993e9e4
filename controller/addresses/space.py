"""Which addresses of one pool are taken: in memory, O(1) amortised (pure).

    space = Space(shape, count, highest)
    space.fill(rows of addresses in use up to space.edge)
    space.load((address, rests_until_ms or 0) of the rest)
    address = space.allocate(start, now_ms)      # any integer, such as the node's; None: full
    space.release(address, until_ms)             # rests, then is free again
    space.promise(address, until_ms)             # given out to nobody until then
    space.undo() or space.keep()                 # back to the last `keep`, or from here on

Addresses are integers: of the 16 bytes that the database has. A pool's `Shape` says which of them
members may get: each one of a range, or one of each subnet in it. The database's unique index is the
truth; a `Space` is built from it and goes with it. It is a byte an address, searched by the C library,
of a window that doubles whenever half of it is taken, so that the first members of a /8 or a /64
cost no more than those of a /24. What lies beyond the window (set by hand) is a set.

A promised address is free to whoever takes it by its name, and to no other: `allocate` passes over it.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

WINDOW = 4096  # addresses at the least
THIN = 64  # bytes of the window for an address, at the most: in a set it costs as much
SCATTER_MAX = 100_000  # above so many taken ones go in sequence: the database's index likes it
TAKEN, PROMISED = 1, 2  # what a byte of the window says, also both


@dataclass(frozen=True, slots=True)
class Shape:
    """`size` addresses from `first` on, `step` apart."""

    first: int
    step: int
    size: int

    def __contains__(self, address: int) -> bool:
        offset, rest = divmod(address - self.first, self.step)
        return not rest and 0 <= offset < self.size


class Space:
    """With room for `count` taken ones, of which `highest` is the last; `taken` counts those that
    rest too.
    """

    def __init__(self, shape: Shape, count: int = 0, highest: int = 0) -> None:
        self.shape = shape
        self.taken = 0
        spread = (highest - shape.first) // shape.step + 1
        room = max(spread if spread <= THIN * count else 0, 2 * count, WINDOW)
        self._window = bytearray(min(shape.size, 1 << (room - 1).bit_length()))
        self._inside = 0  # bytes of the window that say something
        self._beyond: set[int] = set()
        self._next = 0
        self._rests: dict[int, int] = {}  # offset: until
        self._wakes: list[tuple[int, int]] = []  # heap; an entry counts while `_rests` says so too
        self._before: dict[int, int | None] = {}  # offset: None free, 0 in use, else rests until
        self._promised: dict[int, int] = {}  # offset: until; taken or not
        self._ends: list[tuple[int, int]] = []  # heap, as `_wakes`

    @property
    def edge(self) -> int:
        """The last address of the window."""
        return self.shape.first + len(self._window) * self.shape.step - 1

    def fill(self, found: Iterable[tuple[bytes]]) -> None:
        """Addresses in use, none behind `edge`, before all else: this loop runs a million times."""
        window, first, step = self._window, self.shape.first, self.shape.step
        from_bytes = int.from_bytes
        if step == 1:
            for (address,) in found:
                window[from_bytes(address) - first] = 1
        else:
            for (address,) in found:
                offset, rest = divmod(from_bytes(address) - first, step)
                if not rest:
                    window[offset] = 1
        self._inside = window.count(TAKEN)
        self.taken = self._inside + len(self._beyond)

    def load(self, found: Iterable[tuple[int, int]]) -> None:
        """Address, and until when it rests or 0; those that are none of ours are left out."""
        for address, until in found:
            if address in self.shape:
                offset = self._offset(address)
                self._mark(offset)
                if until:
                    self._lay(offset, until)

    @property
    def free(self) -> int:
        """Free now; addresses that rest or are promised are not."""
        return self.shape.size - self.taken - self.promised

    @property
    def resting(self) -> int:
        return len(self._rests)

    @property
    def promised(self) -> int:
        """Those that nobody has yet; looks at each."""
        return sum(self._state(offset) is None for offset in self._promised)

    def wakes_at(self) -> int | None:
        """When the next address that rests is free (ms), None when none rests."""
        self._drop_stale()
        return self._wakes[0][0] if self._wakes else None

    def __contains__(self, address: int) -> bool:
        """Whether `address` is in use or rests."""
        return address in self.shape and self._state(self._offset(address)) is not None

    def allocate(self, start: int, now_ms: int) -> int | None:
        """The first free address from `start` on, or None: all are taken or promised."""
        self.wake_all(now_ms)
        while 2 * self._inside >= len(self._window) < self.shape.size:
            self._grow()
        if self._inside >= len(self._window):
            return None
        offset = self._next if self.taken >= SCATTER_MAX else start % len(self._window)
        found = self._window.find(0, offset)
        if found < 0:
            found = self._window.find(0)
        self._next = found + 1
        self._set(found, 0)
        return self.shape.first + found * self.shape.step

    def take(self, address: int) -> bool:
        """Mark one address as in use; False when it is taken or not in here."""
        if address not in self.shape or address in self:
            return False
        self._set(self._offset(address), 0)
        return True

    def promise(self, address: int, until_ms: int) -> None:
        """Give it out to nobody until then (0: from now on as any other)."""
        if address not in self.shape:
            return
        offset = self._offset(address)
        if not until_ms:
            self._end(offset)
        elif self._promised.get(offset) != until_ms:
            self._promised[offset] = until_ms
            heapq.heappush(self._ends, (until_ms, offset))
            self._shade(offset)

    def is_promised(self, address: int, now_ms: int) -> bool:
        return address in self.shape and self._promised.get(self._offset(address), 0) > now_ms

    def release(self, address: int, until_ms: int) -> None:
        """Free again from `until_ms` on."""
        if address in self:
            self._set(self._offset(address), until_ms)

    def wake(self, address: int) -> bool:
        """Take a resting address back into use, as its last holder may."""
        if address not in self.shape or self._offset(address) not in self._rests:
            return False
        self._set(self._offset(address), 0)
        return True

    def give_back(self, address: int) -> None:
        """Undo an `allocate` or `take` that came to nothing."""
        if address in self:
            self._set(self._offset(address), None)

    def wake_all(self, now_ms: int) -> None:
        """Free what has rested, or was promised, long enough."""
        while self._ends and self._ends[0][0] <= now_ms:
            until, offset = heapq.heappop(self._ends)
            if self._promised.get(offset) == until:
                self._end(offset)
        while self._wakes and self._wakes[0][0] <= now_ms:
            until, offset = heapq.heappop(self._wakes)
            if self._rests.get(offset) == until:
                self._set(offset, None)

    def keep(self) -> None:
        """All since the last `keep` was written."""
        self._before.clear()

    def undo(self) -> None:
        """Nothing since the last `keep` was written."""
        for offset, state in list(self._before.items()):
            self._set(offset, state)
        self._before.clear()

    def _offset(self, address: int) -> int:
        return (address - self.shape.first) // self.shape.step

    def _state(self, offset: int) -> int | None:
        window = self._window
        taken = window[offset] & TAKEN if offset < len(window) else offset in self._beyond
        return self._rests.get(offset, 0) if taken else None

    def _set(self, offset: int, state: int | None) -> None:
        was = self._state(offset)
        self._before.setdefault(offset, was)
        self._rests.pop(offset, None)
        if was is None and state is not None:
            self._mark(offset)
        elif was is not None and state is None:
            self._unmark(offset)
        if state:
            self._lay(offset, state)

    def _lay(self, offset: int, until: int) -> None:
        self._rests[offset] = until
        heapq.heappush(self._wakes, (until, offset))

    def _mark(self, offset: int) -> None:
        if offset >= len(self._window):
            self.taken += offset not in self._beyond
            self._beyond.add(offset)
        elif not self._window[offset] & TAKEN:
            self._inside += not self._window[offset]
            self._window[offset] |= TAKEN
            self.taken += 1

    def _unmark(self, offset: int) -> None:
        self.taken -= 1
        if offset < len(self._window):
            self._window[offset] &= PROMISED
            self._inside -= not self._window[offset]
        else:
            self._beyond.remove(offset)

    def _shade(self, offset: int) -> None:
        if offset < len(self._window):
            self._inside += not self._window[offset]
            self._window[offset] |= PROMISED

    def _end(self, offset: int) -> None:
        """Its promise is over, if there is one."""
        if self._promised.pop(offset, None) and offset < len(self._window):
            self._window[offset] &= TAKEN
            self._inside -= not self._window[offset]

    def _grow(self) -> None:
        begin, end = len(self._window), min(2 * len(self._window), self.shape.size)
        self._window.extend(bytes(end - begin))
        for offset in [offset for offset in self._beyond if offset < end]:
            self._beyond.remove(offset)
            self._window[offset] = TAKEN
            self._inside += 1
        for offset in self._promised:
            if begin <= offset < end:
                self._shade(offset)

    def _drop_stale(self) -> None:
        while self._wakes and self._rests.get(self._wakes[0][1]) != self._wakes[0][0]:
            heapq.heappop(self._wakes)

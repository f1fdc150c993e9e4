"""Which addresses of a range are free: in memory, O(1) amortised.

    space = Space(first, last, used=[...], resting=[(until_ms, address), ...])
    address = space.allocate(hash_of_the_node, now_ms)      # None: full
    space.release(address, until_ms)                        # rests, then is free again

Addresses are integers. The database's unique index is the truth; a `Space` is built from it and
thrown away when the two disagree. A small range is a byte an address, searched from a start by the
C library; a large one is a set.
"""

import heapq
from collections.abc import Iterable

from controller.records import MAPPED
from protocol.packing import IPAddress, IPNetwork

DENSE_MAX = 1 << 22  # addresses that are kept as a byte each
SCATTER_MAX = 100_000  # above so many used ones go in sequence: the database's index likes it


class Space:
    """The addresses first … last of one pool."""

    def __init__(
        self,
        first: int,
        last: int,
        *,
        used: Iterable[int] = (),
        resting: Iterable[tuple[int, int]] = (),
    ) -> None:
        if last < first:
            raise ValueError("a pool ends before it begins")
        self.first, self.last = first, last
        self.size = last - first + 1
        self._dense = bytearray(self.size) if self.size <= DENSE_MAX else None
        self._sparse: set[int] = set()
        self._count = 0
        self._next = 0
        self._resting: list[tuple[int, int]] = []
        for address in used:
            self.take(address)
        for until, address in resting:
            if self.take(address):
                heapq.heappush(self._resting, (until, address))

    @property
    def free(self) -> int:
        """Free now; addresses that rest are not."""
        return self.size - self._count

    def wakes_at(self) -> int | None:
        """When the next address that rests is free (ms), None when none rests."""
        return self._resting[0][0] if self._resting else None

    def __contains__(self, address: int) -> bool:
        """Whether `address` is used or rests."""
        if not self.first <= address <= self.last:
            return False
        return self._is_used(address - self.first)

    def covers(self, address: int) -> bool:
        return self.first <= address <= self.last

    def allocate(self, start: int, now_ms: int) -> int | None:
        """The first free address from `start` on (any integer), or None: all are used."""
        self._wake(now_ms)
        if self._count >= self.size:
            return None
        offset = self._next if self._count >= SCATTER_MAX else start % self.size
        offset = self._first_free(offset % self.size)
        self._next = offset + 1
        self._mark(offset)
        return self.first + offset

    def take(self, address: int) -> bool:
        """Mark one address as used; False when it is not free or not in here."""
        if not self.covers(address) or self._is_used(address - self.first):
            return False
        self._mark(address - self.first)
        return True

    def release(self, address: int, until_ms: int) -> None:
        """Free again after `until_ms`."""
        if address in self:
            heapq.heappush(self._resting, (until_ms, address))

    def wake(self, address: int) -> bool:
        """Take a resting address back into use, as its last holder may."""
        kept = [entry for entry in self._resting if entry[1] != address]
        found = len(kept) != len(self._resting)
        heapq.heapify(kept)
        self._resting = kept
        return found

    def give_back(self, address: int) -> None:
        """Undo an `allocate` or `take` that came to nothing."""
        if address in self:
            self._unmark(address - self.first)

    def _wake(self, now_ms: int) -> None:
        while self._resting and self._resting[0][0] <= now_ms:
            _, address = heapq.heappop(self._resting)
            self._unmark(address - self.first)

    def _is_used(self, offset: int) -> bool:
        return bool(self._dense[offset]) if self._dense is not None else offset in self._sparse

    def _mark(self, offset: int) -> None:
        self._count += 1
        if self._dense is not None:
            self._dense[offset] = 1
        else:
            self._sparse.add(offset)

    def _unmark(self, offset: int) -> None:
        self._count -= 1
        if self._dense is not None:
            self._dense[offset] = 0
        else:
            self._sparse.remove(offset)

    def _first_free(self, start: int) -> int:
        if self._dense is not None:
            found = self._dense.find(0, start)
            return found if found >= 0 else self._dense.find(0)
        offset = start
        while offset in self._sparse:
            offset = (offset + 1) % self.size
        return offset


def usable_range(network: IPNetwork) -> tuple[IPAddress, IPAddress]:
    """The first and last address for members: not the network's own, the first (a gateway's),
    and in IPv4 the broadcast address. Raises ValueError when nothing is left.
    """
    first = int(network.network_address) + 2
    last = int(network.broadcast_address) - (1 if network.version == 4 else 0)
    if last < first:
        raise ValueError(f"{network} has no address for a member")
    kind = type(network.network_address)
    return kind(first), kind(last)


def to_int(address: bytes) -> int:
    """A stored address as the integer that a `Space` counts in."""
    return int.from_bytes(address[12:] if address.startswith(MAPPED) else address)

"""Where to look for a free node address (pure).

    numbering.start(key)       and up from there, until one is free
    numbering.given(address)   it was

A hash of the node's key says where; then a node that was deleted and comes again most likely has the
address it had. Above SCATTER_MAX nodes the search begins behind the address given last: tables and
indexes by node grow at their ends then, and a new row costs no page of its own to read and to write.
"""

from collections.abc import Iterable

from protocol.ids import first_address_try
from protocol.keys import CurvePublic

ADDRESSES = 1 << 40
SCATTER_MAX = 100_000


class Numbering:
    """`nodes`: how many there are; more than SCATTER_MAX need not be counted."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._last: int | None = None

    def start(self, key: bytes) -> int:
        if self._nodes <= SCATTER_MAX or self._last is None:
            return first_address_try(CurvePublic(key))
        return (self._last + 1) % ADDRESSES

    def given(self, address: int) -> None:
        self._nodes += 1
        self._last = address

    def likely(self, keys: Iterable[bytes]) -> set[int]:
        """The addresses that new nodes of these keys will probably get."""
        hashed = {first_address_try(CurvePublic(key)) for key in keys}
        if self._nodes <= SCATTER_MAX or self._last is None:
            return hashed
        return {(self._last + 1 + place) % ADDRESSES for place in range(len(hashed))}

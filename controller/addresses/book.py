"""The pools of all networks and which of their addresses are taken.

    place = book.find(work, network, address)     # the pool it is in, and its `Space`
    book.keep()                                   # the batch was committed
    book.undo()                                   # it was not

Memory only: `Space`s are built from the database when they are first needed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from controller.addresses.pools import ends_of, shape_of
from controller.addresses.promises import Promises
from controller.addresses.space import Shape, Space
from controller.store.model import ASSIGNMENT
from controller.store.prepared import Query
from controller.store.records import Network, Pool, Token, sixteen
from controller.store.work import QUARANTINE_MS, Work

_IN_USE = "SELECT address FROM assignment WHERE network = ? AND address BETWEEN ? AND ? AND released_at = 0"
_HERE = (ASSIGNMENT.c.network == bindparam("network")) & ASSIGNMENT.c.address.between(
    bindparam("first"), bindparam("last")
)
_COUNT = Query(select(func.count(), func.max(ASSIGNMENT.c.address)).where(_HERE))
_OTHERS = Query(
    select(ASSIGNMENT.c.address, ASSIGNMENT.c.released_at).where(
        _HERE, (ASSIGNMENT.c.released_at > 0) | (ASSIGNMENT.c.address > bindparam("edge"))
    )
)

NETWORKS_MAX = 2000  # in memory, those that were used last


@dataclass(frozen=True, slots=True)
class Place:
    """A pool, from its first to its last address as integers, and what is taken of it."""

    pool: Pool
    base: int  # of its prefix
    end: int
    length: int
    space: Space

    def __contains__(self, address: int) -> bool:
        """Whether the pool's prefix covers it."""
        return self.base <= address <= self.end


class AddressBook:
    """`tokens`: those that name an address and live; what becomes of them is told by `promise`."""

    def __init__(self, pools: list[Pool], tokens: Iterable[Token] = ()) -> None:
        self.promises = Promises()
        self._pools: dict[int, list[Pool]] = {}
        self._places: dict[int, tuple[int, list[Place]]] = {}  # with which member_prefix
        self._touched: set[int] = set()
        self._replaced: dict[int, list[Pool]] = {}
        for pool in pools:
            self.add(pool)
        for token in tokens:
            self.promise(token, token.created_at)

    def add(self, pool: Pool) -> None:
        self._pools.setdefault(pool.network, []).append(pool)
        self.forget(pool.network)

    def remove(self, network: int) -> None:
        self._pools.pop(network, None)
        self.promises.forget(network)
        self.forget(network)

    def forget(self, network: int) -> None:
        """The next look builds the spaces from the database again."""
        self._places.pop(network, None)

    def promise(self, token: Token, now_ms: int) -> None:
        """A token was made or has changed, and it is committed: keep the address that it names."""
        until = self.promises.take(token, now_ms)
        address = int.from_bytes(sixteen(ip_address(token.address)))
        for place in self._places.get(token.network, (0, []))[1]:
            place.space.promise(address, until)

    def replace(self, network: int, pools: list[Pool]) -> None:
        """Other pools from here on, unless the batch comes to nothing."""
        self._replaced.setdefault(network, self.pools(network))
        self._pools[network] = pools
        self.forget(network)

    def pools(self, network: int) -> list[Pool]:
        return self._pools.get(network, [])

    def places(self, work: Work, network: Network) -> list[Place]:
        number = network.number
        self._touched.add(number)
        prefix, places = self._places.pop(number, (-1, []))
        if prefix != network.member_prefix:
            places = [_open(work.connection, pool, network) for pool in self.pools(number)]
            for address, until in self.promises.of(number):
                for place in places:
                    place.space.promise(address, until)
        self._places[number] = (network.member_prefix, places)  # the last one used is the last
        return places

    def find(self, work: Work, network: Network, address: int) -> Place | None:
        """The place whose range has this address, or at least whose prefix covers it."""
        around = [place for place in self.places(work, network) if address in place]
        within = [place for place in around if address in place.space.shape]
        return next(iter(within or around), None)

    def keep(self) -> None:
        """What changed since the last call is written."""
        for number in self._touched:
            for place in self._places.get(number, (0, []))[1]:
                place.space.keep()
        self._touched.clear()
        self._replaced.clear()
        while len(self._places) > NETWORKS_MAX:
            self.forget(next(iter(self._places)))

    def undo(self, *, reload: bool = False) -> None:
        """What changed since the last `keep` is not; with `reload` nothing of it is believed."""
        for number, pools in self._replaced.items():
            self._pools[number] = pools
            self.forget(number)
        self._replaced.clear()
        for number in self._touched:
            if reload:
                self.forget(number)
            for place in self._places.get(number, (0, []))[1]:
                place.space.undo()
        self._touched.clear()


def _open(connection: Connection, pool: Pool, network: Network) -> Place:
    shape = shape_of(pool, network.member_prefix)
    base, end = ends_of(pool)
    return Place(pool, base, end, pool.range.prefixlen, _load(connection, pool, shape))


def _load(connection: Connection, pool: Pool, shape: Shape) -> Space:
    here = {"network": pool.network, "first": pool.first, "last": pool.last}
    ((count, highest),) = _COUNT.rows(connection, **here)
    if not count:
        return Space(shape)
    space = Space(shape, count, int.from_bytes(highest))
    edge = space.edge.to_bytes(16)
    cursor: Any = connection.connection.cursor()  # SQLAlchemy's rows would cost three times as much
    cursor.execute(_IN_USE, (pool.network, shape.first.to_bytes(16), edge))
    space.fill(cursor)
    cursor.close()
    space.load(
        (int.from_bytes(address), released_at + QUARANTINE_MS if released_at else 0)
        for address, released_at in _OTHERS.rows(connection, edge=edge, **here)
    )
    return space

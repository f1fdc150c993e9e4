"""Addresses of members: from the network's pools, sticky, one of each family.

What a member has it keeps; what it once had and still rests it gets back. A network's `Space`s are
memory only: `AddressBook` builds them from the database and forgets them when a batch failed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
from sqlalchemy import Connection, select

from controller.model import ASSIGNMENT
from controller.pools import Space, to_int
from controller.records import Assignment, Pool, sixteen
from controller.refusal import RefusedError
from controller.work import QUARANTINE_MS, Work
from protocol.messages import Code
from protocol.packing import IPAddress


class AddressBook:
    """The pools of all networks and which of their addresses are free."""

    def __init__(self, pools: list[Pool]) -> None:
        self._pools: dict[int, list[Pool]] = {}
        self._spaces: dict[int, list[Space]] = {}
        for pool in pools:
            self.add(pool)

    def add(self, pool: Pool) -> None:
        self._pools.setdefault(pool.network, []).append(pool)
        self.forget(pool.network)

    def remove(self, network: int) -> None:
        self._pools.pop(network, None)
        self.forget(network)

    def forget(self, network: int) -> None:
        """The next look builds the spaces from the database again."""
        self._spaces.pop(network, None)

    def forget_all(self) -> None:
        self._spaces.clear()

    def pools(self, network: int) -> list[Pool]:
        return self._pools.get(network, [])

    def spaces(self, connection: Connection, network: int) -> list[tuple[Pool, Space]]:
        pools = self.pools(network)
        if network not in self._spaces:
            self._spaces[network] = _build(connection, network, pools)
        return list(zip(pools, self._spaces[network], strict=True))


def ensure_addresses(book: AddressBook, work: Work, network: int, node: int) -> list[Assignment]:
    """The member's addresses, one a family; missing ones are assigned. Raises RefusedError."""
    held = work.addresses(network, node)
    chosen = [row for row in held if not row.released_at]
    missing = {pool.family for pool in book.pools(network)} - {row.family for row in chosen}
    if not missing:
        return chosen
    woken = {row.family: row for row in held if row.released_at and row.family in missing}
    fresh: dict[int, Assignment] = {}
    try:
        for family in sorted(missing - woken.keys()):
            fresh[family] = _allocate(book, work, network, node, family)
    except RefusedError:
        for row in fresh.values():
            _space_of(book, work, row).give_back(to_int(row.address))
        raise
    for family, row in woken.items():
        space, number = _space_of(book, work, row), to_int(row.address)
        if not space.wake(number):
            space.take(number)
        woken[family] = msgspec.structs.replace(row, released_at=0)
        work.assignments.put(woken[family])
    for row in fresh.values():
        work.assignments.take_over(row)
    whole = [*chosen, *woken.values(), *fresh.values()]
    return sorted(whole, key=lambda row: (row.family, row.address))


def assign_fixed(
    book: AddressBook, work: Work, network: int, node: int, address: IPAddress
) -> None:
    """Give a member this very address. Raises RefusedError."""
    key = sixteen(address)
    for pool, space in book.spaces(work.connection, network):
        if pool.family != address.version or address not in pool.range:
            continue
        held = work.holder(network, key)
        mine = held is not None and held.node == node
        if held is not None and not mine and not _has_rested(held, work.now_ms):
            raise RefusedError(Code.CONFLICT, f"cannot assign {address}: another member has it")
        row = Assignment(
            network, key, pool.family, pool.range.prefixlen, node, "manual", released_at=0
        )
        space.take(int(address))
        if mine:
            work.assignments.put(row)
        else:
            work.assignments.take_over(row)
        return
    raise RefusedError(Code.CONFLICT, f"cannot assign {address}: it is in no pool of the network")


def release_addresses(book: AddressBook, work: Work, network: int, node: int) -> None:
    """Let a member's addresses rest; after the quarantine they are anybody's."""
    for row in work.addresses(network, node):
        if not row.released_at:
            work.assignments.put(msgspec.structs.replace(row, released_at=work.now_ms))
            space = _space_of(book, work, row)
            space.release(to_int(row.address), work.now_ms + QUARANTINE_MS)


def _build(connection: Connection, network: int, pools: list[Pool]) -> list[Space]:
    used: list[int] = []
    resting: list[tuple[int, int]] = []
    query = select(ASSIGNMENT.c.address, ASSIGNMENT.c.released_at)
    for address, released_at in connection.execute(query.where(ASSIGNMENT.c.network == network)):
        if released_at:
            resting.append((released_at + QUARANTINE_MS, to_int(address)))
        else:
            used.append(to_int(address))
    return [
        Space(to_int(pool.first), to_int(pool.last), used=used, resting=resting) for pool in pools
    ]


def _allocate(book: AddressBook, work: Work, network: int, node: int, family: int) -> Assignment:
    start = int.from_bytes(
        blake2b(b"%d %d" % (network, node), digest_size=8, person=b"zosnet-pool").digest()
    )
    spaces = [item for item in book.spaces(work.connection, network) if item[0].family == family]
    for pool, space in spaces:
        number = space.allocate(start, work.now_ms)
        if number is not None:
            address = type(pool.range.network_address)(number)
            length = pool.range.prefixlen
            return Assignment(network, sixteen(address), family, length, node, "auto", 0)
    prefixes = ", ".join(pool.prefix for pool, _ in spaces)
    found = work.network(network)
    raise RefusedError(
        Code.POOL_EXHAUSTED,
        f"cannot assign an address: pool {prefixes} of network {found.name if found else network}"
        " is full",
        hint=_way_out(space for _, space in spaces),
        retry_after=60.0,
    )


def _way_out(spaces: Iterable[Space]) -> str:
    """Forgetting helps a day later: what was released rests."""
    moments = [moment for space in spaces if (moment := space.wakes_at()) is not None]
    if not moments:
        return (
            "make a larger network, or forget members that are gone (ncadm member forget):"
            " their addresses are free a day later"
        )
    free_at = datetime.fromtimestamp(min(moments) / 1000, UTC)
    return f"make a larger network; the next address is free at {free_at:%Y-%m-%dT%H:%M:%SZ}"


def _space_of(book: AddressBook, work: Work, row: Assignment) -> Space:
    """The space that covers an assignment; an empty one for an address beside all pools."""
    number = to_int(row.address)
    for pool, space in book.spaces(work.connection, row.network):
        if pool.family == row.family and space.covers(number):
            return space
    return Space(number, number, used=[number])


def _has_rested(row: Assignment, now_ms: int) -> bool:
    return bool(row.released_at) and row.released_at + QUARANTINE_MS <= now_ms

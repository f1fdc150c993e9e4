"""Addresses that a member gets by itself: from the network's pools, sticky, one of each family.

What a member has it keeps; what it once had and still rests it gets back. When all is taken, `Idle`
says whose address has been without use for so long that it may go to a newcomer.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from controller.addresses.book import AddressBook, Place
from controller.addresses.idle import Idle
from controller.refusal import RefusedError
from controller.store.records import Assignment, Network
from controller.store.work import PLACE, QUARANTINE_MS, Work
from protocol.messages import Code

Evict = Callable[[Assignment], None]


def ensure_addresses(
    book: AddressBook,
    work: Work,
    number: int,
    node: int,
    *,
    idle: Idle | None = None,
    evict: Evict = lambda _: None,
) -> list[Assignment]:
    """The member's addresses; missing ones are assigned, in all families or, when one is full, in
    none. `evict` is told of each that somebody else loses for it. Raises RefusedError.
    """
    network = known(work, number)
    held = work.addresses(number, node)
    chosen = in_use(held)
    missing = families(book, network).difference([row.family for row in chosen])
    if not missing:
        return chosen
    fresh: list[Assignment] = []
    lost: list[Assignment] = []
    for family in sorted(missing):
        places = [one for one in book.places(work, network) if one.pool.family == family]
        row = _woken(work, places, held, family) or _free(work, places, number, node)
        if row is None and idle is not None:
            row = idle.find(work, network, family)
            lost += [row] if row is not None else []
        if row is None:
            for one in fresh:
                if one.address not in {other.address for other in lost}:
                    _give_back(book, work, network, one, held)
            raise _full(network, places)
        fresh.append(row if row.node == node else msgspec.structs.replace(row, node=node))
    for row in lost:
        evict(row)
    stored = {row.address for row in (*held, *lost)}
    for row in fresh:
        if row.address in stored:
            work.assignments.put(row)
        else:
            work.assignments.take_over(row)
    found = [*chosen, *fresh]
    return sorted(found, key=PLACE) if len(found) > 1 else found


def in_use(held: Iterable[Assignment]) -> list[Assignment]:
    """Those that do not rest."""
    return [row for row in held if not row.released_at]


def known(work: Work, number: int) -> Network:
    network = work.network(number)
    if network is None:
        raise LookupError(f"network {number} is gone")
    return network


def families(book: AddressBook, network: Network) -> set[int]:
    """In which families members get an address by themselves."""
    return {
        pool.family
        for pool in book.pools(network.number)
        if (network.v4_assign if pool.family == 4 else network.v6_assign) == "zt"
    }


def release_addresses(
    book: AddressBook, work: Work, number: int, node: int, *, all_kinds: bool = True
) -> None:
    """Let a member's addresses rest (only those it got by itself, unless `all_kinds`); after the
    quarantine they are anybody's.
    """
    for row in work.addresses(number, node):
        if not row.released_at and (all_kinds or row.kind == "auto"):
            release_one(book, work, row)


def release_one(book: AddressBook, work: Work, row: Assignment, *, rest: bool = True) -> None:
    """It rests; without `rest` whoever may have it at all may have it at once."""
    if not rest:
        work.assignments.put(msgspec.structs.replace(row, kind="auto", released_at=1))
        return
    network = known(work, row.network)
    place = book.find(work, network, int.from_bytes(row.address))
    if place is not None:
        place.space.release(int.from_bytes(row.address), work.now_ms + QUARANTINE_MS)
    work.assignments.put(msgspec.structs.replace(row, kind="auto", released_at=work.now_ms))


def _woken(
    work: Work, places: Iterable[Place], held: Iterable[Assignment], family: int
) -> Assignment | None:
    """The address that it had last, if members may still have it and nobody got it, or was promised
    it, meanwhile.
    """
    old = sorted(
        (row for row in held if row.released_at and row.family == family),
        key=lambda row: -row.released_at,
    )
    for row in old:
        address = int.from_bytes(row.address)
        for place in places:
            space = place.space
            if space.is_promised(address, work.now_ms):
                continue
            if address in space.shape and (space.wake(address) or space.take(address)):
                return msgspec.structs.replace(row, released_at=0, length=place.length)
    return None


def _free(work: Work, places: Iterable[Place], network: int, node: int) -> Assignment | None:
    for place in places:
        address = place.space.allocate(node, work.now_ms)
        if address is not None:
            family, length = place.pool.family, place.length
            return Assignment(network, address.to_bytes(16), family, length, node, "auto", 0)
    return None


def _give_back(
    book: AddressBook, work: Work, network: Network, row: Assignment, held: Iterable[Assignment]
) -> None:
    """One that was found, when another was not."""
    address = int.from_bytes(row.address)
    place = book.find(work, network, address)
    before = next((old for old in held if old.address == row.address), None)
    if place is None:
        return
    if before is not None:
        place.space.release(address, before.released_at + QUARANTINE_MS)
    else:
        place.space.give_back(address)


def _full(network: Network, places: Iterable[Place]) -> RefusedError:
    prefixes = ", ".join(dict.fromkeys(place.pool.prefix for place in places))
    return RefusedError(
        Code.POOL_EXHAUSTED,
        f"cannot assign an address: pool {prefixes} of network {network.name} is full",
        hint=_way_out(network, places),
        retry_after=60.0,
    )


def _way_out(network: Network, places: Iterable[Place]) -> str:
    """Forgetting helps a day later: what was released rests."""
    add = f"add a range (ncadm pool add {network.name} RANGE)"
    if any(place.space.promised for place in places):
        add += f", or revoke tokens that promise addresses (ncadm token list {network.name})"
    moments = [moment for place in places if (moment := place.space.wakes_at()) is not None]
    if not moments:
        return (
            f"{add}, or forget members that are gone (ncadm member forget):"
            " their addresses are free a day later"
        )
    free_at = datetime.fromtimestamp(min(moments) / 1000, UTC)
    return f"{add}; the next address is free at {free_at:%Y-%m-%dT%H:%M:%SZ}"

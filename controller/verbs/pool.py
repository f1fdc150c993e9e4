"""Pools: the ranges out of which a network's members get addresses: add, list, remove, set, usage.

A range is named by its prefix; where several are parts of one prefix, by its ends: `10.9.0.10-10.9.0.99`.
Taking one away or making it smaller is refused while members have addresses in it, unless they are to
get others (`renumber`) or to keep what they have (`force`).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from controller.addresses.computed import computed_ranges
from controller.addresses.pools import ends_of
from controller.addresses.prefixes import read_pools
from controller.addresses.ranges import check_beside, pool_of, range_of
from controller.members.renumber import refuse, settle
from controller.refusal import RefusedError
from controller.settings import check_whole
from controller.store.model import ASSIGNMENT, POOL
from controller.store.records import Network, Pool
from controller.store.work import Work
from controller.verbs.office import Items, Office, not_found
from controller.verbs.paging import Told
from controller.verbs.routes import routes_of
from protocol.messages import Code

LARGE = 2**53  # more than a JSON number holds is shown as this


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str


class Add(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`first` and `last`: members get only these of the prefix."""

    network: str
    range: str
    first: str = ""
    last: str = ""


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    range: str
    renumber: bool = False
    force: bool = False


class Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`prefix`: what the range's is to be; without `first` and `last` all of it is for members."""

    network: str
    range: str
    prefix: str = ""
    first: str = ""
    last: str = ""
    renumber: bool = False
    force: bool = False


def list_all(office: Office, wanted: Name) -> Items:
    network = office.network(wanted.network)
    return [_describe(network, pool) for pool in _pools(office, network)]


def usage(office: Office, wanted: Name) -> Items:
    """How much of each is used; addresses that rest, or that a token promises, are neither used nor
    free.
    """
    network = office.network(wanted.network)
    work = office.registry.work(office.now_ms)
    places = {place.pool: place for place in office.registry.book.places(work, network)}
    items = []
    for pool in _pools(office, network):
        space = places[pool].space
        space.wake_all(office.now_ms)
        kinds = _count(office, pool)
        counts = {
            "size": space.shape.size,
            "used": sum(kinds.values()),
            "resting": space.resting,
            "promised": space.promised,
            "free": space.free,
            **{kind: kinds.get(kind, 0) for kind in ("auto", "manual", "reserved")},
        }
        items.append(
            _describe(network, pool) | {name: min(count, LARGE) for name, count in counts.items()}
        )
    return items


def add(office: Office, wanted: Add) -> Items:
    """Members get addresses of a family that is new at once. The same call again changes nothing."""
    network = office.network(wanted.network)
    pool = pool_of(network.number, range_of(wanted.range), wanted.first, wanted.last)
    others = _pools(office, network)
    if pool not in others:
        _check(office, network, others, pool)
        _change(office, network, [*others, pool], f"add {_said(pool)}", _must_fit)
    return [_describe(network, pool)]


def remove(office: Office, wanted: Remove) -> Told:
    network = office.network(wanted.network)
    pool = _find(office, network, wanted.range)
    others = [other for other in _pools(office, network) if other != pool]
    note = _change(office, network, others, f"remove {_said(pool)}", _way(wanted))
    return Told([_describe(network, pool)], note)


def change(office: Office, wanted: Set) -> Told:
    """With `renumber` also those get other addresses whose range was taken away before."""
    network = office.network(wanted.network)
    old = _find(office, network, wanted.range)
    prefix = range_of(wanted.prefix) if wanted.prefix else old.range
    if prefix.version != old.family:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot make {old.prefix} {prefix}: it is of another IP version"
        )
    pool = pool_of(network.number, prefix, wanted.first, wanted.last)
    others = [other for other in _pools(office, network) if other != old]
    _check(office, network, others, pool)
    said = f"change {_said(old)} to {_said(pool)}"
    note = _change(office, network, [*others, pool], said, _way(wanted))
    return Told([_describe(network, pool)], note)


Way = tuple[bool, bool]  # renumber, force
_must_fit: Way = (False, False)


def _way(wanted: Remove | Set) -> Way:
    if wanted.renumber and wanted.force:
        raise RefusedError(
            Code.BAD_REQUEST,
            "cannot renumber members and let them keep their addresses: choose one",
        )
    return wanted.renumber, wanted.force


def _change(office: Office, network: Network, pools: Sequence[Pool], what: str, way: Way) -> str:
    """Write it, settle everybody in it, tell those who are there; what became of the stranded."""
    renumber, force = way
    registry, number = office.registry, network.number

    def do(work: Work) -> int:
        before = registry.book.pools(number)
        stranded = settle(registry, work, network, pools, actor=office.actor, move=renumber)
        if stranded and not (renumber or force):
            raise refuse(work, f"{what} of network {network.name}", stranded)
        _check_left(network, pools, stranded, renumber=renumber)
        for pool in before:
            if pool not in pools:
                row = (POOL.c.network == number) & (POOL.c.prefix == pool.prefix)
                work.connection.execute(POOL.delete().where(row, POOL.c.first == pool.first))
        for pool in pools:
            if pool not in before:
                work.pools.put(pool)
        work.restate(number)  # a higher epoch: who is away asks anew
        thing = network.id(registry.controller)
        verb, _, detail = what.partition(" ")
        verb = {"change": "set"}.get(verb, verb)
        if force and stranded:
            detail += "; kept: " + ", ".join(str(row.interface.ip) for row in stranded[:100])
        work.note(office.actor, f"pool.{verb}", thing, detail)
        return len(stranded)

    count = office.change(do)
    office.tell_settings(number)
    if not count:
        return ""
    became = "have other addresses now" if renumber else "were kept"
    return f"{count} addresses of members did not fit; they {became}"


def _check_left(
    network: Network, pools: Sequence[Pool], stranded: Sequence[Any], *, renumber: bool
) -> None:
    """Raises RefusedError when there is nothing left to give to those who are moved."""
    without = {row.family for row in stranded} - {pool.family for pool in pools}
    if renumber and without:
        family = min(without)
        raise RefusedError(
            Code.POOL_EXHAUSTED,
            f"cannot give members of network {network.name} other addresses:"
            f" it would have no IPv{family} range",
            hint=f"add another first: ncadm pool add {network.name} RANGE",
        )


def _check(office: Office, network: Network, others: Sequence[Pool], pool: Pool) -> None:
    computed = computed_ranges(network, network.id(office.registry.controller))
    leased = read_pools(office.registry.work(office.now_ms), network.number)
    elsewhere = [*(one.prefix for one in leased), *(one.prefix for one in routes_of(network))]
    check_beside(pool, others, [*computed, *elsewhere])
    check_whole(network, [*(other.range for other in others), pool.range])


def _find(office: Office, network: Network, name: str) -> Pool:
    pools = _pools(office, network)
    found = [pool for pool in pools if name in (pool.prefix, _ends(pool))]
    if len(found) > 1:
        raise RefusedError(
            Code.CONFLICT,
            f"cannot tell which part of {name} is meant",
            hint=f"write one as {' or '.join(_ends(pool) for pool in found)}",
        )
    if not found:
        near = [text for pool in pools for text in (pool.prefix, _ends(pool))]
        raise not_found("range", name, near, f"pool list {network.name}", f" of {network.name}")
    return found[0]


def _pools(office: Office, network: Network) -> list[Pool]:
    pools = office.registry.book.pools(network.number)
    return sorted(pools, key=lambda pool: (pool.family, pool.first))


def _count(office: Office, pool: Pool) -> dict[str, int]:
    """Addresses in use of its prefix; of several parts of one, those that are in it."""
    table = ASSIGNMENT.c
    base, end = (number.to_bytes(16) for number in ends_of(pool))
    inside = table.address.between(pool.first, pool.last)
    parts = [other for other in office.registry.book.pools(pool.network) if other != pool]
    if not any(other.prefix == pool.prefix for other in parts):
        inside = table.address.between(base, end)
    query = (
        select(table.kind, func.count())
        .where(table.network == pool.network, inside, table.released_at == 0)
        .group_by(table.kind)
    )
    return {row[0]: row[1] for row in office.connection.execute(query)}


def _describe(network: Network, pool: Pool) -> dict[str, Any]:
    first, last = pool.ends
    return {
        "network": network.name,
        "prefix": pool.prefix,
        "family": pool.family,
        "first": str(first),
        "last": str(last),
    }


def _ends(pool: Pool) -> str:
    first, last = pool.ends
    return f"{first}-{last}"


def _said(pool: Pool) -> str:
    whole = pool == pool_of(pool.network, pool.range)
    return f"range {pool.prefix}" if whole else f"range {_ends(pool)} of {pool.prefix}"

"""Prefix pools and their leases: add, remove, show, list, lease, release."""

from ipaddress import IPv6Network
from typing import Annotated, Any

import msgspec
from sqlalchemy import func, select

from controller.addresses.prefixes import (
    PrefixPool,
    lease_prefix,
    read_pools,
    release_prefixes,
)
from controller.members.certificate import certified
from controller.members.routed import holder_of
from controller.refusal import RefusedError
from controller.store.model import MEMBER, PREFIX_LEASE, PREFIX_POOL
from controller.store.records import Member, Network
from controller.store.work import Work
from controller.verbs.office import Found, Items, Office, iso, not_found
from controller.verbs.paging import Paged, Told, page, wrong_cursor
from protocol.messages import Code

_ROW = PREFIX_LEASE.c


class Add(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`length`: of what one member leases."""

    network: str
    prefix: str
    length: Annotated[int, msgspec.Meta(ge=1, le=64)] = 64


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    prefix: str


class Show(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str


class List(Paged, frozen=True, forbid_unknown_fields=True):
    network: str


class Lease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without `pool` it is the network's first."""

    network: str
    member: str
    pool: str = ""


def add(office: Office, wanted: Add) -> Items:
    network = office.network(wanted.network)
    prefix = _parse(wanted.prefix)
    if not prefix.prefixlen <= wanted.length <= prefix.prefixlen + 32:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot lease /{wanted.length} out of {prefix}: it is no part of it, or too small a one",
            hint="such as: ncadm prefix add NETWORK 2001:db8:5::/48 --length 64",
        )

    def do(work: Work) -> None:
        pool = PrefixPool(network.number, prefix, wanted.length)
        if pool in read_pools(work, network.number):
            return
        _refuse_overlap(office, work, network, prefix)
        row = {"network": network.number, "prefix": str(prefix), "length": wanted.length}
        work.connection.execute(PREFIX_POOL.insert(), row)
        work.reseal(network.number)
        work.note(office.actor, "prefix.add", _id(office, network), f"{prefix} by {wanted.length}")

    office.change(do)
    return [item for item in _pools(office, network) if item["prefix"] == str(prefix)]


def remove(office: Office, wanted: Name) -> Items:
    """Only one out of which nothing is leased."""
    network = office.network(wanted.network)
    prefix = _parse(wanted.prefix)

    def do(work: Work) -> None:
        pool = _pool(work, network, str(prefix))
        here = (_ROW.network == network.number) & (_ROW.pool == str(pool.prefix))
        held = work.connection.execute(
            select(func.count()).select_from(PREFIX_LEASE).where(here, _ROW.released_at == 0)
        ).scalar_one()
        if held:
            raise RefusedError(
                Code.CONFLICT,
                f"cannot remove {prefix}: {held} of its prefixes are leased",
                hint=f"see: ncadm prefix list {network.name}; release them first",
            )
        work.connection.execute(PREFIX_LEASE.delete().where(here))
        row = PREFIX_POOL.c
        here = (row.network == network.number) & (row.prefix == str(prefix))
        work.connection.execute(PREFIX_POOL.delete().where(here))
        work.reseal(network.number)
        work.note(office.actor, "prefix.remove", _id(office, network), str(prefix))

    office.change(do)
    return [{"prefix": str(prefix), "network": network.name}]


def show(office: Office, wanted: Show) -> Items:
    """The pools."""
    return _pools(office, office.network(wanted.network))


def list_all(office: Office, wanted: List) -> Told:
    """The leases of all pools, those that rest too."""
    network = office.network(wanted.network)
    pools = {
        str(pool.prefix): pool
        for pool in read_pools(office.registry.work(office.now_ms), network.number)
    }
    pool, part = _cursor(wanted)
    query = (
        select(PREFIX_LEASE, MEMBER.c.name)
        .join(MEMBER, (MEMBER.c.network == _ROW.network) & (MEMBER.c.node == _ROW.node))
        .where(_ROW.network == network.number)
        .where((_ROW.pool > pool) | ((_ROW.pool == pool) & (_ROW.part > part)))
        .order_by(_ROW.pool, _ROW.part)
        .limit(wanted.limit + 1)
    )

    def describe(row: Any) -> dict[str, Any]:
        return {
            "prefix": str(pools[row.pool].part(row.part)),
            "pool": row.pool,
            "state": "resting" if row.released_at else "leased",
            "member": f"{row.node:010x}",
            "name": row.name,
            "released": iso(row.released_at),
        }

    rows = office.connection.execute(query).all()
    return page(rows, wanted.limit, describe, cursor=lambda row: f"{row.pool} {row.part}")


def lease(office: Office, wanted: Lease) -> Items:
    network = office.network(wanted.network)

    def do(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        pool = _pool(work, network, wanted.pool)
        member = lease_prefix(work, pool, found.member)
        _refuse_held(work, network, member)
        return _put(office, work, found, member, "prefix.lease")

    return _answer(office, office.change(do))


def _refuse_held(work: Work, network: Network, member: Member) -> None:
    """The lease says that it is free, and a member has it: somebody changed one of the two."""
    for prefix in map(IPv6Network, (text for text in member.prefixes.split() if ":" in text)):
        holder = holder_of(work, network.number, prefix, but=member.node)
        if holder is not None:
            raise RefusedError(Code.CONFLICT, f"cannot lease {prefix}: {holder}")


def release(office: Office, wanted: Name) -> Items:
    network = office.network(wanted.network)
    prefix = _parse(wanted.prefix)

    def do(work: Work) -> Found:
        for pool in read_pools(work, network.number):
            here = (_ROW.network == network.number) & (_ROW.pool == str(pool.prefix))
            here &= (_ROW.part == pool.index(prefix)) & (_ROW.released_at == 0)
            node = work.connection.execute(select(_ROW.node).where(here)).scalar()
            if node is not None:
                found = office.member(work, network, f"{node:010x}")
                without = release_prefixes(work, found.member, prefix)
                return _put(office, work, found, without, "prefix.release")
        raise not_found("lease", str(prefix), (), f"prefix list {network.name}")

    return _answer(office, office.change(do))


def _put(office: Office, work: Work, found: Found, member: Member, action: str) -> Found:
    """Write the changed member, sign it anew, note it; a member that did not change stays."""
    before, now = set(found.member.prefixes.split()), set(member.prefixes.split())
    if before != now:
        if member.visible:
            member = certified(member, found.network, work.now_ms, content=True)
            work.touch(member.network, member.node)
        work.members.put(member)
        thing = f"{_id(office, found.network)}/{found.node.address}"
        work.note(office.actor, action, thing, " ".join(sorted(before ^ now)))
    return Found(found.network, found.node, member)


def _answer(office: Office, found: Found) -> Items:
    office.desk.push.certificate(found.node.key, found.network.number, office.now_ms)
    return [
        {
            "address": found.node.address,
            "name": found.member.name,
            "network": found.network.name,
            "prefixes": found.member.prefixes.split(),
        }
    ]


def _pools(office: Office, network: Network) -> list[dict[str, Any]]:
    query = (
        select(PREFIX_POOL, func.count(_ROW.node).filter(_ROW.released_at == 0).label("used"))
        .join(
            PREFIX_LEASE,
            (_ROW.network == PREFIX_POOL.c.network) & (_ROW.pool == PREFIX_POOL.c.prefix),
            isouter=True,
        )
        .where(PREFIX_POOL.c.network == network.number)
        .group_by(PREFIX_POOL.c.network, PREFIX_POOL.c.prefix, PREFIX_POOL.c.length)
    )
    return [
        {
            "prefix": row.prefix,
            "length": row.length,
            "leased": row.used,
            "size": PrefixPool(network.number, IPv6Network(row.prefix), row.length).size,
        }
        for row in office.connection.execute(query)
    ]


def _cursor(wanted: List) -> tuple[str, int]:
    pool, _, part = wanted.after.partition(" ")
    if wanted.after and not part.isdigit():
        raise wrong_cursor(wanted.after)
    return pool, int(part or -1)


def _pool(work: Work, network: Network, prefix: str) -> PrefixPool:
    pools = read_pools(work, network.number)
    found = [pool for pool in pools if prefix in ("", str(pool.prefix))]
    if not found:
        known = [str(pool.prefix) for pool in pools]
        where = f" in network {network.name}"
        raise not_found("prefix pool", prefix, known, f"prefix show {network.name}", where)
    return found[0]


def _refuse_overlap(office: Office, work: Work, network: Network, prefix: IPv6Network) -> None:
    ranges = [pool.range for pool in office.registry.book.pools(network.number)]
    others = [*ranges, *(pool.prefix for pool in read_pools(work, network.number))]
    for other in others:
        if prefix.overlaps(other):
            raise RefusedError(Code.CONFLICT, f"cannot add {prefix}: it overlaps {other}")
    holder = holder_of(work, network.number, prefix)
    if holder is not None:
        raise RefusedError(Code.CONFLICT, f"cannot add {prefix}: {holder}")


def _parse(text: str) -> IPv6Network:
    try:
        return IPv6Network(text)
    except ValueError as error:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot use {text!r}: it is no IPv6 prefix", hint="2001:db8:5::/48"
        ) from error


def _id(office: Office, network: Network) -> str:
    return network.id(office.registry.controller)

"""Leases of prefixes: any member may get a part of a prefix pool, such as a /64 of a /48.

A lease stands in two places that change in one transaction: here, where the primary key keeps two
members from one part, and in the member's `prefixes`, which its certificate lists. A part that was
released rests as addresses do; its last holder has it back until somebody else got it.
"""

from dataclasses import dataclass
from ipaddress import IPv6Network

import msgspec
from sqlalchemy import func, select

from controller.refusal import RefusedError
from controller.store.model import PREFIX_LEASE, PREFIX_POOL
from controller.store.records import Member
from controller.store.work import QUARANTINE_MS, Work
from protocol.messages import Code

_ROW = PREFIX_LEASE.c


@dataclass(frozen=True, slots=True)
class PrefixPool:
    network: int
    prefix: IPv6Network
    length: int

    @property
    def size(self) -> int:
        """How many leases it has."""
        return 1 << (self.length - self.prefix.prefixlen)

    def part(self, index: int) -> IPv6Network:
        first = int(self.prefix.network_address) + (index << (128 - self.length))
        return IPv6Network((first, self.length))

    def index(self, part: IPv6Network) -> int | None:
        """The number of one of its parts; None when `part` is none."""
        if part.prefixlen != self.length or not part.subnet_of(self.prefix):
            return None
        offset = int(part.network_address) - int(self.prefix.network_address)
        return offset >> (128 - self.length)


def read_pools(work: Work, network: int) -> list[PrefixPool]:
    query = select(PREFIX_POOL).where(PREFIX_POOL.c.network == network)
    rows = work.connection.execute(query.order_by(PREFIX_POOL.c.prefix))
    return [PrefixPool(row.network, IPv6Network(row.prefix), row.length) for row in rows]


def lease_prefix(work: Work, pool: PrefixPool, member: Member) -> Member:
    """The member with a part of `pool`: the one that it has or had, else a free one.

    Raises RefusedError when all are taken.
    """
    here = (_ROW.network == pool.network) & (_ROW.pool == str(pool.prefix))
    mine = here & (_ROW.node == member.node)
    index = work.connection.execute(select(_ROW.part).where(mine)).scalar()
    if index is not None:
        work.connection.execute(PREFIX_LEASE.update().where(mine).values(released_at=0))
        return _with(member, pool.part(index))
    last = work.connection.execute(select(func.max(_ROW.part)).where(here)).scalar()
    index = 0 if last is None else last + 1
    if index < pool.size:
        row = {"network": pool.network, "pool": str(pool.prefix), "part": index}
        row |= {"node": member.node, "released_at": 0}
        work.connection.execute(PREFIX_LEASE.insert(), row)
        return _with(member, pool.part(index))
    rested = here & (_ROW.released_at > 0) & (_ROW.released_at <= work.now_ms - QUARANTINE_MS)
    query = select(_ROW.part).where(rested).order_by(_ROW.released_at, _ROW.part).limit(1)
    index = work.connection.execute(query).scalar()
    if index is None:
        raise RefusedError(
            Code.POOL_EXHAUSTED,
            f"cannot lease a prefix: pool {pool.prefix} has {pool.size}, and all are taken",
            hint="add another pool: ncadm prefix add NETWORK PREFIX; released ones rest for a day",
        )
    change = PREFIX_LEASE.update().where(here & (_ROW.part == index))
    work.connection.execute(change.values(node=member.node, released_at=0))
    return _with(member, pool.part(index))


def release_prefixes(work: Work, member: Member, only: IPv6Network | None = None) -> Member:
    """The member without its leases (or without this one); they rest.

    Costs nothing for a member that has no prefix. What an operator gave it by hand stays.
    """
    if not member.prefixes:
        return member
    kept = member.prefixes.split()
    for pool in read_pools(work, member.network):
        for part in [IPv6Network(text) for text in kept if ":" in text]:
            index = pool.index(part)
            if index is None or only not in (None, part):
                continue
            row = (_ROW.network == pool.network) & (_ROW.pool == str(pool.prefix))
            row &= (_ROW.part == index) & (_ROW.node == member.node)
            release = PREFIX_LEASE.update().where(row).values(released_at=work.now_ms)
            if work.connection.execute(release).rowcount:
                kept.remove(str(part))
    return msgspec.structs.replace(member, prefixes=" ".join(kept))


def _with(member: Member, part: IPv6Network) -> Member:
    prefixes = sorted({*member.prefixes.split(), str(part)})
    return msgspec.structs.replace(member, prefixes=" ".join(prefixes))

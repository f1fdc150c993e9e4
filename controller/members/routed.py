"""Who has a prefix of a network, or a part of it: by hand, as a lease, or as an address."""

from ipaddress import ip_network

from sqlalchemy import select, text

from controller.store.model import ASSIGNMENT, MEMBER
from controller.store.records import address_from, sixteen
from controller.store.work import Work
from protocol.packing import IPNetwork

HAS_PREFIXES = text("member.prefixes <> ''")  # as the index says it


def holder_of(work: Work, number: int, prefix: IPNetwork, *, but: int | None = None) -> str | None:
    """Which member other than `but` has a part of it: words that complete "cannot …: "."""
    table = MEMBER.c
    here = (table.network == number) & (table.removed_at == 0)
    stored = work.connection.execute(select(table.node, table.prefixes).where(here, HAS_PREFIXES))
    for node, texts in stored:
        for other in map(ip_network, texts.split()):
            if node != but and other.version == prefix.version and other.overlaps(prefix):
                return f"it overlaps {other} of {_called(work, number, node)}"
    row = ASSIGNMENT.c
    first, last = sixteen(prefix.network_address), sixteen(prefix.broadcast_address)
    query = select(row.node, row.address, row.family).where(
        row.network == number,
        row.address.between(first, last),
        row.family == prefix.version,
        row.released_at == 0,
        row.node != (but or 0),
    )
    held = work.connection.execute(query.limit(1)).first()
    if held is None:
        return None
    address = address_from(held.address, held.family)
    return f"it has {address} of {_called(work, number, held.node)}"


def _called(work: Work, number: int, node: int) -> str:
    member = work.sound_member(number, node)
    address = f"{node:010x}"
    return f"member {member.name} ({address})" if member and member.name else f"member {address}"

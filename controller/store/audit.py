"""What was done by whom: rows in the change's own transaction, each with the hash of the one before.

A row that was altered, taken out or put in between breaks the chain behind it; `verify` names it. Rows
older than the config wants go in pieces, from the oldest on, and a checkpoint says so.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from controller.store import chain
from controller.store.chain import ChainError, Entry, Head, Link
from controller.store.database import read_meta, write_meta
from controller.store.model import AUDIT, CUT_KEY
from controller.store.prepared import Change

__all__ = ["Entry", "Head", "append", "prune", "read_head", "read_links", "verify", "verify_piece"]

_INSERT = Change(AUDIT.insert())  # its parameters are the table's columns in their order
_LINK = select(*[AUDIT.c[name] for name in Link.__struct_fields__])


def read_head(connection: Connection, controller: str) -> Head:
    row = connection.execute(
        select(AUDIT.c.seq, AUDIT.c.hash)
        .where(AUDIT.c.controller == controller)
        .order_by(AUDIT.c.seq.desc())
        .limit(1)
    ).first()
    return Head(controller, row.seq, row.hash) if row else Head(controller)


def append(connection: Connection, head: Head, entries: Iterable[Entry], now_ms: int) -> Head:
    """Write `entries` behind `head`; returns the new end, good once the transaction is."""
    controller, seq, prev = head.controller, head.seq, head.hash
    rows = []
    for entry in entries:
        seq += 1
        link = chain.chain(prev, controller, seq, now_ms, entry)
        said = (entry.actor, entry.action, entry.object, entry.detail)
        rows.append((controller, seq, prev, link, now_ms, *said))
        prev = link
    if rows:
        _INSERT.run(connection, rows)
    return Head(controller, seq, prev)


def verify(connection: Connection) -> str | None:
    """What is wrong with the chains, or None."""
    rows = connection.execute(_LINK.order_by(AUDIT.c.controller, AUDIT.c.seq))
    try:
        chain.verify(Link(*row) for row in rows)
    except ChainError as error:
        return str(error)
    return None


def verify_piece(connection: Connection, after: Head | None, limit: int) -> tuple[int, Head | None]:
    """Follow the chains for `limit` entries behind `after`: how many there were, and where it
    stopped; None: there are no more. Raises ChainError.
    """
    head, count = after, 0
    for link in read_links(connection, after, limit):
        if head is None or (head.controller, head.seq + 1) != (link.controller, link.seq):
            head = _beginning(connection, link)  # of its chain, or where it was cut since
        head = chain.follow(head, link)
        count += 1
    return count, head if count == limit else None


def prune(
    connection: Connection, own: Head, *, before: int, limit: int, now_ms: int, actor: str
) -> tuple[int, Head]:
    """Take away entries from before `before` (ms), `limit` of each chain at most, and put a checkpoint
    for each behind `own`. Returns how many went, and the new end.
    """
    count = 0
    for controller in _controllers(connection):
        last = _last_before(connection, controller, before, limit)
        if last is None:
            continue
        entry = chain.cut(last, actor)
        own = append(connection, own, [entry], now_ms)
        said = f"{last.seq} {last.hash.hex()} {own.controller} {own.seq}"
        write_meta(connection, _cut_key(controller), said.encode())
        gone = (AUDIT.c.controller == controller) & (AUDIT.c.seq <= last.seq)
        count += connection.execute(AUDIT.delete().where(gone)).rowcount
    return count, own


def read_links(connection: Connection, after: Head | None, limit: int) -> list[Link]:
    """The entries of all chains behind `after`, in order."""
    query = _LINK
    if after is not None:
        place = tuple_(AUDIT.c.controller, AUDIT.c.seq)
        query = query.where(place > tuple_(after.controller, after.seq))
    return _links(connection, query.order_by(AUDIT.c.controller, AUDIT.c.seq).limit(limit))


def _links(connection: Connection, query: Any) -> list[Link]:
    return [Link(*row) for row in connection.execute(query)]


def _controllers(connection: Connection) -> Iterator[str]:
    """Whose chains there are: an index look-up for each."""
    name: str | None = ""
    while name is not None:
        query = select(func.min(AUDIT.c.controller)).where(AUDIT.c.controller > name)
        name = connection.execute(query).scalar()
        if name is not None:
            yield name


def _last_before(connection: Connection, controller: str, before: int, limit: int) -> Head | None:
    """The last of the oldest `limit` entries with nothing younger in front of it."""
    query = select(AUDIT.c.seq, AUDIT.c.hash, AUDIT.c.time).where(AUDIT.c.controller == controller)
    last = None
    for row in connection.execute(query.order_by(AUDIT.c.seq).limit(limit)):
        if row.time >= before:
            break
        last = Head(controller, row.seq, row.hash)
    return last


def _beginning(connection: Connection, link: Link) -> Head:
    """What stands before the first entry that there is. Raises ChainError."""
    if link.seq == 1:
        return Head(link.controller)
    words = read_meta(connection, _cut_key(link.controller)).decode().split()
    if len(words) == 4:
        seq, digest, by, place = words
        cut = Head(link.controller, int(seq), bytes.fromhex(digest))
        query = _LINK.where(AUDIT.c.controller == by, AUDIT.c.seq == int(place))
        said = [one.checkpoint for one in _links(connection, query)]
        if said == [cut] and cut.seq == link.seq - 1:
            return cut
    raise chain.broken(link, "and no checkpoint says that those before were taken away")


def _cut_key(controller: str) -> str:
    """The row of `meta` that says how far entries may be deleted: a trigger looks at it."""
    return f"{CUT_KEY}{controller}"

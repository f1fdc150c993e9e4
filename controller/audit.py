"""What was done by whom: rows in the change's own transaction, each with the hash of the one before.

A row that was altered, taken out or put in between breaks the chain behind it; `verify` names it.
"""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec
from sqlalchemy import Connection, select

from controller.model import AUDIT

GENESIS = bytes(32)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One deed; `detail` is text for people."""

    actor: str
    action: str
    object: str
    detail: str = ""


class Head(msgspec.Struct, frozen=True):
    """The end of one controller's chain."""

    controller: str
    seq: int = 0
    hash: bytes = GENESIS


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
    rows = []
    for entry in entries:
        seq = head.seq + 1
        link = chain(head.hash, head.controller, seq, now_ms, entry)
        rows.append(
            {
                "controller": head.controller,
                "seq": seq,
                "prev": head.hash,
                "hash": link,
                "time": now_ms,
                "actor": entry.actor,
                "action": entry.action,
                "object": entry.object,
                "detail": entry.detail,
            }
        )
        head = Head(head.controller, seq, link)
    if rows:
        connection.execute(AUDIT.insert(), rows)
    return head


def chain(prev: bytes, controller: str, seq: int, time: int, entry: Entry) -> bytes:
    body = msgspec.msgpack.encode((controller, seq, time, entry))
    return blake2b(prev + body, digest_size=32, person=b"zosnet-audit").digest()


def verify(connection: Connection) -> str | None:
    """What is wrong with the chains, or None."""
    ends: dict[str, Head] = {}
    rows = connection.execute(select(AUDIT).order_by(AUDIT.c.controller, AUDIT.c.seq))
    for row in rows:
        head = ends.get(row.controller, Head(row.controller))
        entry = Entry(row.actor, row.action, row.object, row.detail)
        link = chain(head.hash, row.controller, row.seq, row.time, entry)
        if row.seq != head.seq + 1 or row.prev != head.hash or row.hash != link:
            return f"entry {row.seq} of controller {row.controller} does not fit to the one before"
        ends[row.controller] = Head(row.controller, row.seq, link)
    return None

"""The audit log: list, verify, export; each in pieces, so that nobody waits for a long log."""

import re
from typing import Annotated, Any

import msgspec
from sqlalchemy import func, select

from controller.store import audit
from controller.store.chain import ChainError, Head, Link
from controller.store.model import AUDIT
from controller.verbs.office import Office, iso
from controller.verbs.paging import Paged, Told, like, page, position, wrong_cursor
from runtime.failure import CannotError, Exit

SCAN = 10_000  # entries that one page looks at: few may fit
VERIFY = 2_000  # entries that are verified at once: some 20 ms
_PLACE = re.compile(r"([0-9a-f]{10}):(\d{1,16})(?::([0-9a-f]{64}))?\Z")
_COLUMNS = [AUDIT.c[name] for name in Link.__struct_fields__]

Pattern = Annotated[str, msgspec.Meta(max_length=256)]


class List(Paged, frozen=True, forbid_unknown_fields=True):
    """Newest first. `*` and `?` stand for any text and any character. `since`: ms since 1970; `ago`:
    not older than so many seconds. `controller`: another one's chain.
    """

    actor: Pattern = ""
    action: Pattern = ""
    object: Pattern = ""
    since: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    ago: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    controller: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Verify(Paged, frozen=True, forbid_unknown_fields=True):
    pass


class Export(Paged, frozen=True, forbid_unknown_fields=True):
    pass


def list_all(office: Office, wanted: List) -> Told:
    controller = wanted.controller or office.registry.audit_head.controller
    oldest, newest = _ends(office, controller)
    below = position(wanted) if wanted.after else newest + 1
    lowest = max(oldest, below - SCAN)
    since = max(wanted.since, office.now_ms - wanted.ago * 1000 if wanted.ago else 0)
    query = (
        select(*_COLUMNS)
        .where(AUDIT.c.controller == controller, AUDIT.c.seq >= lowest, AUDIT.c.seq < below)
        .where(AUDIT.c.time >= since)
    )
    for column in (AUDIT.c.actor, AUDIT.c.action, AUDIT.c.object):
        pattern = getattr(wanted, column.name)
        if pattern:
            query = query.where(column.like(like(pattern), escape="!"))
    rows = office.connection.execute(query.order_by(AUDIT.c.seq.desc()).limit(wanted.limit + 1))
    told = page(rows.all(), wanted.limit, _describe, cursor=lambda row: str(row.seq))
    if told.next or lowest <= oldest or _is_before(office, controller, lowest, since):
        return told
    return Told(told.items, next=str(lowest))


def verify(office: Office, wanted: Verify) -> Told:
    """One item with how many entries fit; at the end, where the chain of this controller ends."""
    after = _place(wanted.after)
    try:
        count, stopped = audit.verify_piece(office.connection, after, VERIFY)
        own = office.registry.audit_head
        if stopped is None and audit.read_head(office.connection, own.controller) != own:
            raise ChainError(f"the log ends before entry {own.seq}, which was written last")
    except ChainError as error:
        raise CannotError(
            f"cannot verify the audit log: {error}",
            hint="compare it with an export or a backup: somebody changed the database by hand",
            code=Exit.VERIFICATION,
        ) from error
    if stopped is not None:
        return Told(
            [{"entries": count}], next=f"{stopped.controller}:{stopped.seq}:{stopped.hash.hex()}"
        )
    end = {"controller": own.controller, "last": own.seq, "hash": own.hash.hex()}
    return Told([{"entries": count} | end])


def export(office: Office, wanted: Export) -> Told:
    """Oldest first, all chains, all that is needed to verify them elsewhere."""
    after = _place(wanted.after)
    rows = audit.read_links(office.connection, after, wanted.limit + 1)
    return page(
        rows,
        wanted.limit,
        lambda link: (
            msgspec.structs.asdict(link) | {"prev": link.prev.hex(), "hash": link.hash.hex()}
        ),
        cursor=lambda link: f"{link.controller}:{link.seq}",
    )


def _describe(row: Any) -> dict[str, Any]:
    return {
        "time": iso(row.time),
        "seq": row.seq,
        "actor": row.actor,
        "action": row.action,
        "object": row.object,
        "detail": row.detail,
    }


def _ends(office: Office, controller: str) -> tuple[int, int]:
    """The numbers of the oldest and of the newest entry."""
    first, last = (  # each by the index; both in one query would be a scan
        office.connection.execute(
            select(end(AUDIT.c.seq)).where(AUDIT.c.controller == controller)
        ).scalar()
        for end in (func.min, func.max)
    )
    return first or 0, last or 0


def _is_before(office: Office, controller: str, seq: int, since: int) -> bool:
    """Whether entries from here on down are too old."""
    query = select(AUDIT.c.time).where(AUDIT.c.controller == controller, AUDIT.c.seq == seq)
    time = office.connection.execute(query).scalar()
    return time is not None and time < since


def _place(after: str) -> Head | None:
    if not after:
        return None
    match = _PLACE.match(after)
    if match is None:
        raise wrong_cursor(after)
    return Head(match[1], int(match[2]), bytes.fromhex(match[3] or ""))

"""What happens, as it happens: audit rows, and who connects and disconnects.

    watch(after="")             → nothing, and where now is
    watch(after=…, wait=5)      → what happened behind it; nothing yet: NotYet, to be asked again

`after` is "SEQ.RUN.NUMBER": an audit row, and an event of one run of the controller; after a restart
the events of the new run are all behind it. A bare SEQ is that row and what happened since.
"""

import re
from heapq import merge
from itertools import islice
from secrets import token_hex
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import select

from controller.front.events import Happened
from controller.store.model import AUDIT, NODE
from controller.verbs.office import NotYetError, Office, iso
from controller.verbs.paging import Paged, Told, wrong_cursor

WAIT_MAX = 20  # seconds
RUN = token_hex(4)
_CURSOR = re.compile(r"(\d{1,18})(?:\.([0-9a-f]{8})\.(\d{1,18}))?\Z")


class Arguments(Paged, frozen=True, forbid_unknown_fields=True):
    """`wait`: seconds until an empty answer."""

    wait: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MAX)] = 0


class Place(NamedTuple):
    """Behind this audit row and this event of the run."""

    seq: int
    number: int

    def cursor(self) -> str:
        return f"{self.seq}.{RUN}.{self.number}"


class Seen(NamedTuple):
    time: int
    item: dict[str, Any]
    place: tuple[int | None, int | None]  # one of the two moves on


def watch(office: Office, wanted: Arguments) -> Told:
    """Raises NotYetError."""
    place = _place(office, wanted.after)
    rows = _audited(office, place.seq, wanted.limit)
    events = office.sessions.events.after(place.number, wanted.limit)
    names = _names(office, {event.node for event in events})
    came_and_went = [_connection(office, event, names) for event in events]
    items = []
    for one in islice(merge(rows, came_and_went, key=lambda one: one.time), wanted.limit):
        items.append(one.item)
        seq, number = one.place
        place = Place(place.seq if seq is None else seq, place.number if number is None else number)
    if not items and wanted.wait and wanted.after and office.patient:
        raise NotYetError(wanted.wait)
    return Told(items, next=place.cursor())


def mark(office: Office) -> tuple[int, int]:
    """Another one whenever something may have happened."""
    return office.registry.audit_head.seq, office.sessions.events.count


def _place(office: Office, after: str) -> Place:
    seq, number = mark(office)
    if not after:
        return Place(seq, number)
    match = _CURSOR.match(after)
    if match is None:
        raise wrong_cursor(after)
    if match[2] is None:
        return Place(int(match[1]), office.sessions.events.since(_moment_of(office, int(match[1]))))
    return Place(int(match[1]), int(match[3]) if match[2] == RUN else 0)


def _moment_of(office: Office, seq: int) -> float:
    """When that row was written, by the clock of events; long ago when there is none."""
    head = office.registry.audit_head
    query = select(AUDIT.c.time).where(AUDIT.c.controller == head.controller, AUDIT.c.seq == seq)
    time = office.connection.execute(query).scalar()
    return float("-inf") if time is None else office.now - (office.now_ms - time + 0.5) / 1000


def _audited(office: Office, seq: int, limit: int) -> list[Seen]:
    controller = office.registry.audit_head.controller
    query = (
        select(AUDIT)
        .where(AUDIT.c.controller == controller, AUDIT.c.seq > seq)
        .order_by(AUDIT.c.seq)
        .limit(limit)
    )
    return [
        Seen(
            row.time,
            {
                "time": iso(row.time),
                "event": row.action,
                "object": row.object,
                "actor": row.actor,
                "detail": row.detail,
                "seq": row.seq,
            },
            (row.seq, None),
        )
        for row in office.connection.execute(query)
    ]


def _connection(office: Office, event: Happened, names: dict[int, str]) -> Seen:
    time = office.now_ms - round((office.now - event.at) * 1000)
    address, name = f"{event.node:010x}", names.get(event.node, "")
    item = {
        "time": iso(time),
        "event": f"node.{event.what}",
        "object": address,
        "actor": f"node {address}",
        "detail": " ".join(word for word in (name, event.detail) if word),
        "seq": None,
    }
    return Seen(time, item, (None, event.number))


def _names(office: Office, nodes: set[int]) -> dict[int, str]:
    query = select(NODE.c.id, NODE.c.name).where(NODE.c.id.in_(nodes))
    return {row.id: row.name for row in office.connection.execute(query)} if nodes else {}

"""Long lists in pages, by key: the next page begins behind the last item of this one.

    class List(Paged, frozen=True, forbid_unknown_fields=True): …      # has `limit` and `after`

    query = query.where(table.c.node > position(wanted)).order_by(table.c.node)
    rows = connection.execute(query.limit(wanted.limit + 1)).all()
    return page(rows, wanted.limit, describe, cursor=lambda row: str(row.node))

Whoever pages sees each thing that was there all the time once, whatever comes and goes meanwhile.
A page is also cut where its frame would grow too large.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from controller.refusal import RefusedError
from protocol.admin import MAX_ADMIN_FRAME, PAGE, PAGE_MAX
from protocol.messages import Code

R = TypeVar("R")
MAX_BYTES = MAX_ADMIN_FRAME * 3 // 4


class Paged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The arguments of a list; `after` is what the page before said as `next`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    after: Annotated[str, msgspec.Meta(max_length=256)] = ""


class Told(msgspec.Struct, frozen=True):
    """An answer that says more than its items: a note for people, and where the list goes on."""

    items: list[dict[str, Any]]
    note: str = ""
    next: str = ""


def page(
    rows: Sequence[R],
    limit: int,
    describe: Callable[[R], dict[str, Any]],
    *,
    cursor: Callable[[R], str],
) -> Told:
    """`rows` begin behind `after` and are one more than `limit` when there are more."""
    items: list[dict[str, Any]] = []
    size = 0
    for row in rows[:limit]:
        item = describe(row)
        size += len(msgspec.msgpack.encode(item))
        if items and size > MAX_BYTES:
            break
        items.append(item)
    more = len(rows) > len(items)
    return Told(items, next=cursor(rows[len(items) - 1]) if more and items else "")


def position(wanted: Paged, *, base: int = 10) -> int:
    """The position of a list that is ordered by a number; below all numbers at its beginning."""
    try:
        place = int(wanted.after, base) if wanted.after else -1
    except ValueError as error:
        raise wrong_cursor(wanted.after) from error
    if not -1 <= place < 2**63:
        raise wrong_cursor(wanted.after)
    return place


def wrong_cursor(after: str) -> RefusedError:
    return RefusedError(
        Code.BAD_REQUEST,
        f"cannot go on after {after!r}: no list ended there",
        hint="give `next` of the page before, as it stands there",
    )


def like(pattern: str) -> str:
    """`*` and `?` of people as SQL's LIKE, with `!` as its escape."""
    escaped = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return escaped.replace("*", "%").replace("?", "_")

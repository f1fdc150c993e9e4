"""Admin keys: who may administer from elsewhere. The client makes the key; only its public half
comes here.
"""

import re
from typing import Annotated, Any

import msgspec
from sqlalchemy import select

from controller.refusal import RefusedError, key_of
from controller.store.model import ADMIN_KEY
from controller.store.work import Work
from controller.verbs.office import Items, Office, iso, not_found
from protocol.messages import Code

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}\Z")


class Add(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: the public half in hex; the same call again makes nothing new."""

    name: str
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


def add(office: Office, wanted: Add) -> Items:
    if not _NAME.match(wanted.name):
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot call an admin {wanted.name!r}: letters, digits and _.@+- make a name, 63 at most",
        )
    key = key_of(wanted.key, "admin")

    def do(work: Work) -> None:
        query = select(ADMIN_KEY).where(
            (ADMIN_KEY.c.name == wanted.name) | (ADMIN_KEY.c.key == key)
        )
        known = work.connection.execute(query).all()
        if [(row.name, row.key) for row in known] == [(wanted.name, key)]:
            return
        _refuse_other(work, wanted.name, key, [row.name for row in known])
        row = {
            "key": key,
            "name": wanted.name,
            "created_at": work.now_ms,
            "created_by": office.actor,
            "sum": work.seals.sums.admin(key, wanted.name),
        }
        work.connection.execute(ADMIN_KEY.insert(), row)
        work.note(office.actor, "key.admin.add", f"admin {wanted.name}", wanted.key)

    office.change(do)
    return [item for item in _describe(office) if item["name"] == wanted.name]


def list_all(office: Office, _: List) -> Items:
    return _describe(office)


def remove(office: Office, wanted: Name) -> Items:
    """It bites at once: the key is looked up for each message."""
    items = _describe(office)
    found = [item for item in items if item["name"] == wanted.name]
    if not found:
        known = [item["name"] for item in items]
        raise not_found("admin key", wanted.name, known, "key admin list")

    def do(work: Work) -> None:
        work.connection.execute(ADMIN_KEY.delete().where(ADMIN_KEY.c.name == wanted.name))
        work.note(office.actor, "key.admin.remove", f"admin {wanted.name}", found[0]["key"])

    office.change(do)
    return found


def _refuse_other(work: Work, name: str, key: bytes, known: list[str]) -> None:
    """One key has one name and does one thing."""
    reason = ""
    if name in known:
        reason = "another key has that name"
    elif known:
        reason = f"it is {known[0]}'s already"
    elif work.node(key) is not None:
        reason = "it is a node's key"
    elif work.token(key) is not None:
        reason = "it is a token's key"
    if reason:
        raise RefusedError(
            Code.CONFLICT,
            f"cannot add the admin key {name}: {reason}",
            hint="make one of your own with: ncadm keygen FILE",
        )


def _describe(office: Office) -> list[dict[str, Any]]:
    rows = office.connection.execute(select(ADMIN_KEY).order_by(ADMIN_KEY.c.name))
    return [
        {
            "name": row.name,
            "key": row.key.hex(),
            "created": iso(row.created_at),
            "created_by": row.created_by,
        }
        for row in rows
    ]

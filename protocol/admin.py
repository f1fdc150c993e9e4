"""The admin socket: one request, one reply. `ncadm` and the HTTP API are its clients.

    Call(id, "network.create", {"name": "home", ...}) → Result(id, kind, items) | Failed(id, code, ...)

`verb` is noun and verb with a dot. Arguments and items are maps, since they are what people type
and read; the controller checks each argument by a struct of its own. `create` verbs carry an `id`
made by the client in their arguments, so that a repeated call makes one thing.

A verb whose last word is in LOOKS changes nothing. All others can be rehearsed: with `dry_run`
the answer has kind CHANGE and what the audit log would have got, and nothing is changed.
A long list comes in pages: `next`, when it is not empty, is the argument `after` of the next call.
"""

from typing import Annotated, Any

import msgspec

MAX_ADMIN_FRAME = 1024 * 1024
PAGE, PAGE_MAX = 200, 1000  # items; in the time of a page nodes wait
CHANGE = "change"
LOOKS = frozenset({"list", "show", "status", "usage", "verify", "export", "watch"})


def changes(verb: str) -> bool:
    """Whether this verb does more than look."""
    return verb.rpartition(".")[2] not in LOOKS


class Call(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="call"):
    id: int
    verb: Annotated[str, msgspec.Meta(max_length=64)]
    arguments: dict[str, Any]
    dry_run: bool = False


class Result(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="result"
):
    """`kind` is what `-o json` prints as kind; `note` is for people (stderr)."""

    id: int
    kind: str
    items: list[dict[str, Any]]
    note: str = ""
    next: str = ""


class Failed(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="failed"
):
    """`code` is an exit code, as runtime.failure.Exit has them."""

    id: int
    code: int
    message: str
    hint: str = ""


def encode_admin(message: Call | Result | Failed) -> bytes:
    return msgspec.msgpack.encode(message)


def decode_call(frame: bytes) -> Call:
    """Raises msgspec.MsgspecError."""
    return msgspec.msgpack.decode(frame, type=Call)


def decode_answer(frame: bytes) -> Result | Failed:
    """Raises msgspec.MsgspecError."""
    return msgspec.msgpack.decode(frame, type=Result | Failed)

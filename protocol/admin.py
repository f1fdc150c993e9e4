"""The admin socket: one request, one reply. `ncadm` and the HTTP API are its clients.

    Call(id, "network.create", {"name": "home", ...}) → Result(id, items) | Failed(id, code, ...)

`verb` is noun and verb with a dot. Arguments and items are maps, since they are what people type
and read; the controller checks each argument by a struct of its own. `create` verbs carry an `id`
made by the client in their arguments, so that a repeated call makes one thing.
"""

from typing import Annotated, Any

import msgspec

MAX_ADMIN_FRAME = 1024 * 1024


class Call(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="call"):
    id: int
    verb: Annotated[str, msgspec.Meta(max_length=64)]
    arguments: dict[str, Any]


class Result(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="result"
):
    """`kind` is what `-o json` prints as kind; `note` is for people (stderr)."""

    id: int
    kind: str
    items: list[dict[str, Any]]
    note: str = ""


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

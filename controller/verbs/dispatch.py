"""One frame of the admin socket to one answer: find the verb, check its arguments, run it."""

import difflib
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from controller.verbs import member, network, status, token
from controller.verbs.office import Items, Office
from controller.work import ClashError
from protocol.admin import Call, Failed, Result, decode_call, encode_admin
from runtime.config import explain_invalid
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

Verb = Callable[[Office, Any], Items]

VERBS: dict[str, tuple[str, type[msgspec.Struct], Verb]] = {
    "network.create": ("network", network.Create, network.create),
    "network.list": ("network", network.List, network.list_all),
    "network.show": ("network", network.Name, network.show),
    "network.set": ("network", network.Set, network.change),
    "network.delete": ("network", network.Name, network.delete),
    "member.list": ("member", member.List, member.list_all),
    "member.show": ("member", member.Name, member.show),
    "member.authorize": ("member", member.Name, member.authorize),
    "member.deauthorize": ("member", member.Name, member.deauthorize),
    "member.ban": ("member", member.Name, member.ban),
    "member.forget": ("member", member.Name, member.forget),
    "member.set": ("member", member.Set, member.change),
    "token.create": ("token", token.Create, token.create),
    "token.list": ("token", token.List, token.list_all),
    "token.show": ("token", token.Name, token.show),
    "token.revoke": ("token", token.Name, token.revoke),
    "status": ("status", status.Arguments, status.show),
}


def answer(office: Office, frame: bytes, now_ms: int, now: float) -> bytes:
    """The encoded answer; no frame makes it raise, but a database that cannot be written."""
    try:
        call = decode_call(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = f"cannot understand this request: {error}"
        return encode_admin(Failed(0, Exit.USAGE, said, "ncadm and controller differ in version?"))
    office.now_ms, office.now = now_ms, now
    return encode_admin(_run(office, call))


def _run(office: Office, call: Call) -> Result | Failed:
    if call.verb not in VERBS:
        near = difflib.get_close_matches(call.verb, VERBS, 1)
        hint = f"did you mean {near[0]!r}?" if near else "ncadm and controller differ in version?"
        return Failed(call.id, Exit.USAGE, f"cannot do {call.verb!r}: there is no such verb", hint)
    kind, arguments_kind, verb = VERBS[call.verb]
    try:
        arguments = msgspec.convert(call.arguments, arguments_kind, strict=True)
        return Result(call.id, kind, verb(office, arguments))
    except msgspec.ValidationError as error:
        reason, way = explain_invalid(str(error), call.arguments, arguments_kind)
        return Failed(call.id, Exit.USAGE, f"cannot do {call.verb}: {reason}", way or "")
    except CannotError as error:
        return Failed(call.id, int(error.code), error.message, error.hint or "")
    except ClashError:
        return Failed(
            call.id, Exit.CONFLICT, f"cannot do {call.verb}: something with that name or key exists"
        )
    except Exception:
        log.exception("verb failed", extra={"verb": call.verb})
        office.connection.rollback()
        said = f"cannot do {call.verb}: see the controller's log"
        return Failed(call.id, Exit.INTERNAL, said)
    finally:
        if office.connection.in_transaction():
            office.connection.rollback()  # it only looked

"""One frame of the admin socket to one answer: find the verb, check its arguments, run it."""

import difflib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from controller.schema.fields import RECORDS, check_writable
from controller.store.audit import Entry
from controller.store.shelf import ClashError
from controller.verbs import (
    admin_key,
    audit,
    deletion,
    exported,
    imported,
    key,
    member,
    member_add,
    member_adopt,
    member_set,
    network,
    pool,
    prefix,
    status,
    token,
    watch,
)
from controller.verbs.office import Items, NotYetError, Office, Rehearsed
from controller.verbs.paging import Told
from protocol.admin import (
    CHANGE,
    MAX_ADMIN_FRAME,
    Call,
    Failed,
    Result,
    changes,
    decode_call,
    encode_admin,
)
from runtime.config import explain_invalid
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

Verb = Callable[[Office, Any], Items | Told]
_KEYS = "on the controller: ncadm key admin list"

VERBS: dict[str, tuple[str, type[msgspec.Struct], Verb]] = {
    "network.create": ("network", network.Create, network.create),
    "network.list": ("network", network.List, network.list_all),
    "network.show": ("network", network.Name, network.show),
    "network.set": ("network", network.Set, network.change),
    "network.give": ("network", network.Give, network.give),
    "network.delete": ("network", network.Name, deletion.delete),
    "member.list": ("member", member.List, member.list_all),
    "member.show": ("member", member.Name, member.show),
    "member.adopt": ("member", member_adopt.Adopt, member_adopt.adopt),
    "member.add": ("member", member_add.Add, member_add.add),
    "member.authorize": ("member", member.Name, member.authorize),
    "member.deauthorize": ("member", member.Name, member.deauthorize),
    "member.ban": ("member", member.Name, member.ban),
    "member.unban": ("member", member.Name, member.unban),
    "member.forget": ("member", member.Forget, member.forget),
    "member.set": ("member", member_set.Set, member_set.change),
    "pool.add": ("pool", pool.Add, pool.add),
    "pool.list": ("pool", pool.Name, pool.list_all),
    "pool.usage": ("pool", pool.Name, pool.usage),
    "pool.remove": ("pool", pool.Remove, pool.remove),
    "pool.set": ("pool", pool.Set, pool.change),
    "prefix.add": ("prefix", prefix.Add, prefix.add),
    "prefix.list": ("lease", prefix.List, prefix.list_all),
    "prefix.show": ("prefix", prefix.Show, prefix.show),
    "prefix.remove": ("prefix", prefix.Name, prefix.remove),
    "prefix.lease": ("member", prefix.Lease, prefix.lease),
    "prefix.release": ("member", prefix.Name, prefix.release),
    "token.create": ("token", token.Create, token.create),
    "token.list": ("token", token.List, token.list_all),
    "token.show": ("token", token.Name, token.show),
    "token.revoke": ("token", token.Name, token.revoke),
    "token.prune": ("token", token.Prune, token.prune),
    "audit.list": ("audit", audit.List, audit.list_all),
    "audit.verify": ("audit", audit.Verify, audit.verify),
    "audit.export": ("audit", audit.Export, audit.export),
    "key.admin.add": ("admin key", admin_key.Add, admin_key.add),
    "key.admin.list": ("admin key", admin_key.List, admin_key.list_all),
    "key.admin.remove": ("admin key", admin_key.Name, admin_key.remove),
    "export": ("record", exported.Export, exported.export),
    "import": ("import", imported.Import, imported.take),
    "key.list": ("key", key.Nothing, key.list_all),
    "key.show": ("keyset", key.Nothing, key.show),
    "key.rotate": ("keyset", key.Quick, key.rotate),
    "key.retire": ("keyset", key.Quick, key.retire),
    "key.export": ("keyset", key.Nothing, key.export),
    "key.import": ("keyset", key.Paper, key.import_),
    "key.take-root": ("keyset", key.TakeRoot, key.take_root),
    "key.drop-root": ("keyset", key.DropRoot, key.drop_root),
    "status": ("status", status.Arguments, status.show),
    "watch": ("event", watch.Arguments, watch.watch),
}


def answer(
    office: Office,
    frame: bytes,
    now_ms: int,
    now: float,
    *,
    actor: str | None = "local",
    patient: bool = False,
) -> bytes:
    """The encoded answer; no frame makes it raise, but a database that cannot be written. `actor`
    None is somebody who may do nothing. Raises NotYetError only for whoever is `patient`.
    """
    try:
        call = decode_call(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = f"cannot understand this request: {error}"
        return encode_admin(Failed(0, Exit.USAGE, said, "ncadm and controller differ in version?"))
    if actor is None:
        said = f"cannot do {call.verb}: the key of this connection is no admin key (any more)"
        return encode_admin(Failed(call.id, Exit.DENIED, said, _KEYS))
    office.desk.look(now_ms, now)
    office.now_ms, office.now, office.actor = now_ms, now, actor
    office.dry_run, office.patient = call.dry_run, patient
    encoded = encode_admin(_run(office, call))
    if len(encoded) > MAX_ADMIN_FRAME:
        said = f"cannot answer {call.verb}: the answer is too large"
        return encode_admin(Failed(call.id, Exit.EXHAUSTED, said, "ask for less of it at once"))
    return encoded


def _run(office: Office, call: Call) -> Result | Failed:
    if call.verb not in VERBS:
        near = difflib.get_close_matches(call.verb, VERBS, 1)
        hint = f"did you mean {near[0]!r}?" if near else "ncadm and controller differ in version?"
        return Failed(call.id, Exit.USAGE, f"cannot do {call.verb!r}: there is no such verb", hint)
    kind, arguments_kind, verb = VERBS[call.verb]
    try:
        _refuse_read_only(call, arguments_kind)
        arguments = msgspec.convert(call.arguments, arguments_kind, strict=True)
        if call.dry_run and not changes(call.verb):
            raise CannotError(f"cannot rehearse {call.verb}: it changes nothing", code=Exit.USAGE)
        told = verb(office, arguments)
        if call.dry_run:
            return _rehearsed(call, ())
        if isinstance(told, Told):
            return Result(call.id, kind, told.items, told.note, told.next)
        return Result(call.id, kind, told)
    except NotYetError:
        raise
    except Rehearsed as rehearsed:
        return _rehearsed(call, rehearsed.entries)
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


def _rehearsed(call: Call, entries: Sequence[Entry]) -> Result:
    items = [{"action": e.action, "object": e.object, "detail": e.detail} for e in entries]
    would = "this would change:" if items else "this would change nothing"
    return Result(call.id, CHANGE, items, f"nothing was changed (--dry-run); {would}")


def _refuse_read_only(call: Call, arguments_kind: type[msgspec.Struct]) -> None:
    """What exists and nobody may set is told so; the rest is told which keys there are."""
    record, _, verb = call.verb.partition(".")
    if verb in ("set", "create") and record in RECORDS:
        check_writable(record, call.arguments.keys() - set(arguments_kind.__struct_fields__))

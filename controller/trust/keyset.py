"""Keysets and their changes (pure). A changed keyset has no number of its own yet: `propose` gives it one.

wanted = propose(current, pending, partial(with_signer, key=key), now_ms)
wanted is None      # current says it already
"""

from collections.abc import Callable, Iterable

import msgspec

from protocol.keys import VerifyKey
from protocol.statements import VERSION, ControllerEntry, Keyset

Change = Callable[[Keyset], Keyset]


def first_keyset(signer: VerifyKey, entry: ControllerEntry, now_ms: int) -> Keyset:
    return Keyset(
        version=VERSION,
        number=1,
        signers=(bytes(signer),),
        controllers=(entry,),
        issued_at=now_ms,
    )


def with_signer(keyset: Keyset, key: bytes) -> Keyset:
    signers = tuple(sorted({*keyset.signers, key}))
    return msgspec.structs.replace(keyset, signers=signers)


def without_signers(keyset: Keyset, keys: Iterable[bytes]) -> Keyset:
    signers = tuple(key for key in keyset.signers if key not in set(keys))
    return msgspec.structs.replace(keyset, signers=signers)


def with_controller(keyset: Keyset, entry: ControllerEntry) -> Keyset:
    """Who had one of its endpoints before is no more."""
    others = [
        other
        for other in keyset.controllers
        if other.key != entry.key and not set(other.endpoints) & set(entry.endpoints)
    ]
    entries = tuple(sorted([*others, entry], key=lambda one: one.key))
    return msgspec.structs.replace(keyset, controllers=entries)


def entry_of(keyset: Keyset, curve: bytes) -> ControllerEntry | None:
    """What the keyset says of the controller with this CURVE key."""
    return next((entry for entry in keyset.controllers if entry.key == curve), None)


def propose(current: Keyset, pending: Keyset | None, change: Change, now_ms: int) -> Keyset | None:
    """The keyset that is wanted after `change`; `pending` is one that was wanted before and waits
    to be signed. It stays as it is, byte for byte, when `change` is in it.
    """
    base = current if pending is None else pending
    changed = change(base)
    if _says(changed) == _says(base):
        return pending
    if _says(changed) == _says(current):
        return None
    return msgspec.structs.replace(changed, number=current.number + 1, issued_at=now_ms)


def _says(keyset: Keyset) -> tuple[object, ...]:
    return keyset.signers, keyset.controllers

"""Keys: what there is, a signer replaced, the root key offline, keysets signed elsewhere."""

from typing import Annotated, Any

import msgspec

from controller.refusal import RefusedError
from controller.trust.keeper import Deed, signer_name
from controller.trust.paper import MAX_TEXT, parse_signed, render_request
from controller.verbs.office import Items, Office, iso
from controller.verbs.paging import Told
from protocol.messages import Code
from protocol.statements import Keyset
from runtime.failure import CannotError, Exit


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Quick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    now: bool = False


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]


class TakeRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`public`: the X25519 key that the answer is sealed for, in hex."""

    public: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class DropRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`proof`: the root key's signature of the challenge, in hex."""

    proof: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]


def list_all(office: Office, _: Nothing) -> Items:
    """The keys of this controller, and those of others that the keyset names."""
    registry, now = office.registry, office.keeper.now
    keys, rotation = registry.keyring, now.rotation
    root = "here" if keys.root_signer is not None else "offline"
    items = [_item("root", keys.root.hex(), root, "signs the keyset")]
    for signer in sorted({*now.keyset.signers, *([rotation.next] if rotation.next else [])}):
        if signer == bytes(registry.signer.key):
            state = "signs"
        elif signer == rotation.next:
            state = "known" if signer in now.keyset.signers else "waits for the root key"
        else:
            state = "believed"
        said = "signs memberships and states" if state == "signs" else ""
        items.append(_item("signer", signer_name(signer), state, said))
    for entry in now.keyset.controllers:
        mine = entry.key == bytes(keys.curve_public)
        said = ", ".join(entry.endpoints)
        items.append(_item("curve", entry.key.hex(), "this" if mine else "another", said))
    return items


def show(office: Office, _: Nothing) -> Items:
    """The keyset, who holds it, and how far a rotation is."""
    now, sessions = office.keeper.now, list(office.sessions)
    number = now.keyset.number
    return [
        {
            "keyset": number,
            "issued": iso(now.keyset.issued_at),
            "root": office.registry.keyring.root.hex(),
            "root_key": "offline" if office.registry.keyring.root_signer is None else "here",
            "signers": [signer_name(key) for key in now.keyset.signers],
            "signing": office.registry.signer.id.hex(),
            "controllers": _controllers(now.keyset),
            "online": len(sessions),
            "holding": sum(session.keyset >= number for session in sessions),
            "rotation": now.rotation.step(now.keyset.signers),
            "since": iso(now.rotation.since_ms),
            "waiting": now.pending.number if now.pending is not None else None,
            "fingerprint": now.signed.signature[:8].hex(),
            "challenge": office.root.challenge.hex(),
        }
    ]


def rotate(office: Office, wanted: Quick) -> Items | Told:
    office.keeper.rotate(_deed(office), quick=wanted.now)
    return _shown(office)


def retire(office: Office, wanted: Quick) -> Items | Told:
    office.keeper.retire(_deed(office), quick=wanted.now)
    return _shown(office)


def export(office: Office, _: Nothing) -> Items:
    """What the root key is to sign."""
    pending = office.keeper.now.pending
    if pending is None:
        raise RefusedError(
            Code.CONFLICT,
            "cannot export a keyset: there is none that waits for the root key",
            hint="it comes with a new signer: ncadm key rotate; or new `endpoints` in controller.yaml",
        )
    root = office.registry.keyring.root
    return [
        {
            "keyset": pending.number,
            "signers": [signer_name(key) for key in pending.signers],
            "controllers": _controllers(pending),
            "request": render_request(root, pending),
        }
    ]


def import_(office: Office, wanted: Paper) -> Items | Told:
    root, signed = parse_signed(wanted.text.encode())
    mine = office.registry.keyring.root
    if root != mine:
        raise CannotError(
            f"cannot import this keyset: the root key {root.hex()[:16]}… signed it,"
            f" that of this controller is {mine.hex()[:16]}…",
            hint="it is another controller's",
            code=Exit.VERIFICATION,
        )
    office.keeper.adopt(_deed(office), signed)
    return _shown(office)


def take_root(office: Office, wanted: TakeRoot) -> Items:
    _only_from_here(office)
    public = bytes.fromhex(wanted.public)
    sealed = office.root.hand_out(_deed(office), public)
    root, challenge = office.registry.keyring.root, office.root.challenge
    return [{"root": root.hex(), "sealed": sealed.hex(), "challenge": challenge.hex()}]


def drop_root(office: Office, wanted: DropRoot) -> Items:
    _only_from_here(office)
    office.root.remove(_deed(office), bytes.fromhex(wanted.proof))
    return show(office, Nothing())


def _deed(office: Office) -> Deed:
    return Deed(office.change, office.actor, office.now_ms, office.now, office.dry_run)


def _only_from_here(office: Office) -> None:
    """The secret goes to nobody over a network."""
    if not office.actor.startswith("local"):
        raise RefusedError(
            Code.DENIED,
            "cannot take the root key offline from afar",
            hint="on the controller's machine: ncadm key offline-root FILE",
        )


def _shown(office: Office) -> Items | Told:
    items = show(office, Nothing())
    if office.keeper.now.pending is None:
        return items
    return Told(items, "the root key must sign first: ncadm key export > request")


def _controllers(keyset: Keyset) -> list[dict[str, Any]]:
    return [{"key": e.key.hex(), "endpoints": list(e.endpoints)} for e in keyset.controllers]


def _item(kind: str, key: str, state: str, said: str) -> dict[str, Any]:
    return {"kind": kind, "key": key, "state": state, "use": said}

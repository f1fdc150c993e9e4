"""`ncadm key …`"""

import argparse
import sys
from pathlib import Path
from typing import Any

from controller.admin import admin_key
from controller.admin.client import Items, add_common, add_verbs, add_yes, ask, confirm
from controller.admin.reserve import reserve
from runtime.cli import print_items
from runtime.failure import CannotError, Exit
from runtime.usage import add_verb

KEYS = {"kind": "kind", "key": "key", "state": "state", "use": "use"}
KEYSET = {
    "keyset": "keyset",
    "signing": "signing",
    "root_key": "root key",
    "holding": "holding",
    "online": "online",
    "rotation": "rotation",
    "waiting": "to be signed",
}
FILE_MAX = 256 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    add_verb(verbs, "list", "list the keys and what each is for")
    add_verb(verbs, "show", "show the keyset, who holds it, and how far a rotation is")
    add_verb(
        verbs, "export", "print what an offline root key is to sign", "ncadm key export > request"
    )
    rotate = add_verb(
        verbs,
        "rotate",
        "replace the key that signs; nodes are told first, the old one is believed for a week more",
        "ncadm key rotate",
    )
    rotate.add_argument(
        "--now", action="store_true", help="do not wait until all nodes know the new one"
    )
    retire = add_verb(
        verbs,
        "retire",
        "believe signers that were replaced no more, before their week is over",
        "ncadm key retire",
    )
    retire.add_argument(
        "--now", action="store_true", help="though nodes would lose peers until they reconnect"
    )
    offline = add_verb(
        verbs,
        "offline-root",
        "write the root key's secret to a file and remove it from the controller",
        "ncadm key offline-root /media/usb/root",
    )
    offline.add_argument("file", type=Path, metavar="FILE", help="where the secret goes; new")
    importing = add_verb(
        verbs,
        "import",
        "take a keyset that an offline root key has signed",
        "ncadm key import signed",
    )
    importing.add_argument(
        "file", type=Path, metavar="FILE", help="`zosnet-controller sign` made it"
    )
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    admin_key.add_admin(verbs)
    for verb in ("retire", "offline-root"):
        add_yes(verbs.choices[verb])


def run(arguments: argparse.Namespace) -> int:
    match arguments.verb:
        case "admin":
            return admin_key.run(arguments)
        case "list":
            print_items("key", ask(arguments, "key.list", {}), KEYS, output=arguments.output)
            return 0
        case "export":
            return _export(arguments)
        case "offline-root":
            items = _offline_root(arguments)
        case "import":
            items = ask(arguments, "key.import", {"text": _text(arguments.file)})
        case "show":
            items = ask(arguments, "key.show", {})
        case verb:
            if verb == "retire":
                confirm(arguments, "Believe the replaced signers no more?")
            items = ask(arguments, f"key.{verb}", {"now": arguments.now})
    print_items("keyset", items, KEYSET, output=arguments.output)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    items = ask(arguments, "key.export", {})
    if arguments.output == "table":
        print(items[0]["request"], end="")
        print(
            f"keyset {items[0]['keyset']}: sign it where the root key is, with"
            " zosnet-controller sign --root-key FILE REQUEST > signed",
            file=sys.stderr,
        )
    else:
        print_items("keyset", items, KEYSET, output=arguments.output)
    return 0


def _offline_root(arguments: argparse.Namespace) -> Items:
    """Written, read again, and shown to be whole before the controller forgets it."""
    from protocol.keys import new_curve_pair

    path: Path = arguments.file
    if path.exists():
        raise CannotError(
            f"cannot write the root key to {path}: there is something already",
            hint="name a new file",
            code=Exit.CONFLICT,
        )
    confirm(arguments, "Remove the root key from the controller?")
    public, secret = new_curve_pair()
    said = "nothing has been taken away"
    with reserve(path, "the root key", said) as keep:
        taken = ask(arguments, "key.take-root", {"public": public.hex()})[0]
        if keep is not None:
            keep(_opened(taken["sealed"], bytes(secret)).hex().encode() + b"\n")
    proof = _prove(path, taken)
    items = ask(arguments, "key.drop-root", {"proof": proof.hex()})
    print(
        f"the root key is in {path} and nowhere else: keep it, with a copy, away from here",
        file=sys.stderr,
    )
    return items


def _opened(sealed: str, secret: bytes) -> bytes:
    from nacl.public import PrivateKey, SealedBox

    return bytes(SealedBox(PrivateKey(secret)).decrypt(bytes.fromhex(sealed)))


def _prove(path: Path, taken: dict[str, Any]) -> bytes:
    """By what stands in the file. Raises CannotError."""
    from nacl import bindings

    from controller.signing.keyring import read_key
    from protocol.keys import SIGNATURE_SIZE, SigningSeed, verify_key

    seed = SigningSeed(read_key(path))
    public = verify_key(seed)
    if public.hex() != taken["root"]:
        raise CannotError(
            f"cannot take the root key offline: {path} does not hold it",
            hint="nothing has been taken away; try another place",
            code=Exit.VERIFICATION,
        )
    challenge = bytes.fromhex(taken["challenge"])
    return bindings.crypto_sign(challenge, bytes(seed) + bytes(public))[:SIGNATURE_SIZE]


def _text(path: Path) -> str:
    hint = "make it with: zosnet-controller sign --root-key FILE REQUEST > signed"
    try:
        with path.open("rb") as file:
            return file.read(FILE_MAX).decode()
    except OSError as error:
        raise CannotError(
            f"cannot read {path}: {error.strerror}", hint=hint, code=Exit.USAGE
        ) from error
    except UnicodeDecodeError as error:
        raise CannotError(
            f"cannot import {path}: it is no text", hint=hint, code=Exit.USAGE
        ) from error

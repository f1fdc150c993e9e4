"""`zosnet-controller sign`: sign a keyset with an offline root key, on any machine.

It opens no database and no network. What it signs is shown first (stderr); the signed keyset goes
to stdout.
"""

import argparse
import sys
from pathlib import Path

from controller.signing.keyring import KeyFileError, read_key
from controller.trust.paper import MAX_TEXT, parse_request, render_signed
from protocol.ids import controller_id
from protocol.keys import SigningSeed, VerifyKey
from protocol.signed import Signer, signer_id
from protocol.statements import Keyset
from runtime.failure import CannotError, Exit

EXAMPLES = ("zosnet-controller sign --root-key root request > signed",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root-key",
        type=Path,
        required=True,
        metavar="FILE",
        help="the secret that `ncadm key offline-root` wrote",
    )
    parser.add_argument(
        "request",
        type=Path,
        metavar="REQUEST",
        help="the file that `ncadm key export` wrote; - for stdin",
    )


def run(arguments: argparse.Namespace) -> int:
    root, keyset = parse_request(_read(arguments.request))
    signer = Signer(SigningSeed(_root_key(arguments.root_key)))
    if signer.key != root:
        raise CannotError(
            f"cannot sign this: it is for controller {controller_id(root)}, and the key"
            f" {arguments.root_key} is of {controller_id(signer.key)}",
            hint="use the root key of that controller",
            code=Exit.CONFLICT,
        )
    for line in describe(root, keyset):
        print(line, file=sys.stderr)
    print(render_signed(root, signer.seal(keyset)), end="")
    return Exit.OK


def describe(root: VerifyKey, keyset: Keyset) -> list[str]:
    """What is to be signed, for people."""
    signers = ", ".join(signer_id(VerifyKey(key)).hex() for key in keyset.signers)
    lines = [
        f"keyset {keyset.number} of controller {controller_id(root)}",
        f"signers      {signers}",
    ]
    controllers = (f"{e.key.hex()} at {', '.join(e.endpoints)}" for e in keyset.controllers)
    return lines + [f"controller   {one}" for one in controllers]


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MAX_TEXT)
        return path.read_bytes()
    except OSError as error:
        raise CannotError(
            f"cannot read {path}: {error.strerror}",
            hint="make one with: ncadm key export > request",
            code=Exit.USAGE,
        ) from error


def _root_key(path: Path) -> bytes:
    try:
        return read_key(path)
    except KeyFileError as error:
        backup = error.hint is not None and "backup" in error.hint
        hint = "name the file that `ncadm key offline-root` wrote" if backup else error.hint
        raise CannotError(error.message, hint=hint, code=error.code) from error

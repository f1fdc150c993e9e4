"""Keysets on their way to an offline root key and back, as files that people carry (pure).

text = render_request(root, keyset)         # ncadm key export
request = parse_request(text)               # zosnet-controller sign, on any machine
text = render_signed(root, signed)
root, signed = parse_signed(text)           # ncadm key import, as the controller reads it
"""

import msgspec

from protocol.keys import Key32, VerifyKey
from protocol.signed import Signed, StatementError
from protocol.statements import Keyset, check
from runtime.failure import CannotError, Exit

MAX_TEXT = 256 * 1024


class Request(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="zosnet",
    tag="keyset request",
):
    root: Key32
    keyset: bytes


class Answer(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="zosnet", tag="signed keyset"
):
    root: Key32
    keyset: Signed


class PaperError(CannotError):
    """The file is not what it should be."""

    def __init__(self, what: str, reason: str, hint: str) -> None:
        super().__init__(f"cannot {what}: {reason}", hint=hint, code=Exit.USAGE)


def render_request(root: VerifyKey, keyset: Keyset) -> str:
    return _render(Request(bytes(root), msgspec.msgpack.encode(keyset)))


def render_signed(root: VerifyKey, signed: Signed) -> str:
    return _render(Answer(bytes(root), signed))


def parse_request(text: bytes) -> tuple[VerifyKey, Keyset]:
    """Raises PaperError."""
    what = "sign this"
    paper = _parse(text, what, "make one with: ncadm key export")
    if isinstance(paper, Answer):
        raise PaperError(what, "it is signed already", "bring it back: ncadm key import FILE")
    try:
        keyset = msgspec.msgpack.decode(paper.keyset, type=Keyset)
        check(keyset)
    except (msgspec.MsgspecError, StatementError) as error:
        raise PaperError(
            what, f"its keyset: {error}", "make a new one: ncadm key export"
        ) from error
    if msgspec.msgpack.encode(keyset) != paper.keyset:
        raise PaperError(
            what, "its keyset is not in canonical form", "make a new one: ncadm key export"
        )
    return VerifyKey(paper.root), keyset


def parse_signed(text: bytes) -> tuple[VerifyKey, Signed]:
    """What somebody says is signed; the signature is the caller's to verify. Raises PaperError."""
    what = "import this"
    way = "make one with: zosnet-controller sign --root-key FILE REQUEST"
    paper = _parse(text, what, way)
    if isinstance(paper, Request):
        raise PaperError(what, "it is a request that nobody has signed", way)
    return VerifyKey(paper.root), paper.keyset


def _parse(text: bytes, what: str, way: str) -> Request | Answer:
    if not text.strip():
        raise PaperError(what, "it is empty", way)
    try:
        paper: Request | Answer = msgspec.json.decode(text[:MAX_TEXT], type=Request | Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PaperError(what, f"it is no keyset file: {error}", way) from error
    return paper


def _render(paper: Request | Answer) -> str:
    return msgspec.json.format(msgspec.json.encode(paper), indent=1).decode() + "\n"

"""The join string: all a node needs to be admitted, as text that a person can copy.

    zosnet1 + base32 of: version, length (2 bytes), root key, token secret, n times (key, size, endpoint), check (4)

A token of zeros is none: the controller knows the node's own key already (`ncadm member add`).
Base32 in small letters without padding: no blanks, one word, no case to get wrong. The length is
in front, so that a paste that lost its end is told from one that was damaged.
"""

import base64
from hashlib import blake2b

from msgspec import Struct

from protocol.keys import KEY_SIZE, CurvePublic, CurveSecret, VerifyKey
from runtime.failure import CannotError, Exit

PREFIX = "zosnet1"
MAX_CONTROLLERS = 4
NO_TOKEN = CurveSecret(bytes(KEY_SIZE))
_HEADER = 3


class JoinStringError(CannotError):
    """The text is not a join string that can be used."""

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"cannot use the join string: {reason}", hint=hint, code=Exit.USAGE)
        self.reason = reason


class JoinString(Struct, frozen=True):
    """`controllers`: (endpoint `tcp://host:port`, CURVE key), at most four. With NO_TOKEN it
    holds no secret, and lets in only whom the controller knows.
    """

    root: VerifyKey
    token: CurveSecret
    controllers: tuple[tuple[str, CurvePublic], ...]

    @property
    def has_token(self) -> bool:
        return self.token != NO_TOKEN

    def __repr__(self) -> str:  # the token is a secret: it must not get into logs
        return f"JoinString(controllers={[endpoint for endpoint, _ in self.controllers]})"


def render_join_string(join: JoinString) -> str:
    if not 1 <= len(join.controllers) <= MAX_CONTROLLERS:
        raise ValueError(f"a join string names 1 to {MAX_CONTROLLERS} controllers")
    body = bytes(join.root) + bytes(join.token)
    for endpoint, key in join.controllers:
        name = endpoint.encode()
        if len(name) > 255:
            raise ValueError("an endpoint is too long")
        body += bytes(key) + bytes([len(name)]) + name
    head = b"\x01" + (_HEADER + len(body) + 4).to_bytes(2)
    data = head + body
    return PREFIX + base64.b32encode(data + _check(data)).decode().rstrip("=").lower()


def parse_join_string(text: str) -> JoinString:
    """Raises JoinStringError with what is wrong: no join string, cut off, damaged, other version."""
    word = "".join(text.split()).lower()
    if not word:
        raise JoinStringError("it is empty", hint="make one with: ncadm token create NETWORK")
    if not word.startswith(PREFIX):
        raise JoinStringError(
            "it does not begin with zosnet1", hint="make one with: ncadm token create NETWORK"
        )
    data = _decode(word.removeprefix(PREFIX))
    if len(data) < _HEADER:
        raise JoinStringError("it is cut off", hint="copy all of it: it is one word")
    if data[0] != 1:
        raise JoinStringError(
            f"it has version {data[0]}, this program knows 1", hint="update zosnet on this node"
        )
    length = int.from_bytes(data[1:3])
    if len(data) < length:
        raise JoinStringError(
            f"it is cut off: {len(data)} of {length} bytes are there",
            hint="copy all of it: it is one word",
        )
    too_many = len(word) - len(PREFIX) - -(-length * 8 // 5)
    if too_many > 0:
        raise JoinStringError(
            f"it has {too_many} characters too many", hint="copy it again: it is one word"
        )
    if data[-4:] != _check(data[:-4]):
        raise JoinStringError(
            "it is damaged: its check sum is wrong", hint="copy it again, or make a new one"
        )
    return _parse_body(data[_HEADER:-4])


def _decode(text: str) -> bytes:
    whole = len(text) - len(text) % 8
    for end in (len(text), whole):  # a cut can leave a rest that is no base32: read what is whole
        part = text[:end]
        try:
            return base64.b32decode(part.upper() + "=" * (-len(part) % 8))
        except ValueError:  # binascii.Error is one; it is another for what is not ASCII
            continue
    raise JoinStringError(
        "it is damaged: it has characters that do not belong", hint="copy it again"
    )


def _parse_body(body: bytes) -> JoinString:
    root, token, rest = body[:KEY_SIZE], body[KEY_SIZE : 2 * KEY_SIZE], body[2 * KEY_SIZE :]
    controllers = []
    while rest:
        size = rest[KEY_SIZE] if len(rest) > KEY_SIZE else 256
        if len(rest) < KEY_SIZE + 1 + size:
            raise JoinStringError("it is damaged: a controller is cut off")
        name = rest[KEY_SIZE + 1 : KEY_SIZE + 1 + size]
        if not name.isascii():
            raise JoinStringError("it is damaged: an endpoint is no text")
        controllers.append((name.decode(), CurvePublic(rest[:KEY_SIZE])))
        rest = rest[KEY_SIZE + 1 + size :]
    if not 1 <= len(controllers) <= MAX_CONTROLLERS:
        raise JoinStringError("it names no controller")
    return JoinString(VerifyKey(root), CurveSecret(token), tuple(controllers))


def _check(data: bytes) -> bytes:
    return blake2b(data, digest_size=4, person=b"zosnet-join").digest()

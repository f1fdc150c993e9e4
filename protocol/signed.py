"""A signed statement: the bytes that were signed travel, with who signed them.

    signed = seal(Membership(...), seed)           # controller
    membership = open_signed(signed, Membership, {signer_id: verify_key})   # agent

The payload is MessagePack of an array-like struct. It must be canonical: decoded and encoded again
it gives the same bytes, else it is refused, so no two byte strings mean the same. Each kind of
statement signs under its own domain string; a signature for one can not be shown as another.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, ClassVar, Protocol, TypeVar

import msgspec
from nacl import bindings
from nacl.exceptions import BadSignatureError

from protocol.keys import SIGNATURE_SIZE, SigningSeed, VerifyKey, verify_key

SIGNER_ID_SIZE = 8
MAX_PAYLOAD = 48 * 1024


class Statement(Protocol):
    """What can be sealed: a msgspec struct that names its domain."""

    DOMAIN: ClassVar[bytes]
    __struct_config__: ClassVar[msgspec.structs.StructConfig]


S = TypeVar("S", bound=Statement)


class Signed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    payload: Annotated[bytes, msgspec.Meta(max_length=MAX_PAYLOAD)]
    signer: Annotated[bytes, msgspec.Meta(min_length=SIGNER_ID_SIZE, max_length=SIGNER_ID_SIZE)]
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]


class StatementError(Exception):
    """A statement that is not to be believed; the text says why."""


def signer_id(key: VerifyKey) -> bytes:
    """8 bytes that name a signer inside a keyset."""
    return blake2b(bytes(key), digest_size=SIGNER_ID_SIZE, person=b"zosnet-signer").digest()


class Signer:
    """An Ed25519 seed ready to sign: 16 µs a statement."""

    def __init__(self, seed: SigningSeed) -> None:
        self.key = verify_key(seed)
        self.id = signer_id(self.key)
        self._secret = bytes(seed) + bytes(self.key)

    def seal(self, statement: Statement) -> Signed:
        payload = msgspec.msgpack.encode(statement)
        signature = bindings.crypto_sign(statement.DOMAIN + payload, self._secret)[:SIGNATURE_SIZE]
        return Signed(payload, self.id, signature)


def open_signed(signed: Signed, kind: type[S], keys: Mapping[bytes, VerifyKey]) -> S:
    """The statement in `signed`, when one of `keys` (signer id: key) made it.

    Raises StatementError: unknown signer, wrong signature, not canonical, not a `kind`.
    """
    key = keys.get(signed.signer)
    if key is None:
        raise StatementError(f"signed by {signed.signer.hex()}, whom we do not know")
    try:
        bindings.crypto_sign_open(signed.signature + kind.DOMAIN + signed.payload, bytes(key))
    except (BadSignatureError, ValueError) as error:
        raise StatementError("the signature is wrong") from error
    return read_unverified(signed, kind)


def read_unverified(signed: Signed, kind: type[S]) -> S:
    """The statement without a look at who signed it: for those who made or verified it before."""
    try:
        statement = msgspec.msgpack.decode(signed.payload, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise StatementError(f"it can not be read: {error}") from error
    if msgspec.msgpack.encode(statement) != signed.payload:
        raise StatementError("it is not in canonical form")
    return statement

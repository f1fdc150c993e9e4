"""The kinds of key, 32 bytes each, and the operations on them that both sides need.

All are raw bytes inside the programs. ZeroMQ wants Z85 text, WireGuard's tools base64 and its
userspace socket hex: those are made at the edges, with the functions here.
"""

from typing import Annotated, NewType

import msgspec

KEY_SIZE = 32
SIGNATURE_SIZE = 64

Key32 = Annotated[bytes, msgspec.Meta(min_length=KEY_SIZE, max_length=KEY_SIZE)]

CurvePublic = NewType(
    "CurvePublic", bytes
)  # X25519: a node's, a token's or a controller's connection key
CurveSecret = NewType("CurveSecret", bytes)
WireGuardPublic = NewType("WireGuardPublic", bytes)
WireGuardSecret = NewType("WireGuardSecret", bytes)
VerifyKey = NewType("VerifyKey", bytes)  # Ed25519, public
SigningSeed = NewType("SigningSeed", bytes)  # Ed25519, the 32 secret bytes

_P = 2**255 - 19
_ORDER_8 = (
    0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
)
_LOW_ORDER = frozenset(
    (point | top << 255).to_bytes(KEY_SIZE, "little")
    for point in (0, 1, _P - 1, *_ORDER_8, _P, _P + 1)  # the last two are 0 and 1 once more
    for top in (0, 1)  # X25519 does not look at it (RFC 7748, section 5)
)

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_Z85_VALUE = {c: i for i, c in enumerate(_Z85)}


def is_low_order(key: bytes) -> bool:
    """Whether an X25519 public key is a point of low order: what it shares with any secret is zero
    (RFC 7748, section 6.1), so that whoever shows it needs none.
    """
    return key in _LOW_ORDER


def new_curve_pair() -> tuple[CurvePublic, CurveSecret]:
    """A new X25519 pair. WireGuard and CURVE use the same kind."""
    from nacl import bindings  # noqa: PLC0415  # 10 ms that only key makers pay

    secret = bindings.randombytes(KEY_SIZE)
    return CurvePublic(bindings.crypto_scalarmult_base(secret)), CurveSecret(secret)


def curve_public(secret: CurveSecret) -> CurvePublic:
    from nacl import bindings  # noqa: PLC0415

    return CurvePublic(bindings.crypto_scalarmult_base(bytes(secret)))


def new_wireguard_pair() -> tuple[WireGuardPublic, WireGuardSecret]:
    public, secret = new_curve_pair()
    return WireGuardPublic(bytes(public)), WireGuardSecret(bytes(secret))


def new_signing_seed() -> SigningSeed:
    from nacl import bindings  # noqa: PLC0415

    return SigningSeed(bindings.randombytes(KEY_SIZE))


def verify_key(seed: SigningSeed) -> VerifyKey:
    from nacl import bindings  # noqa: PLC0415

    public, _ = bindings.crypto_sign_seed_keypair(bytes(seed))
    return VerifyKey(public)


def to_z85(key: bytes) -> bytes:
    """32 bytes as the 40 characters that ZeroMQ takes (ZeroMQ RFC 32)."""
    text = []
    for start in range(0, len(key), 4):
        value = int.from_bytes(key[start : start + 4])
        text += [_Z85[value // 85**power % 85] for power in (4, 3, 2, 1, 0)]
    return "".join(text).encode()


def from_z85(text: bytes) -> bytes:
    """Raises ValueError when `text` is not Z85."""
    if len(text) % 5:
        raise ValueError("not Z85: the length is no multiple of 5")
    data = bytearray()
    for start in range(0, len(text), 5):
        value = 0
        for character in text[start : start + 5].decode("ascii"):
            if character not in _Z85_VALUE:
                raise ValueError("not Z85: unknown character")
            value = value * 85 + _Z85_VALUE[character]
        if value >> 32:
            raise ValueError("not Z85: the value is too large")
        data += value.to_bytes(4)
    return bytes(data)

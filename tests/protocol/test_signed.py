"""Statements: what was signed is believed, everything else is refused."""

from ipaddress import ip_interface

import msgspec
import pytest

from protocol.keys import new_signing_seed
from protocol.packing import pack_interface
from protocol.signed import Signed, Signer, StatementError, open_signed
from protocol.statements import Keyset, Membership, NetworkState, check

SIGNER = Signer(new_signing_seed())
KEYS = {SIGNER.id: SIGNER.key}
MEMBERSHIP = Membership(
    version=1,
    network="00112233440000aa",
    node=b"n" * 32,
    wireguard=b"w" * 32,
    addresses=(
        pack_interface(ip_interface("10.9.0.2/16")),
        pack_interface(ip_interface("fd00::2/64")),
    ),
    prefixes=(),
    roles=("transit",),
    relays=(),
    serial=1,
    issued_at=1_790_000_000_000,
    not_after=0,
)


def test_a_sealed_statement_opens_as_it_was() -> None:
    assert open_signed(SIGNER.seal(MEMBERSHIP), Membership, KEYS) == MEMBERSHIP


def test_every_flipped_bit_is_refused() -> None:
    signed = SIGNER.seal(MEMBERSHIP)
    whole = msgspec.msgpack.encode(signed)
    assert msgspec.msgpack.decode(whole, type=Signed) == signed
    believed = []
    for bit in range(len(whole) * 8):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        try:
            other = msgspec.msgpack.decode(bytes(altered), type=Signed)
            open_signed(other, Membership, KEYS)
        except (msgspec.MsgspecError, StatementError):
            continue
        believed.append(bit)

    assert believed == []


def test_every_truncation_is_refused() -> None:
    whole = msgspec.msgpack.encode(SIGNER.seal(MEMBERSHIP))
    for size in range(len(whole)):
        with pytest.raises((msgspec.MsgspecError, StatementError)):
            open_signed(msgspec.msgpack.decode(whole[:size], type=Signed), Membership, KEYS)


def test_an_unknown_signer_is_refused() -> None:
    stranger = Signer(new_signing_seed())

    with pytest.raises(StatementError, match="whom we do not know"):
        open_signed(stranger.seal(MEMBERSHIP), Membership, KEYS)


def test_a_signature_for_one_kind_is_none_for_another() -> None:
    signed = SIGNER.seal(MEMBERSHIP)

    with pytest.raises(StatementError, match="signature"):
        open_signed(signed, NetworkState, KEYS)


def test_a_payload_that_is_not_canonical_is_refused() -> None:
    """The same values in longer MessagePack forms, properly signed."""

    class Longer(msgspec.Struct):
        DOMAIN = Membership.DOMAIN

    payload = msgspec.msgpack.encode(MEMBERSHIP)
    assert payload[0] == 0x9B  # fixarray of 11
    longer = b"\xdc\x00\x0b" + payload[1:]  # array 16 of 11
    from nacl import bindings

    signature = bindings.crypto_sign(Membership.DOMAIN + longer, SIGNER._secret)[:64]

    with pytest.raises(StatementError, match="canonical"):
        open_signed(Signed(longer, SIGNER.id, signature), Membership, KEYS)


def test_unsorted_lists_and_unknown_versions_are_refused() -> None:
    check(MEMBERSHIP)  # the control
    for wrong in (
        msgspec.structs.replace(MEMBERSHIP, addresses=MEMBERSHIP.addresses[::-1]),
        msgspec.structs.replace(MEMBERSHIP, roles=("transit", "transit")),
        msgspec.structs.replace(MEMBERSHIP, roles=("king",)),
        msgspec.structs.replace(MEMBERSHIP, version=2),
        msgspec.structs.replace(MEMBERSHIP, prefixes=(b"\x0a\x00\x00\x01\x08",)),
    ):
        with pytest.raises(StatementError):
            check(wrong)


def test_a_keyset_gives_the_keys_to_open_with() -> None:
    keyset = Keyset(version=1, number=1, signers=(bytes(SIGNER.key),), controllers=(), issued_at=0)

    assert open_signed(SIGNER.seal(MEMBERSHIP), Membership, keyset.verify_keys()) == MEMBERSHIP

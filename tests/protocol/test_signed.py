"""Statements: what was signed is believed, everything else is refused."""

import contextlib
from ipaddress import ip_interface

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

import protocol.statements
from protocol.keys import new_signing_seed
from protocol.packing import pack_interface
from protocol.signed import Signed, Signer, Statement, StatementError, open_signed
from protocol.statements import ControllerEntry, Keyset, Membership, NetworkState, check
from tests.protocol import documented
from tests.protocol.edits import Edits, edited, edits

Kind = Membership | NetworkState | Keyset
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
    via=b"t" * 32,
)


KINDS: dict[str, type[Kind]] = {
    "Keyset": Keyset,
    "Membership": Membership,
    "NetworkState": NetworkState,
}
EVERY_KEY = {one.id: one.key for one in (documented.ROOT, documented.SIGNER)}


def test_each_kind_that_is_signed_is_tried() -> None:
    signed = {
        value.__name__
        for value in vars(protocol.statements).values()
        if isinstance(value, type) and hasattr(value, "DOMAIN") and value is not Statement
    }

    assert signed == set(KINDS) == set(documented.STATEMENTS)


def test_a_sealed_statement_opens_as_it_was() -> None:
    assert open_signed(SIGNER.seal(MEMBERSHIP), Membership, KEYS) == MEMBERSHIP


def opened(data: bytes, kind: type[Kind]) -> Kind:
    """From a frame's bytes to a statement that is believed, as both sides do it."""
    statement = open_signed(msgspec.msgpack.decode(data, type=Signed), kind, EVERY_KEY)
    check(statement)
    return statement


@pytest.mark.parametrize("name", KINDS)
def test_every_flipped_bit_is_refused(name: str) -> None:
    whole = msgspec.msgpack.encode(documented.STATEMENTS[name])
    kind = KINDS[name]
    assert isinstance(opened(whole, kind), kind)  # the control
    believed = []
    for bit in range(len(whole) * 8):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        try:
            opened(bytes(altered), kind)
        except (msgspec.MsgspecError, StatementError):
            continue
        believed.append(bit)
    print(f"{name}: {len(whole) * 8} bits flipped, {len(believed)} believed")

    assert believed == []


@pytest.mark.parametrize("name", KINDS)
def test_every_truncation_and_every_byte_more_is_refused(name: str) -> None:
    signed = documented.STATEMENTS[name]
    whole = msgspec.msgpack.encode(signed)
    for data in [*(whole[:size] for size in range(len(whole))), whole + b"\0"]:
        with pytest.raises((msgspec.MsgspecError, StatementError)):
            opened(data, KINDS[name])
    for size in range(len(signed.payload)):  # signed by who may sign it
        with pytest.raises(StatementError):
            open_signed(sealed(signed.payload[:size], name), KINDS[name], EVERY_KEY)
    with pytest.raises(StatementError):
        open_signed(sealed(signed.payload + b"\0", name), KINDS[name], EVERY_KEY)


@pytest.mark.parametrize("name", KINDS)
def test_no_statement_is_taken_for_another_kind(name: str) -> None:
    for other, kind in KINDS.items():
        if other != name:
            with pytest.raises(StatementError, match="signature"):
                open_signed(documented.STATEMENTS[name], kind, EVERY_KEY)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KINDS)), edits)
def test_whatever_is_signed_is_refused_or_has_one_form_only(name: str, changes: Edits) -> None:
    """Even a signer can not make two byte strings that mean the same."""
    payload = edited(documented.STATEMENTS[name].payload, changes)
    try:
        statement = open_signed(sealed(payload, name), KINDS[name], EVERY_KEY)
    except StatementError:
        return

    assert msgspec.msgpack.encode(statement) == payload
    with contextlib.suppress(StatementError):
        check(statement)


def sealed(payload: bytes, name: str) -> Signed:
    """Properly signed, whatever it is."""
    by = documented.ROOT if name == "Keyset" else documented.SIGNER
    signature = bindings.crypto_sign(KINDS[name].DOMAIN + payload, by._secret)[:64]
    return Signed(payload, by.id, signature)


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
    assert payload[0] == 0x9C  # fixarray of 12
    longer = b"\xdc\x00\x0c" + payload[1:]  # array 16 of 12
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


def test_a_keyset_is_in_order_and_names_endpoints_that_can_be_connected_to() -> None:
    one, two = (ControllerEntry(key * 32, ("tcp://203.0.113.10:9930",)) for key in (b"a", b"b"))
    keyset = Keyset(1, 1, (b"a" * 32, b"b" * 32), (one, two), 0)
    check(keyset)  # the control
    replace = msgspec.structs.replace
    for wrong in (
        replace(keyset, signers=keyset.signers[::-1]),
        replace(keyset, signers=(b"a" * 32, b"a" * 32)),
        replace(keyset, controllers=(two, one)),
        replace(keyset, controllers=(one, one)),
        replace(keyset, controllers=(replace(one, endpoints=("ipc:///run/x",)),)),
        replace(keyset, controllers=(replace(one, endpoints=("tcp://a b:1",)),)),
        replace(keyset, version=2),
    ):
        with pytest.raises(StatementError):
            check(wrong)


def test_a_keyset_gives_the_keys_to_open_with() -> None:
    keyset = Keyset(version=1, number=1, signers=(bytes(SIGNER.key),), controllers=(), issued_at=0)

    assert open_signed(SIGNER.seal(MEMBERSHIP), Membership, keyset.verify_keys()) == MEMBERSHIP

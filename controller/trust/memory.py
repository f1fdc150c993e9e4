"""What the database keeps of keys: the signed keyset, one that waits for its signature, how far a
rotation is, and which signer signs. All within the caller's transaction, each row with its sum.
"""

import msgspec
from sqlalchemy import Connection

from controller.store.loading import read_sealed, write_sealed
from controller.store.sums import Sums
from controller.trust.rotation import Rotation
from protocol.keys import VerifyKey
from protocol.signed import Signed, StatementError, open_signed, signer_id
from protocol.statements import Keyset, check

KEYSET, PENDING, ROTATION, SIGNING = "keyset", "keyset wanted", "rotation", "signing"


def open_keyset(signed: Signed, root: VerifyKey) -> Keyset:
    """Raises StatementError."""
    keyset = open_signed(signed, Keyset, {signer_id(root): root})
    check(keyset)
    return keyset


def first_rows(signed: Signed, signer: VerifyKey, sums: Sums) -> dict[str, tuple[bytes, bytes]]:
    """Of a new database: values with their sums."""
    rows = {
        "incarnation": b"1",
        KEYSET: msgspec.msgpack.encode(signed),
        SIGNING: bytes(signer),
    }
    return {key: (value, sums.meta(key, value)) for key, value in rows.items()}


def read_keyset(connection: Connection, sums: Sums, root: VerifyKey) -> tuple[Signed, Keyset]:
    """Raises StatementError, also when there is none that can be read."""
    try:
        signed = msgspec.msgpack.decode(read_sealed(connection, KEYSET, sums), type=Signed)
    except msgspec.MsgspecError as error:
        raise StatementError(str(error)) from error
    return signed, open_keyset(signed, root)


def read_pending(connection: Connection, sums: Sums) -> Keyset | None:
    kept = read_sealed(connection, PENDING, sums)
    return msgspec.msgpack.decode(kept, type=Keyset) if kept else None


def read_rotation(connection: Connection, sums: Sums) -> Rotation:
    kept = read_sealed(connection, ROTATION, sums)
    return msgspec.msgpack.decode(kept, type=Rotation) if kept else Rotation()


def read_signing(connection: Connection, sums: Sums) -> bytes:
    """The public key of the signer that signs; empty in a database that never said."""
    return read_sealed(connection, SIGNING, sums)


def write_keyset(connection: Connection, sums: Sums, signed: Signed) -> None:
    """Signed and in force; nothing waits any more."""
    write_sealed(connection, KEYSET, msgspec.msgpack.encode(signed), sums)
    write_sealed(connection, PENDING, b"", sums)


def write_pending(connection: Connection, sums: Sums, keyset: Keyset) -> None:
    write_sealed(connection, PENDING, msgspec.msgpack.encode(keyset), sums)


def write_rotation(connection: Connection, sums: Sums, rotation: Rotation) -> None:
    write_sealed(connection, ROTATION, msgspec.msgpack.encode(rotation), sums)


def write_signing(connection: Connection, sums: Sums, signer: VerifyKey) -> None:
    write_sealed(connection, SIGNING, bytes(signer), sums)

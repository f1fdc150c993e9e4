"""From a data directory to a registry: keys, database, keyset, the networks of the config.

When the endpoints of the config differ from those the keyset names and the root key is here, a new
keyset is signed; with the root key offline the old one stays and the log says so.
"""

import logging

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from controller import keyring
from controller.config import Config
from controller.database import damaged, open_writer, read_meta, write_meta
from controller.keyring import Keyring
from controller.registry import Registry
from controller.statement import sign_keyset
from protocol.signed import Signed, StatementError, open_signed, signer_id
from protocol.statements import Keyset
from runtime.clock import wall_ms

log = logging.getLogger(__name__)


def open_registry(settings: Config, *, check: bool = True) -> Registry:
    """Raises CannotError: keys or database missing, damaged, of another version."""
    keys = keyring.load(settings.keys)
    connection = open_writer(settings.database, check=check)
    with connection.begin():
        signed, keyset = _read_keyset(connection, keys, settings)
        endpoints = settings.endpoints or keyset.controllers[0].endpoints
        wanted = (bytes(keys.signer.key), bytes(keys.curve_public), endpoints)
        entry = keyset.controllers[0]
        if wanted != (keyset.signers[0], entry.key, entry.endpoints):
            signed = _renew_keyset(connection, keys, keyset, endpoints) or signed
    try:
        return Registry(connection, keys, keyset=signed, endpoints=endpoints, now_ms=wall_ms())
    except (DBAPIError, ValueError) as error:
        said = str(getattr(error, "orig", error))
        raise damaged(settings.database, f"a row cannot be read: {said}") from error


def _read_keyset(connection: Connection, keys: Keyring, settings: Config) -> tuple[Signed, Keyset]:
    try:
        signed = msgspec.msgpack.decode(read_meta(connection, "keyset"), type=Signed)
        return signed, open_signed(signed, Keyset, {signer_id(keys.root): keys.root})
    except (msgspec.MsgspecError, StatementError) as error:
        raise damaged(settings.database, f"its keyset can not be used: {error}") from error


def _renew_keyset(
    connection: Connection, keys: Keyring, old: Keyset, endpoints: tuple[str, ...]
) -> Signed | None:
    signed = sign_keyset(keys, old.number + 1, endpoints, wall_ms())
    if signed is None:
        log.warning("keyset is out of date and the root key is offline")
        return None
    write_meta(connection, "keyset", msgspec.msgpack.encode(signed))
    log.info("keyset signed", extra={"number": old.number + 1})
    return signed

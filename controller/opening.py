"""From a data directory to a registry: keys, database, keyset, the networks of the config.

When the endpoints of the config differ from those the keyset names and the root key is here, a new
keyset is signed; with the root key offline the old one stays until somebody signs the new one.
"""

import logging
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from controller.config import Config
from controller.registry import Registry
from controller.signing import keyring
from controller.signing.keyring import KeyFileError, Keyring
from controller.store import audit
from controller.store.database import damaged, open_writer
from controller.store.sums import Sums
from controller.trust import memory
from controller.trust.keyset import entry_of, propose, with_controller
from protocol.signed import Signed, StatementError
from protocol.statements import ControllerEntry, Keyset
from runtime.clock import wall_ms
from runtime.failure import Exit

log = logging.getLogger(__name__)


def open_registry(settings: Config, *, check: bool = True) -> Registry:
    """Raises CannotError: keys or database missing, damaged, of another version."""
    keys = keyring.load(settings.keys)
    connection = open_writer(settings.database, check=check)
    with connection.begin():
        sums = Sums(keys.sums_key)
        keys = _signing(connection, keys, sums)
        try:
            signed, keyset = memory.read_keyset(connection, sums, keys.root)
        except StatementError as error:
            raise damaged(settings.database, f"its keyset can not be used: {error}") from error
        mine = entry_of(keyset, bytes(keys.curve_public)) or keyset.controllers[0]
        endpoints = settings.endpoints or mine.endpoints
        signed = _renewed(connection, keys, signed, keyset, endpoints)
    try:
        return Registry(
            connection,
            keys,
            keyset=signed,
            endpoints=endpoints,
            now_ms=wall_ms(),
            pending=settings.pending,
        )
    except (DBAPIError, ValueError) as error:
        said = str(getattr(error, "orig", error))
        raise damaged(settings.database, f"a row cannot be read: {said}") from error


def _signing(connection: Connection, keys: Keyring, sums: Sums) -> Keyring:
    """With the signer that the database names: a change of signers may have been cut short."""
    wanted = memory.read_signing(connection, sums)
    if keys.next_signer is not None and bytes(keys.next_signer.key) == wanted:
        return keyring.promoted(keys)
    if wanted and bytes(keys.signer.key) != wanted:
        raise KeyFileError(
            f"cannot use the key {keys.directory / 'signer'}: this database is signed by another",
            hint="database and keys/ belong together: restore both from one backup",
            code=Exit.PROBLEMS,
        )
    return keys


def _renewed(
    connection: Connection,
    keys: Keyring,
    signed: Signed,
    keyset: Keyset,
    endpoints: tuple[str, ...],
) -> Signed:
    """The keyset, signed anew when it says something else of us than the config."""
    entry, sums = ControllerEntry(bytes(keys.curve_public), endpoints), Sums(keys.sums_key)
    pending = memory.read_pending(connection, sums)
    change = partial(with_controller, entry=entry)
    wanted = propose(keyset, pending, change, wall_ms())
    if wanted is None:
        return signed
    if keys.root_signer is None:
        memory.write_pending(connection, sums, wanted)
        log.warning("keyset is out of date and the root key is offline: ncadm key export")
        return signed
    signed = keys.root_signer.seal(wanted)
    memory.write_keyset(connection, sums, signed)
    _note_signed(connection, keys, wanted)
    log.info("keyset signed", extra={"number": wanted.number})
    return signed


def _note_signed(connection: Connection, keys: Keyring, keyset: Keyset) -> None:
    where = ", ".join(endpoint for entry in keyset.controllers for endpoint in entry.endpoints)
    entry = audit.Entry("controller", "key.sign", f"keyset {keyset.number}", f"nodes reach {where}")
    head = audit.read_head(connection, keys.audit_name)
    audit.append(connection, head, [entry], wall_ms())

"""`zosnet-controller check`: can the settings be used, is the database sound, do rows fit to their sums
and the audit chains, do the keys belong? With `--accept`: what does not fit is believed from now on.
"""

import argparse
from collections.abc import Iterator

from sqlalchemy import Connection

from controller import config
from controller.accepting import accept
from controller.opening import open_registry
from controller.signing import keyring
from controller.signing.keyring import Keyring
from controller.store import audit
from controller.store.database import Lock, open_writer
from controller.store.sums import Sums
from controller.store.survey import survey
from runtime.cli import print_items
from runtime.failure import CannotError, Exit
from runtime.settings import COLUMNS, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    config.add_config(parser)
    parser.add_argument(
        "--settings", action="store_true", help="check only the settings, and show them"
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help="believe rows that were changed by hand, and name them in the audit log",
    )


def run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    if arguments.settings:
        shown = [setting.item() for setting in settings_of(settings)]
        print_items("setting", shown, COLUMNS, output="table")
        return Exit.OK
    if not settings.database.exists():
        raise CannotError(
            f"cannot check: there is no controller in {settings.directory}",
            hint="make one with: zosnet-controller init --endpoint tcp://ADDRESS:9930",
            code=Exit.USAGE,
        )
    lock = Lock(settings.directory)
    try:
        found = _check(settings, believe=arguments.accept)
    finally:
        lock.release()
    for problem in found:
        print(problem)
    if found:
        return Exit.PROBLEMS
    print(f"{settings.database} is sound")
    return Exit.OK


def _check(settings: config.Config, *, believe: bool) -> list[str]:
    """What is wrong."""
    keys = keyring.load(settings.keys)
    connection = open_writer(settings.database)
    with connection.begin():
        found = [*_of_sqlite(connection)]
        broken = audit.verify(connection)
    if broken:
        found.append(f"audit log: {broken}")
    if believe and not found:
        for what in accept(settings, keys, connection):
            print(f"accepted: {what}")
    found += _misfits(connection, keys)
    connection.close()
    if not found:
        open_registry(settings).connection.close()
    return found


def _of_sqlite(connection: Connection) -> Iterator[str]:
    whole = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars()
    yield from (line for line in whole.all() if line != "ok")
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        yield f"a row of {row[0]} belongs to no row of {row[2]}"


def _misfits(connection: Connection, keys: Keyring) -> list[str]:
    with connection.begin():
        misfits = survey(connection, Sums(keys.sums_key))
        return [f"{found.what}: does not fit to its sum" for found in misfits]

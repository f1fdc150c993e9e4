"""`zosnet-controller init`: keys and an empty database, all or nothing.

Everything is made in a directory beside the place and moved there in one step, so a run that was killed
leaves nothing half made. What exists is never written over.
"""

import argparse
import errno
import os
import shutil
from pathlib import Path

from controller import config
from controller.signing import keyring
from controller.store import database
from controller.store.sums import Sums
from controller.trust.keyset import first_keyset
from controller.trust.memory import first_rows
from protocol.joinstring import MAX_CONTROLLERS
from protocol.statements import ControllerEntry
from runtime.clock import wall_ms
from runtime.failure import CannotError, Exit

FirstRows = dict[str, tuple[bytes, bytes]]

EXAMPLES = ("zosnet-controller init --endpoint tcp://203.0.113.10:9930",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    config.add_config(parser)
    parser.add_argument(
        "--endpoint",
        action="append",
        default=[],
        metavar="tcp://HOST:PORT",
        help=f"how nodes reach this controller; up to {MAX_CONTROLLERS} times"
        " (default: `endpoints` of the config)",
    )


def run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    endpoints = tuple(arguments.endpoint) or settings.endpoints
    _check_endpoints(endpoints)
    keys = create(settings, endpoints)
    print(f"controller id         {keys.controller_id}")
    print(f"root key fingerprint  {keys.root.hex()}")
    print(f"data                  {settings.directory}")
    print(f"nodes connect to      {', '.join(endpoints)}")
    print("next:")
    print("  zosnet-controller serve")
    print("  ncadm network create home")
    print("  ncadm token create home")
    return Exit.OK


def create(settings: config.Config, endpoints: tuple[str, ...]) -> keyring.Keyring:
    """Raises CannotError when there is something already."""
    directory = settings.directory
    fresh = directory.with_name(f".{directory.name}.new")
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise CannotError(
                f"cannot make a controller in {directory}: it is not empty",
                hint="run the one that is there with: zosnet-controller serve; or set `data`",
                code=Exit.CONFLICT,
            )
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        keyring.create(fresh / "keys")
        keys = keyring.load(fresh / "keys")
        database.create(fresh / settings.database.name, _first_rows(keys, endpoints))
        _sync(fresh)
        fresh.replace(directory)
        _sync(directory.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        denied = isinstance(error, PermissionError)
        room = f"make room; see: df {directory.parent}"
        raise CannotError(
            f"cannot make a controller in {directory}: {error.strerror}",
            hint=room if full else "run it as root, or set `data` in controller.yaml",
            code=Exit.EXHAUSTED if full else Exit.DENIED if denied else Exit.USAGE,
        ) from error
    return keys


def _first_rows(keys: keyring.Keyring, endpoints: tuple[str, ...]) -> FirstRows:
    if keys.root_signer is None:
        raise TypeError("a new root key is here")
    entry = ControllerEntry(bytes(keys.curve_public), endpoints)
    keyset = first_keyset(keys.signer.key, entry, wall_ms())
    signed = keys.root_signer.seal(keyset)
    return first_rows(signed, keys.signer.key, Sums(keys.sums_key))


def _check_endpoints(endpoints: tuple[str, ...]) -> None:
    example = f"zosnet-controller init --endpoint tcp://203.0.113.10:{config.PORT}"
    if not endpoints:
        raise CannotError(
            "cannot make a controller: it must know how nodes will reach it",
            hint=f"such as: {example}",
            code=Exit.USAGE,
        )
    wrong = [endpoint for endpoint in endpoints if not config.is_advertisable(endpoint)]
    if wrong or len(endpoints) > MAX_CONTROLLERS:
        reason = f"{wrong[0]!r} is none" if wrong else f"{MAX_CONTROLLERS} at most"
        raise CannotError(
            f"cannot use these endpoints: {reason}", hint=f"such as: {example}", code=Exit.USAGE
        )


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""Make a unit run, whatever zinit holds of it now: observe, then stop, forget, write, monitor.

    ensure_unit(Client(), dhcp_zos(agent))

Twice is once, and each step may be the last one before a crash: the next call goes on from what it
finds. zinit reads a unit file only at `monitor`, so a changed one means stop and forget first; the
file is written after that, so a file that is as it should be has been read, or is not yet known.
Does not wait for the service to be ready. A service must not replace its own unit.
"""

import contextlib
import logging
import os
import time
from collections.abc import Collection
from pathlib import Path

from runtime import files
from runtime.failure import CannotError, Exit
from zinit.client import (
    AbsentError,
    AlreadyMonitoredError,
    Client,
    ServiceDownError,
    ServiceUpError,
    State,
    Status,
    UnknownServiceError,
    ZinitError,
)
from zinit.units import SUFFIX, Unit, check_name, render

log = logging.getLogger(__name__)

UNITS = Path("/etc/zinit")
FILE_MODE = 0o644  # no secret belongs into a unit, and people read these files
POLL_S = 0.05
STOP_S = 10.0  # until SIGKILL
KILL_S = 2.0  # from SIGKILL until we say that it does not end


def ensure_unit(
    client: Client, unit: Unit, *, directory: Path = UNITS, stop_s: float = STOP_S
) -> bool:
    """Make zinit run `unit` as it is now; True when anything had to be done.

    Raises AbsentError without a zinit, ZinitError, and UnitError for a unit that cannot be.
    """
    text = render(unit).encode()
    _check_programs(unit)
    path = directory / f"{unit.name}{SUFFIX}"
    status = client.status(unit.name)
    same = _read(path) == text
    if status is not None and same:
        return _ensure_started(client, unit, status)
    if status is not None:
        _retire(client, status, stop_s)
    if not same:
        files.write_atomic(path, text, mode=FILE_MODE)
    try:
        client.monitor(unit.name)  # starts it; a `start` as well would run a quick oneshot twice
    except AlreadyMonitoredError:  # by somebody else, just now
        client.start(unit.name)
    log.info("unit installed", extra={"unit": unit.name})
    return True


def write_unit(unit: Unit, *, directory: Path = UNITS) -> bool:
    """Only write the file, for a zinit that is not running yet and reads it when it starts."""
    text = render(unit).encode()
    _check_programs(unit)
    path = directory / f"{unit.name}{SUFFIX}"
    if _read(path) == text:
        return False
    files.write_atomic(path, text, mode=FILE_MODE)
    return True


def remove_unit(
    client: Client, name: str, *, directory: Path = UNITS, stop_s: float = STOP_S
) -> bool:
    """Stop and forget the service and delete its file; True when there was anything."""
    check_name(name)
    path = directory / f"{name}{SUFFIX}"
    status = client.status(name)
    if status is not None:
        _retire(client, status, stop_s)
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed or status is not None


def delete_unit(name: str, *, directory: Path = UNITS) -> bool:
    """Only delete the file, where no zinit runs; True when there was one."""
    check_name(name)
    path = directory / f"{name}{SUFFIX}"
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def install_units(units: Collection[Unit], *, start: bool) -> bool:
    """As `ensure_unit`, of this machine's zinit; without one, or a `start`, the files are for the
    next boot. True when they run.
    """
    if start:
        try:
            for unit in units:
                ensure_unit(Client(), unit)
            return True
        except AbsentError:
            pass
    for unit in units:
        write_unit(unit)
    return False


def uninstall_unit(name: str) -> str:
    """As `remove_unit`, of this machine's zinit, or only the file; what was done, "" for nothing."""
    try:
        return f"service {name} stopped and forgotten" if remove_unit(Client(), name) else ""
    except AbsentError:
        return f"unit {name} deleted" if delete_unit(name) else ""


def _ensure_started(client: Client, unit: Unit, status: Status) -> bool:
    """Blocked, waiting for its next start and a oneshot's success are as up as it gets."""
    given_up = status.state == State.FAILURE or (unit.oneshot and status.state == State.ERROR)
    if status.target_up and not given_up:
        return False
    client.start(unit.name)
    return True


def _retire(client: Client, status: Status, stop_s: float) -> None:
    """Stop and forget; SIGKILL after `stop_s`."""
    if status.pid and status.pid == os.getpgrp():
        raise CannotError(
            f"cannot replace the unit {status.name}: this process runs in it",
            hint=f"run it outside of {status.name}",
            code=Exit.CONFLICT,
        )
    with contextlib.suppress(UnknownServiceError):
        client.stop(status.name)
        if _forget_within(client, status.name, stop_s):
            return
        log.warning("service does not stop, killing it", extra={"unit": status.name})
        with contextlib.suppress(ServiceDownError):
            client.kill(status.name, "SIGKILL")
        if not _forget_within(client, status.name, KILL_S):
            raise ZinitError(
                f"cannot stop the service {status.name}: it outlives SIGKILL", code=Exit.CONFLICT
            )


def _forget_within(client: Client, name: str, seconds: float) -> bool:
    """Forget it as soon as its process is gone; `forget` itself is the poll, so nothing races."""
    until = time.monotonic() + seconds
    while True:
        try:
            client.forget(name)
            return True
        except ServiceUpError:
            if time.monotonic() >= until:
                return False
        time.sleep(POLL_S)


def _check_programs(unit: Unit) -> None:
    """zinit never retries an exec that is not there, and forks without a pause for such a test."""
    for program in (*unit.exec[:1], *unit.test[:1]):
        if not os.access(program, os.X_OK):
            raise CannotError(
                f"cannot install the unit {unit.name}: {program} is no program", code=Exit.USAGE
            )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None

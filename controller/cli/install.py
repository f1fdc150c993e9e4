"""`zosnet-controller install`: write the unit that keeps it running, and start it where there is
somebody to run it.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from controller import config, systemd
from runtime import files
from runtime.cli import require_root, require_tool
from runtime.failure import CannotError, Exit
from runtime.systemd import RUNS, ensure_services
from zinit import units
from zinit.install import install_units

WHAT = "install zosnet-controller"
SYSUSERS = Path("/etc/sysusers.d/zosnet-controller.conf")
HOMES = (Path("/root"), Path("/home"), Path("/run/user"))

EXAMPLES = (
    "zosnet-controller install",
    "zosnet-controller install --dry-run      # show the unit and write nothing",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    config.add_config(parser)
    parser.add_argument(
        "--supervisor",
        choices=("zinit", "systemd"),
        metavar="NAME",
        help="who runs it: zinit or systemd (default: systemd where it runs, else zinit)",
    )
    parser.add_argument(
        "--no-start", action="store_true", help="only write the unit file, for the next boot"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print the unit file")


def run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    program = _program()
    named = arguments.config and ("--config", str(arguments.config.absolute()))
    serve = (str(program), "serve", *(named or ()))
    unit = units.controller(serve, socket=settings.socket)
    manager = arguments.supervisor or ("systemd" if RUNS.is_dir() else "zinit")
    if arguments.dry_run:
        print(units.render(unit) if manager == "zinit" else systemd.unit(serve), end="")
        return Exit.OK
    require_root(WHAT)
    settings.require_made(WHAT)
    if manager == "zinit":
        running = install_units([unit], start=not arguments.no_start)
    else:
        _check_places(settings)
        _check_open(program)
        if arguments.config is not None:
            _check_open(arguments.config.absolute())
        _make_account()
        texts = {systemd.NAME: systemd.unit(serve)}
        running = ensure_services(texts, start=not arguments.no_start)
    print(f"unit zosnet-controller of {manager}")
    print("it runs now" if running else f"it starts with the next boot of {manager}")
    print("next: ncadm network create home")
    return Exit.OK


def _program() -> Path:
    return Path(sys.executable).with_name("zosnet-controller")


def _check_places(settings: config.Config) -> None:
    """The unit's user has two directories, and no other."""
    usual = config.Config()
    for key, value, default in (
        ("data", settings.data, usual.data),
        ("socket", settings.socket, usual.socket),
        ("log.directory", settings.log.directory, usual.log.directory),
    ):
        if value != default:
            raise CannotError(
                f"cannot {WHAT}: its unit of systemd cannot write to {key}: {value}",
                hint=f"leave `{key}` out of controller.yaml (the log is in the journal)",
                code=Exit.USAGE,
            )


def _check_open(path: Path) -> None:
    """The unit's user must come there, and sees no homes."""
    parents = path.resolve().parents
    closed = [place for place in parents if place in HOMES or not place.stat().st_mode & 0o001]
    if closed or not path.stat().st_mode & 0o004:
        raise CannotError(
            f"cannot {WHAT}: the user {systemd.USER} cannot read {path}",
            hint=f"{closed[-1] if closed else path} is closed to it; a place like /opt/zosnet is not",
            code=Exit.DENIED,
        )


def _make_account() -> None:
    files.write_atomic(SYSUSERS, systemd.ACCOUNT.encode(), mode=0o644)
    program = require_tool("systemd-sysusers", package="systemd", what=WHAT)
    ended = subprocess.run([program, str(SYSUSERS)], capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip()
        raise CannotError(f"cannot make the user {systemd.USER}: systemd-sysusers says: {said}")

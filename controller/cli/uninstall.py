"""`zosnet-controller uninstall`: stop it and take its unit away; its data stays."""

import argparse

from controller import systemd
from controller.cli.install import SYSUSERS
from runtime.cli import require_root
from runtime.failure import Exit
from runtime.systemd import remove_services
from zinit.install import uninstall_unit

UNIT = "zosnet-controller"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    pass


def run(_arguments: argparse.Namespace) -> int:
    require_root(f"uninstall {UNIT}")
    removed = remove_services((systemd.NAME,))
    SYSUSERS.unlink(missing_ok=True)
    known = uninstall_unit(UNIT)
    print(f"unit {UNIT} removed" if removed or known else f"no unit of {UNIT} was here")
    return Exit.OK

"""`ncadm config …`: the controller's settings as they would be, without asking it."""

import argparse
import sys
from pathlib import Path

from controller.admin.client import add_verbs
from runtime.cli import FORMATS, add_output, print_items
from runtime.usage import add_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    check = add_verb(
        add_verbs(parser),
        "check",
        "check controller.yaml and show what it comes to",
        "ncadm config check",
        "ncadm config check ./controller.yaml",
    )
    check.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the file (default: /etc/zosnet/controller.yaml)",
    )
    add_output(check, FORMATS)


def run(arguments: argparse.Namespace) -> int:
    from controller.config import CONFIG_FILE, load
    from runtime.settings import COLUMNS, settings_of

    settings = [setting.item() for setting in settings_of(load(arguments.file))]
    path = arguments.file or CONFIG_FILE
    said = "can be used" if path.exists() else "does not exist: these are the defaults"
    print(f"{path} {said}", file=sys.stderr)
    print_items("setting", settings, COLUMNS, output=arguments.output)
    return 0

"""`ncadm keygen FILE`: a key of one's own, for administration from elsewhere."""

import argparse
from pathlib import Path

from runtime.cli import add_output, print_items

COLUMNS = {"file": "file", "key": "key"}
EXAMPLES = ("ncadm keygen ~/.config/zosnet/admin.key",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="where the secret half goes, readable by you only"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    from controller.admin.keyfile import make

    item = {"file": str(arguments.file), "key": make(arguments.file).hex()}
    print_items("admin key", [item], COLUMNS, output=arguments.output)
    return 0

"""`zosnet-lab down`: end a farm; nothing of it is left."""

import argparse
import sys

from lab import record
from runtime.cli import require_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="farm", help="which farm (default: farm)")


def run(arguments: argparse.Namespace) -> int:
    require_root("end a farm")
    record.end(record.find(arguments.name))
    print(f"farm {arguments.name} is gone", file=sys.stderr)
    return 0

"""`zosnet-lab status`: a line for each node of a farm."""

import argparse

from lab import record, view
from runtime.cli import add_output, print_items, require_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="farm", help="which farm (default: farm)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    require_root("look into a farm")
    kept = record.find(arguments.name)
    rows = []
    for name, layout in kept.layouts.items():
        machine = kept.machines[name]
        row = view.as_row(view.look(machine.root, name, layout))
        rows.append({**row, "power": machine.lives()})
    columns = {"name": "node", "power": "power", **view.COLUMNS}
    print_items("lab-node", rows, columns, output=arguments.output)
    return 0

"""One way for all our command lines: verbs loaded when they are called, errors, tables, JSON.

A program is a list of `Command`s; each names a module with

    def add_arguments(parser: argparse.ArgumentParser) -> None
    def run(arguments: argparse.Namespace) -> int

which is imported only when that command is used (`--help` of the program imports none of them).
Data goes to stdout, everything else to stderr. `-o json` prints
{"schema": "zosnet/v1", "kind": …, "items": […]}; errors become JSON as well.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runtime.failure import CannotError, Exit

SCHEMA = "zosnet/v1"
VERSION = "0.1.0"


class Command(NamedTuple):
    """A verb; no dataclass, which would cost every command 10 ms for `inspect`."""

    name: str
    help: str
    module: str


def run_program(
    program: str, description: str, commands: Sequence[Command], argv: Sequence[str] | None = None
) -> int:
    """Run the command that `argv` names and return the exit code; prints what went wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    by_name = {command.name: command for command in commands}
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"{program} {VERSION}")
    verbs = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = by_name.get(next((w for w in words if not w.startswith("-")), ""))
    module = None
    for command in commands:
        verb = verbs.add_parser(command.name, help=command.help, description=command.help)
        if command is chosen:
            module = importlib.import_module(command.module)
            module.add_arguments(verb)
    arguments = parser.parse_args(words)
    if module is None:
        parser.error("no such command")
    try:
        code = int(module.run(arguments))
        sys.stdout.flush()
    except CannotError as error:
        return print_error(error, as_json=getattr(arguments, "output", "") == "json")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def print_error(error: CannotError, *, as_json: bool = False) -> int:
    """Say on stderr what could not be done; returns the exit code."""
    if as_json:
        said = {
            "schema": SCHEMA,
            "kind": "error",
            "error": error.message,
            "hint": error.hint,
            "code": int(error.code),
        }
        print(json.dumps(said), file=sys.stderr)
    else:
        print(f"error: {printable(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {printable(error.hint)}", file=sys.stderr)
    return int(error.code)


def add_output(parser: argparse.ArgumentParser) -> None:
    """The `-o table|json` every command that prints data has."""
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json"),
        default="table",
        help="how to print (default: table)",
    )


def print_items(
    kind: str, items: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, output: str
) -> None:
    """Print rows: as a table of `columns` (key: heading), or as JSON with every key."""
    if output == "json":
        print(
            json.dumps(
                {"schema": SCHEMA, "kind": kind, "items": list(items)}, default=str, indent=1
            )
        )
    else:
        print(
            table(
                [[_cell(item.get(key)) for key in columns] for item in items],
                list(columns.values()),
            )
        )


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    """Left-aligned columns two blanks apart, headings in capitals; no line ends in a blank."""
    grid = [[heading.upper() for heading in headings], *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in grid) for i in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in grid
    )


def _cell(value: Any) -> str:
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return printable(", ".join(str(v) for v in value))
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """`text` for a terminal: a name that a stranger chose must not steer it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def require_root(what: str) -> None:
    """Refuse politely where only root can do `what`."""
    if os.geteuid() != 0:
        raise CannotError(f"cannot {what}: not root", hint="run it with sudo", code=Exit.USAGE)


def require_tool(name: str, *, package: str, what: str) -> str:
    """The path of program `name`, or an error that names the Debian package that has it."""
    for directory in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin", "/usr/bin"]:
        path = os.path.join(directory, name)  # noqa: PTH118  # pathlib costs more than the check
        if directory and os.access(path, os.X_OK):
            return path
    raise CannotError(
        f"cannot {what}: there is no {name} on this machine",
        hint=f"apt-get install {package}",
        code=Exit.USAGE,
    )

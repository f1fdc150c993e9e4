"""One way for all our command lines: verbs loaded when they are called, errors, tables, JSON.

A program is a list of `Command`s; each names a module with

    def add_arguments(parser: argparse.ArgumentParser) -> None
    def run(arguments: argparse.Namespace) -> int

and, if it likes, EXAMPLES: tuple[str, ...] for its help. It is imported only when that command
is used (`--help` of the program imports none of them).
Data goes to stdout, everything else to stderr. `-o json` prints
{"schema": "zosnet/v1", "kind": …, "items": […]}; errors become JSON as well.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from runtime.failure import CannotError, Exit
from runtime.usage import Parser, example_text, innermost, sentence

SCHEMA = "zosnet/v1"
VERSION = "0.1.0"
SHOW_BUGS = "ZOSNET_TRACEBACK"
FORMATS = ("table", "json", "jsonl")


class Command(NamedTuple):
    """A verb; no dataclass, which would cost every command 10 ms for `inspect`."""

    name: str
    help: str
    module: str


COMPLETION = Command("completion", "complete its words in a shell", "runtime.completion")
COMPLETE = "__complete"


def run_program(
    program: str,
    description: str,
    commands: Sequence[Command],
    argv: Sequence[str] | None = None,
    *,
    names: Any = None,
) -> int:
    """Run the command that `argv` names and return the exit code; prints what went wrong. `names`:
    for runtime.completion.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    commands = (*commands, COMPLETION)
    try:
        if words[:1] == [COMPLETE]:
            print(_complete(program, description, commands, words[1:], names), end="")
            return Exit.OK
        code = _run(program, description, commands, words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:  # noqa: BLE001  # the last door
        name = next((f"{program} {w}" for w in words if not w.startswith("-")), program)
        return print_error(explain(name, error), as_json=_wants_json(words))
    return code


def _complete(
    program: str, description: str, commands: Sequence[Command], words: list[str], names: Any
) -> str:
    from runtime.completion import answer  # noqa: PLC0415  # no other command needs it

    first = next((w for w in words[:-1] if not w.startswith("-")), "")
    parser, _, _ = build_parser(program, description, commands, first)
    return answer(parser, words, names)


def _run(program: str, description: str, commands: Sequence[Command], words: list[str]) -> int:
    first = next((w for w in words if not w.startswith("-")), "")
    parser, chosen, module = build_parser(program, description, commands, first)
    if not words:
        parser.print_help(sys.stderr)
        return Exit.USAGE
    arguments, unknown = parser.parse_known_args(words)
    if unknown or module is None:
        innermost(chosen, words).refuse(unknown or words)
    return int(module.run(arguments))


def build_parser(
    program: str, description: str, commands: Sequence[Command], chosen: str
) -> tuple[Parser, Parser, Any]:
    """The program's parser, that of the command `chosen` and its module, the only one that is
    imported; the program's own and None when there is no such command.
    """
    parser = Parser(prog=program, description=description)
    parser.add_argument(
        "--version", action="version", version=f"{program} {VERSION}", help="print the version"
    )
    verbs = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    module: Any = None
    found = parser
    for command in commands:
        verb = verbs.add_parser(command.name, help=command.help, description=sentence(command.help))
        if command.name == chosen:
            module, found = importlib.import_module(command.module), verb
            verb.epilog = example_text(getattr(module, "EXAMPLES", ()))
            module.add_arguments(verb)
    return parser, found, module


def explain(program: str, error: Exception) -> CannotError:
    """Any error as people are told it: what nobody translated, is translated here."""
    if isinstance(error, CannotError):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        denied = isinstance(error, PermissionError)
        return CannotError(
            f"cannot run {program}: {where}{error.strerror or error}",
            hint="run it with sudo" if denied and os.geteuid() else None,
            code=Exit.DENIED if denied else Exit.INTERNAL,
        )
    _show_bug(program, error)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return CannotError(
        f"cannot run {program}: {said}",
        hint=f"this is a bug; {SHOW_BUGS}=1 in the environment shows where it is",
    )


def _show_bug(program: str, error: Exception) -> None:
    """A daemon's log says where it is; a command does when it is asked."""
    logging = sys.modules.get("logging")
    if logging is not None and logging.getLogger().handlers:
        logging.getLogger(program).error("unexpected error", exc_info=error)
    elif os.environ.get(SHOW_BUGS):
        sys.excepthook(type(error), error, error.__traceback__)


def _wants_json(words: Sequence[str]) -> bool:
    """Also of a command line that could not be read."""
    after = dict(pairwise(words))
    joined = {"-ojson", "--output=json", "-ojsonl", "--output=jsonl"} & set(words)
    return bool(joined) or bool({"json", "jsonl"} & {after.get("-o"), after.get("--output")})


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


def add_output(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS[:2]) -> None:
    """The `-o table|json` every command that prints data has."""
    parser.add_argument(
        "-o",
        "--output",
        choices=formats,
        default="table",
        metavar="FORMAT",
        help=f"{', '.join(formats[:-1])} or {formats[-1]} (default: table)",
    )


def print_items(
    kind: str, items: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, output: str
) -> None:
    """Print rows: as a table of `columns` (key: heading), or as JSON with every key."""
    if output != "table":
        print_stream(kind, [(items, "")], output)
    else:
        print(
            table(
                [[_cell(item.get(key)) for key in columns] for item in items],
                list(columns.values()),
            )
        )


def print_stream(
    kind: str, pages: Iterable[tuple[Sequence[Mapping[str, Any]], str]], output: str
) -> str:
    """Print pages of (items, where the next begins) as they come; returns where the list ended.

    json: one document, with `next` when the list goes on. jsonl: a line for each item.
    """
    end = ""
    if output == "jsonl":
        for page in pages:
            items, end = page
            for item in items:
                print(_json({"schema": SCHEMA, "kind": kind, "item": item}))
        return end
    between = f'{{"schema": "{SCHEMA}", "kind": {_json(kind)}, "items": ['
    for page in pages:
        items, end = page
        for item in items:
            print(f"{between}\n{_json(item, indent=1)}", end="")
            between = ","
    goes_on = f', "next": {_json(end)}' if end else ""
    print(f"{'' if between == ',' else between}]{goes_on}}}")
    return end


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, default=str, indent=indent)


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    """Left-aligned columns two blanks apart, headings in capitals; no line ends in a blank."""
    grid = [[heading.upper() for heading in headings], *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in grid) for i in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in grid
    )


def lines(facts: Sequence[tuple[str, str]]) -> str:
    """Topics and what is said of them, a line each."""
    width = max(len(topic) for topic, _ in facts) + 2
    return "\n".join(f"{topic:<{width}}{printable(said)}" for topic, said in facts)


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
        raise CannotError(f"cannot {what}: not root", hint="run it with sudo", code=Exit.DENIED)


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

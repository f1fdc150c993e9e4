"""Calls to the controller's admin socket.

    items = ask(arguments, "network.show", {"network": "home"})
    for page in ask_pages(arguments, "member.list", {"network": "home"}): …
    print_list(arguments, "member.list", {"network": "home"}, "member", COLUMNS)

Failures become CannotError with the controller's words and exit code. A call that gets no answer in
time may be repeated: every verb is idempotent. With `--dry-run` what would change is printed and the
program ends there.
"""

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from controller.admin.door import OpenDoor, add_door
from runtime.cli import FORMATS, add_output, print_items, print_stream
from runtime.failure import CannotError, Exit

if TYPE_CHECKING:
    from protocol.admin import Result

TIMEOUT = 10.0  # seconds
ROWS = 1000  # of a table, unless --limit says otherwise
CHANGES = {"action": "action", "object": "object", "detail": "detail"}

Items = list[dict[str, Any]]


def add_common(parser: argparse.ArgumentParser) -> None:
    """Which controller, `-o`: what every verb has; and `--dry-run`, unless its name says that it looks."""
    from protocol.admin import changes

    add_door(parser)
    add_output(parser, FORMATS)
    if changes(parser.prog.replace(" ", ".")):
        parser.add_argument("--dry-run", action="store_true", help="only say what it would change")


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")


def add_paging(parser: argparse.ArgumentParser) -> None:
    """What a long list has."""
    parser.add_argument(
        "--limit",
        type=_count,
        metavar="COUNT",
        help=f"at most so many (default: {ROWS} in a table, else all)",
    )
    parser.add_argument("--after", default="", metavar="CURSOR", help="go on where a list ended")


def ask(arguments: argparse.Namespace, verb: str, call: Mapping[str, Any]) -> Items:
    """The items of the answer. Raises CannotError."""
    with Line(arguments) as line:
        return line.ask(verb, call).items


def ask_pages(
    arguments: argparse.Namespace, verb: str, call: Mapping[str, Any], limit: int | None = None
) -> Iterator["Result"]:
    """Page after page, `limit` items in all. Raises CannotError."""
    from protocol.admin import PAGE

    after = getattr(arguments, "after", "")
    with Line(arguments) as line:
        while True:
            size = PAGE if limit is None else min(PAGE, limit)
            page = line.ask(verb, {**call, "limit": size, "after": after})
            yield page
            after = page.next
            if limit is not None:
                limit -= len(page.items)
            if not after or limit == 0:
                return


def print_list(
    arguments: argparse.Namespace,
    verb: str,
    call: Mapping[str, Any],
    kind: str,
    columns: Mapping[str, str],
    *,
    cells: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:
    """A list in pages: a table of `cells` of each with an end, JSON as it comes.

    Raises CannotError.
    """
    limit = arguments.limit
    if arguments.output == "table":
        limit = limit or ROWS
    pages = ask_pages(arguments, verb, call, limit)
    end = ""
    if arguments.output == "table":
        items: Items = []
        for page in pages:
            items += map(cells, page.items)
            end = page.next
        print_items(kind, items, columns, output="table")
    else:
        end = print_stream(kind, ((page.items, page.next) for page in pages), arguments.output)
    if end:
        way = f"--after {end}" if arguments.limit else f"--after {end}, or -o jsonl for all"
        sys.stdout.flush()  # before it, also where both go to one place
        print(f"there are more: {way}", file=sys.stderr)


class Line:
    """A connection to the controller, for one call or several. Raises CannotError."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._door = OpenDoor(arguments)

    def __enter__(self) -> Self:
        self._door.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.__exit__()

    def ask(self, verb: str, call: Mapping[str, Any], *, timeout: float = TIMEOUT) -> "Result":
        """Raises CannotError; ends the program after a rehearsal."""
        from protocol.admin import Call, encode_admin

        dry_run = getattr(self._arguments, "dry_run", False)
        number = secrets.randbits(32)
        self._door.send(encode_admin(Call(number, verb, dict(call), dry_run)))
        answer = _result(self._door.receive(timeout))
        if answer.note:
            print(answer.note, file=sys.stderr)
        if dry_run:
            print_items(answer.kind, answer.items, CHANGES, output=self._arguments.output)
            raise SystemExit(Exit.OK)
        return answer


def _result(frame: bytes) -> "Result":
    import msgspec

    from protocol.admin import Failed, decode_answer

    try:
        answer = decode_answer(frame)
    except msgspec.MsgspecError as error:
        raise CannotError(
            f"cannot understand the controller: {error}", hint="do ncadm and controller differ?"
        ) from error
    if isinstance(answer, Failed):
        raise CannotError(answer.message, hint=answer.hint or None, code=Exit(answer.code))
    return answer


def add_verbs(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[Any]":
    """The place of a noun's verbs."""
    return parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)


def confirm(arguments: argparse.Namespace, question: str) -> None:
    """Before something that cannot be taken back: a terminal is asked, a script says --yes.

    Raises CannotError.
    """
    if arguments.yes or arguments.dry_run:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CannotError(
            "cannot go on: this cannot be taken back, and there is no terminal to ask on",
            hint="if it is meant: --yes; to see what it would do: --dry-run",
            code=Exit.USAGE,
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CannotError("cannot go on: it was not confirmed", code=Exit.USAGE)


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no count")
    return int(text)

"""`ncadm watch`: what happens, a line each, until Ctrl-C; goes on when the controller was restarted.

A request waits at the controller until there is something to tell; the answer says where it ended.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from controller.admin.client import TIMEOUT, Line
from controller.admin.door import add_door
from runtime.cli import SCHEMA, add_output, printable
from runtime.failure import CannotError, Exit

EXAMPLES = ("ncadm watch", "ncadm watch --since 0 --once", "ncadm watch -o jsonl")
WAIT = 5  # seconds a request waits at the controller
AGAIN = 1.0  # seconds until the next try when it is not there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        default="",
        metavar="SEQ",
        help="begin behind this row of the audit log; 0: at its beginning (default: now)",
    )
    parser.add_argument(
        "--once", action="store_true", help="end when everything until now has been shown"
    )
    add_door(parser)
    add_output(parser, ("table", "jsonl"))


def run(arguments: argparse.Namespace) -> int:
    if arguments.since and not arguments.since.isdecimal():
        raise CannotError(
            f"cannot begin behind {arguments.since!r}: that is no row's number",
            hint="see: ncadm audit list",
            code=Exit.USAGE,
        )
    show = _line if arguments.output == "table" else _json
    for event in events(arguments, arguments.since, once=arguments.once):
        print(show(event), flush=True)
    return Exit.OK


def events(arguments: argparse.Namespace, after: str, *, once: bool) -> Iterator[dict[str, Any]]:
    """For ever, unless `once`. Raises CannotError when the controller cannot be reached at first."""
    reached = silent = False
    while True:
        try:
            with Line(arguments) as line:
                while True:
                    wait = 0 if once else WAIT
                    call = {"after": after, "wait": wait}
                    page = line.ask("watch", call, timeout=wait + TIMEOUT)
                    if silent:
                        print("it answers again", file=sys.stderr)
                    reached, silent = True, False
                    yield from page.items
                    ended = bool(after) and not page.items
                    after = page.next
                    if once and ended:
                        return
        except CannotError as error:
            if not reached or error.code != Exit.UNREACHABLE:
                raise
            if not silent:
                print(f"{error.message}; trying again", file=sys.stderr)
            silent = True
            time.sleep(AGAIN)


def _line(event: dict[str, Any]) -> str:
    said = (
        f"{event['time']}  {event['event']:<20}  {event['object']:<27}"
        f"  {event['actor']:<18}  {event['detail']}"
    )
    return printable(said.rstrip())


def _json(event: dict[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, "kind": "event", "item": event})

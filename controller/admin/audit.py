"""`ncadm audit …`: who did what, and whether the log of it is whole."""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.admin.client import (
    add_common,
    add_paging,
    add_verbs,
    ask_pages,
    print_list,
)
from controller.admin.duration import seconds
from runtime.cli import print_items
from runtime.failure import CannotError, Exit
from runtime.usage import add_verb

if TYPE_CHECKING:
    from controller.store.chain import Link

COLUMNS = {
    "time": "time",
    "seq": "entry",
    "actor": "who",
    "action": "did",
    "object": "to",
    "detail": "detail",
}
VERIFIED = {"entries": "entries", "controller": "controller", "last": "last entry", "hash": "hash"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    listing = add_verb(
        verbs,
        "list",
        "list who did what, the newest first",
        "ncadm audit list --since 2d",
        "ncadm audit list --actor 'admin*' --action 'member.*'",
    )
    for name, said in (
        ("actor", "of these, such as 'node *', 'local root', 'admin alice'"),
        ("action", "such as 'token.*'"),
        ("object", "such as '*/0123456789' for a node"),
    ):
        listing.add_argument(f"--{name}", default="", metavar="PATTERN", help=f"only {said}")
    listing.add_argument(
        "--since",
        type=_since,
        default={},
        metavar="TIME",
        help="not older: 90m, 2d, 2026-11-21 or 2026-11-21T05:00:00Z",
    )
    add_paging(listing)
    check = add_verb(
        verbs,
        "verify",
        "check that nothing in the log was changed or taken out",
        "ncadm audit verify",
        "ncadm audit verify log.jsonl",
    )
    check.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="an export, instead of the controller"
    )
    export = add_verb(
        verbs,
        "export",
        "print all of the log, a JSON line for each entry, the oldest first",
        "ncadm audit export",
    )
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    export.set_defaults(output="jsonl", limit=None)


def run(arguments: argparse.Namespace) -> int:
    if arguments.verb == "list":
        wanted = {name: getattr(arguments, name) for name in ("actor", "action", "object")}
        print_list(arguments, "audit.list", wanted | arguments.since, "audit", COLUMNS)
    elif arguments.verb == "export":
        print_list(arguments, "audit.export", {}, "audit", COLUMNS)
    elif arguments.file is not None:
        print_items("audit", [_verify_file(arguments.file)], VERIFIED, output=arguments.output)
    else:
        print_items("audit", [_verify(arguments)], VERIFIED, output=arguments.output)
    return 0


def _verify(arguments: argparse.Namespace) -> dict[str, Any]:
    entries, last = 0, {}
    for page in ask_pages(arguments, "audit.verify", {}):
        last = page.items[0]
        entries += last["entries"]
        if sys.stderr.isatty():
            print(f"\r{entries} entries fit", end="" if page.next else "\n", file=sys.stderr)
    return last | {"entries": entries}


def _verify_file(path: Path) -> dict[str, Any]:
    from controller.store.chain import ChainError, verify

    count = 0

    def counted() -> Iterator["Link"]:
        nonlocal count
        for count, link in enumerate(_links(path), 1):  # noqa: B007  # said at the end
            yield link

    try:
        ends = verify(counted())
    except ChainError as error:
        raise CannotError(
            f"cannot verify {path}: {error}",
            hint="export it again and compare",
            code=Exit.VERIFICATION,
        ) from error
    last = next(iter(ends.values()), None)
    if last is None or len(ends) > 1:
        return {"entries": count, "controller": ", ".join(ends), "last": "", "hash": ""}
    return {
        "entries": count,
        "controller": last.controller,
        "last": last.seq,
        "hash": last.hash.hex(),
    }


def _links(path: Path) -> Iterator["Link"]:
    from controller.store.chain import Link

    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    item = json.loads(line)["item"]
                    item |= {name: bytes.fromhex(item[name]) for name in ("prev", "hash")}
                    yield Link(**item)
                except (ValueError, KeyError, TypeError) as error:
                    raise CannotError(
                        f"cannot verify {path}: line {number} is no entry",
                        hint="make it with: ncadm audit export",
                        code=Exit.VERIFICATION,
                    ) from error
    except OSError as error:
        raise CannotError(f"cannot read {path}: {error.strerror}", code=Exit.USAGE) from error


def _since(text: str) -> dict[str, int]:
    """For argparse's `type`: a time ago, or a date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return {"ago": seconds(text)}
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return {"since": int(moment.timestamp() * 1000)}

"""`ncadm export`"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from controller.admin.client import ask_pages
from controller.admin.door import add_door
from runtime.files import WriteError

EXAMPLES = (
    "ncadm export farm.jsonl",
    "ncadm export --network home --document -",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="where to, readable by its owner only (default: -, to stdout)",
    )
    parser.add_argument("--network", default="", metavar="NETWORK", help="only this one")
    parser.add_argument(
        "--document",
        action="store_true",
        help="one JSON document, key: value (default: a line for each key)",
    )
    add_door(parser)


def run(arguments: argparse.Namespace) -> int:
    pages = ask_pages(arguments, "export", {"network": arguments.network})
    records = _joined(item for page in pages for item in page.items)
    with _opened(arguments.file) as out:
        if arguments.document:
            whole = {item["key"]: item["value"] for item in records}
            out.write(json.dumps(whole, indent=1) + "\n")
        else:
            for item in records:
                out.write(json.dumps(item) + "\n")
    return 0


def _joined(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A hash that was cut by the end of a page is one again."""
    last: dict[str, Any] | None = None
    for item in items:
        if last is not None and last["key"] == item["key"]:
            last["value"] |= item["value"]
            continue
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield last


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    """Stdout, or a file that is there only when it is whole. Raises WriteError."""
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    try:
        fd, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    except OSError as error:
        raise WriteError(path, error) from error
    try:
        with os.fdopen(fd, "w") as out:
            yield out
            out.flush()
            os.fsync(fd)
        Path(aside).replace(path)
    except OSError as error:
        raise WriteError(path, error) from error
    finally:
        Path(aside).unlink(missing_ok=True)

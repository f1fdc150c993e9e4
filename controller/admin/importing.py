"""`ncadm import`: a document of the Redis schema, sent in parts, taken whole or not at all."""

import argparse
import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller.admin.client import Line, add_common
from runtime.cli import print_items
from runtime.failure import CannotError, Exit

EXAMPLES = ("ncadm import farm.jsonl --dry-run", "ncadm import farm.jsonl")
COLUMNS = {
    "from": "from",
    "id": "network",
    "name": "name",
    "members": "members",
    "places": "without key",
    "addresses": "addresses",
    "ranges": "ranges",
}
PART = 256 * 1024  # bytes of text

Value = dict[str, str] | str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="of `ncadm export`, or of Redis as one JSON document; -: stdin"
    )
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    document = read_document(arguments.file)
    parts = list(cut(document))
    number = secrets.token_hex(16)
    plain = argparse.Namespace(**{**vars(arguments), "dry_run": False})
    items: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        with Line(arguments if last else plain) as line:
            call = {"id": number, "part": part, "number": index, "last": last}
            items = line.ask("import", call, timeout=120.0 if last else 10.0).items
    print_items("import", items, COLUMNS, output=arguments.output)
    return 0


def read_document(name: str) -> dict[str, Value]:
    """Lines {"key": …, "value": …}, or one document {key: value}. Raises CannotError."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotError(f"cannot read {name}: {reason}", code=Exit.USAGE) from error
    first = text.lstrip().partition("\n")[0]
    try:
        records = json.loads(first)
        lines = isinstance(records, dict) and records.keys() == {"key", "value"}
    except ValueError:
        lines = False
    return _lines(name, text) if lines else _checked(name, _parse(name, text))


def cut(document: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """Parts that fit into a frame; a large hash goes into several."""
    part: dict[str, Value] = {}
    size = 0
    for key, value in document.items():
        for piece, weight in _pieces(value):
            if part and size + weight + len(key) > PART:
                yield part
                part, size = {}, 0
            before = part.get(key)
            if isinstance(before, dict) and isinstance(piece, dict):
                part[key] = before | piece
            else:
                part[key] = piece
            size += weight + len(key)
    yield part


def _pieces(value: Value) -> Iterator[tuple[Value, int]]:
    if isinstance(value, str):
        yield value, len(value)
        return
    piece: dict[str, str] = {}
    size = 0
    for name, text in value.items():
        if piece and size + len(name) + len(text) > PART // 2:
            yield piece, size
            piece, size = {}, 0
        piece[name] = text
        size += len(name) + len(text)
    yield piece, size


def _lines(name: str, text: str) -> dict[str, Value]:
    document: dict[str, Value] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        record = _parse(f"line {number} of {name}", line)
        if record.keys() != {"key", "value"} or not isinstance(record["key"], str):
            raise _wrong(f"line {number} of {name}", "it is no {key, value}")
        if record["key"] in document:
            raise _wrong(f"line {number} of {name}", f"{record['key']} stands there twice")
        document |= _checked(name, {record["key"]: record["value"]})
    return document


def _parse(where: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(where, f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _wrong(where, "it is no JSON object of keys")
    return found


def _checked(name: str, found: dict[str, Any]) -> dict[str, Value]:
    for key, value in found.items():
        if isinstance(value, str):
            continue
        if not isinstance(value, dict):
            raise _wrong(name, f"{key} is neither text nor a hash")
        for field, text in value.items():
            if not isinstance(text, str):
                raise _wrong(name, f"{field} of {key} is no text, as all values of Redis are")
    return found


def _wrong(where: str, reason: str) -> CannotError:
    return CannotError(f"cannot import {where}: {reason}", code=Exit.USAGE)

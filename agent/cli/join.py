"""`zosnet-agent join`: join a network. The string comes from a file or stdin, never from argv,
where every user of the machine could read it.
"""

import argparse
import sys
from pathlib import Path

from runtime.failure import CannotError, Exit

MAX_SIZE = 4096  # bytes; a join string has some 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", help="where the join string stands, or - for stdin", metavar="FILE|-"
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.control import NotRunningError, ask
    from protocol.ids import controller_id
    from protocol.joinstring import parse_join_string
    from runtime.cli import require_root

    require_root("join a network")
    text = _read(arguments.file)
    join = parse_join_string(text)  # what is wrong with it is said here, not in a log
    farm = controller_id(join.root)
    try:
        ask("join", what="join a network", text=text)
    except NotRunningError:
        from agent.enrol.store import Store

        Store().keep_join(join, text)
        print(f"join string of farm {farm} kept; it is used as soon as networkd runs")
        return Exit.OK
    print(f"joining farm {farm}")
    print("next: zosnet-agent wait overlay")
    return Exit.OK


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read(MAX_SIZE)
    try:
        with Path(name).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_SIZE)
    except OSError as error:
        raise CannotError(
            f"cannot read the join string from {name}: {error.strerror}",
            hint="never as a word of the command: put it into a file, or: zosnet-agent join -"
            if name.startswith("zosnet1")
            else None,
            code=Exit.USAGE,
        ) from error

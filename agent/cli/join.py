"""`zosnet-agent join`: join a network. The string comes from a file or stdin, never from argv,
where every user of the machine could read it.
"""

import argparse
import sys
from getpass import getpass
from pathlib import Path

from protocol.joinstring import PREFIX
from runtime.failure import CannotError, Exit

MAX_SIZE = 4096  # bytes; a join string has some 300


EXAMPLES = (
    "zosnet-agent join /root/join",
    "zosnet-agent join -      # type or paste it: it is not shown",
    "ssh controller ncadm token create home | zosnet-agent join -",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="where the join string stands; - for stdin or the terminal"
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.config import load
    from agent.control import NotRunningError, ask
    from agent.enrol.join_file import check_farm
    from protocol.ids import controller_id
    from protocol.joinstring import parse_join_string
    from runtime.cli import require_root

    require_root("join a network")
    text = _read(arguments.file)
    join = parse_join_string(text)  # what is wrong with it is said here, not in a log
    farm = controller_id(join.root)
    check_farm(join, load().farm)
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
    if name.startswith(PREFIX):
        raise CannotError(
            "cannot take the join string as a word of the command: others on this machine see it",
            hint="put it into a file, or: zosnet-agent join - (and make a new token: this one was seen)",
            code=Exit.USAGE,
        )
    if name == "-":
        if sys.stdin.isatty():
            return getpass("join string (it is not shown): ")
        return sys.stdin.read(MAX_SIZE)
    try:
        with Path(name).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_SIZE)
    except OSError as error:
        raise CannotError(
            f"cannot read the join string from {name}: {error.strerror}",
            code=Exit.USAGE,
        ) from error

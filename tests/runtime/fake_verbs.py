"""Verbs of a program that the tests of runtime.cli run in a fresh interpreter."""

import argparse
import sys
from pathlib import Path

from runtime.cli import Command, add_output, print_items, run_program
from runtime.failure import CannotError, Exit

COMMANDS = [
    Command("show", "print things", __name__),
    Command("heavy", "a module that loads a lot", "asyncio.events"),
    Command("missing", "a module that is not there", "tests.runtime.no_such_module"),
]


EXAMPLES = ("prog show things",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser)
    parser.add_argument("what")


def run(arguments: argparse.Namespace) -> int:
    match arguments.what:
        case "things":
            rows = [{"name": "n1", "up": True, "ips": ["10.0.0.1", "::1"], "extra": 7}]
            print_items("thing", rows, {"name": "name", "up": "up", "ips": "addresses"},
                        output=arguments.output)  # fmt: skip
        case "many":
            for number in range(100_000):
                print(number)
        case "denied":
            raise CannotError("cannot show: it is denied", hint="ask\x1b", code=Exit.DENIED)
        case "interrupt":
            raise KeyboardInterrupt
        case "bug":
            raise RuntimeError("a bug")
        case "daemon":
            from runtime.log import start_logging

            start_logging()
            raise RuntimeError("a bug")
        case "file":
            Path("/nonexistent/file").read_text()
        case other:
            return int(other)
    return Exit.OK


if __name__ == "__main__":
    code = run_program("prog", "A program.", COMMANDS)
    if "--modules" in sys.argv:
        print(*sys.modules)
    sys.exit(code)

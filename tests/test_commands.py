"""Every command of every program: its help, its examples, and what it says to somebody who may not."""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.__main__ import COMMANDS as AGENT
from controller.__main__ import COMMANDS as CONTROLLER
from controller.admin.__main__ import COMMANDS as NCADM
from lab.__main__ import COMMANDS as LAB
from runtime.cli import Command, build_parser
from runtime.failure import Exit
from runtime.usage import Parser, UsageError

PROGRAMS = {
    "zosnet-agent": ("agent", AGENT),
    "zosnet-controller": ("controller", CONTROLLER),
    "ncadm": ("controller.admin", NCADM),
    "zosnet-lab": ("lab", LAB),
}
EVERY = [
    pytest.param(program, command, id=f"{program} {command.name}")
    for program, (_, commands) in PROGRAMS.items()
    for command in commands
]


def whole(program: str, command: Command) -> tuple[Parser, Parser]:
    """The program's parser, and the command's within it."""
    parser, found, _ = build_parser(program, "", PROGRAMS[program][1], command.name)
    return parser, found


def with_verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:  # argparse has no other way to look
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from with_verbs(verb)


@pytest.mark.parametrize(("program", "command"), EVERY)
def test_each_command_and_each_of_its_words_is_explained(program: str, command: Command) -> None:
    _, parser = whole(program, command)
    for one in with_verbs(parser):
        silent = [
            action.dest
            for action in one._actions
            if not action.help and not isinstance(action, argparse._SubParsersAction)
        ]

        assert silent == [], one.prog
        assert one.description, one.prog
        assert one.format_help().startswith(f"usage: {one.prog}")


@pytest.mark.parametrize(("program", "command"), EVERY)
def test_examples_are_commands_that_can_be_typed(program: str, command: Command) -> None:
    top, parser = whole(program, command)
    examples = [
        re.sub(r"\$\(.*\)", "WORD", line.partition("#")[0].partition(" > ")[0])
        .rpartition("|")[2]
        .split()
        for one in with_verbs(parser)
        for line in (one.epilog or "").splitlines()[1:]
    ]
    for words in examples:
        assert words[0] in PROGRAMS
        if words[0] != program:  # where its output goes
            continue
        _, unknown = top.parse_known_args(words[1:])
        assert unknown == []
    with pytest.raises(UsageError):  # the positive control
        top.parse_args([command.name, "--no-such-option"])


NEED_ROOT = [
    ("zosnet-agent", "join", "/nonexistent"),
    ("zosnet-agent", "install"),
    ("zosnet-agent", "reset", "--yes"),
    ("zosnet-agent", "internet"),
    ("zosnet-agent", "internet", "--check"),
    ("zosnet-agent", "networkd", "--keep-trying"),
    ("zosnet-agent", "dhcp", "zos"),
    ("zosnet-lab", "up"),
    ("zosnet-lab", "demo"),
    ("zosnet-lab", "status"),
    ("zosnet-lab", "exec", "n1", "true"),
    ("zosnet-lab", "down"),
]
AS_NOBODY = """
import importlib, os, sys
package, command, *words = sys.argv[1:]
program = importlib.import_module(f"{package}.__main__")
importlib.import_module(next(c.module for c in program.COMMANDS if c.name == command))
import agent.cli.patience, runtime.cli
os.setgroups([])
os.setegid(65534)
os.seteuid(65534)
sys.argv[1:] = [command, *words]
sys.exit(program.main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up being root")
@pytest.mark.parametrize("words", NEED_ROOT, ids=" ".join)
def test_who_is_not_root_is_told_so(words: tuple[str, ...]) -> None:
    program, *rest = words
    argv = [sys.executable, "-c", AS_NOBODY, PROGRAMS[program][0], *rest]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    first, *others = said.stderr.splitlines()

    assert said.returncode == Exit.DENIED
    assert first.startswith("error: cannot ")
    assert first.endswith(": not root")
    assert (others, said.stdout) == (["hint: run it with sudo"], "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_that_is_mistyped_is_guessed(program: str) -> None:
    package, commands = PROGRAMS[program]
    argv = [sys.executable, "-m", package, f"{commands[0].name}x", "-o", "json"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    error = json.loads(said.stderr)

    assert said.returncode == error["code"] == Exit.USAGE
    assert error["hint"] == f"did you mean {commands[0].name!r}?"

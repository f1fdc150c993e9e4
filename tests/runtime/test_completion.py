"""Words are completed from the parsers themselves; each shell is asked as a person would use it."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.completion import SHELLS, Candidate, Place, answer
from runtime.usage import Parser, add_verb

TREE = Path(__file__).parents[2]
PROGRAMS = {
    "ncadm": "controller.admin",
    "zosnet-controller": "controller",
    "zosnet-agent": "agent",
    "zosnet-lab": "lab",
}


def parser() -> Parser:
    top = Parser(prog="prog")
    top.add_argument("--version", action="store_true", help="print it")
    nouns = top.add_subparsers()
    thing = add_verb(nouns, "thing", "things")
    verbs = thing.add_subparsers()
    show = add_verb(verbs, "show", "show 100 % of one")
    show.add_argument("which", metavar="NETWORK")
    show.add_argument("what", choices=("all", "some"))
    show.add_argument("--file", metavar="FILE", help="from there (default: %(default)s)", default=7)
    show.add_argument("--yes", action="store_true", help="100 %% sure")
    show.add_argument("-o", "--output", choices=("table", "json"))
    add_verb(verbs, "shut", "shut one").add_argument("names", nargs="*", metavar="NETWORK")
    return top


def names(metavar: str, place: Place) -> list[Candidate]:
    return [Candidate(name, metavar) for name in ("home", "house", "bad\tname", *place.said)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", "thing"),
        ("x", ""),
        ("thing ", "show shut"),
        ("thing sho", "show"),
        ("thing show ", "home house"),
        ("thing show h", "home house"),
        ("thing show home ", "all some"),
        ("thing show home all ", ""),
        ("thing show home all x", ""),
        ("thing show --yes home s", "some"),
        ("thing show -", "--file --help --output --yes"),
        ("thing show --file x --", "--help --output --yes"),
        ("thing show --file ", ":files"),
        ("thing show --file=", ":files"),
        ("thing show --output ", "json table"),
        ("thing show -o j", "json"),
        ("thing show --output=t", "--output=table"),
        ("thing show --output=t home a", "all"),
        ("thing shut home ", "home house"),
        ("--version th", "thing"),
        ("nothing ", "thing"),
    ],
)
def test_each_place_has_its_words(typed: str, expected: str) -> None:
    said = answer(parser(), typed.split(" "), names).splitlines()
    words = [line.split("\t")[0] for line in said[1:]]

    assert (said[0] if said[0] == ":files" else " ".join(words)) == expected


def test_words_have_their_meaning() -> None:
    said = answer(parser(), ["thing", "show", "--"], names)

    assert "\n--file\tfrom there (default: 7)\n" in said
    assert "\n--yes\t100 % sure\n" in said
    assert (
        answer(parser(), ["thing", "s"], None)
        == ":words\nshow\tshow 100 % of one\nshut\tshut one\n"
    )


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", SHELLS)
def test_every_program_has_a_script_for_each_shell(program: str, shell: str) -> None:
    argv = [sys.executable, "-m", PROGRAMS[program], "completion", shell]
    script = subprocess.run(argv, cwd=TREE, capture_output=True, text=True, check=True).stdout
    shells = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}
    checked = subprocess.run(
        shells[shell], input=script, capture_output=True, text=True, check=False
    )

    assert program in script
    assert "@" not in re.sub(r"\$@|\(@|\[@\]", "", script)
    assert (checked.returncode, checked.stderr) == (0, "")


# real shells


PROGRAM = f"""#!/bin/sh
case "$1" in
    __complete|completion) cd {TREE} && exec {sys.executable} -m controller.admin "$@" ;;
    *) echo "ran: $*" ;;
esac
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, and the program in a directory of PATH."""
    path = tmp_path_factory.mktemp("home")
    program = path / "bin/ncadm"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    for shell in SHELLS:
        argv = [str(program), "completion", shell]
        script = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        (path / f"ncadm.{shell}").write_text(script)
    return path


def environment(home: Path) -> dict[str, str]:
    path = f"{home}/bin:/usr/bin:/bin"
    return {"HOME": str(home), "PATH": path, "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}


class Terminal:
    """A shell at a terminal; `type` and read until it shows what is looked for."""

    def __init__(self, home: Path, argv: list[str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=home,
            env=environment(home),
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def type(self, text: str, until: str, seconds: float = 30.0) -> str:
        begun, end = len(self.shown), time.monotonic() + seconds
        os.write(self._master, text.encode())
        while not re.search(until, self.shown[begun:]):
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, (until, self.shown)
            self.shown += os.read(self._master, 4096).decode(errors="replace")
        return self.shown[begun:]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, home: Path) -> Iterator[Terminal]:
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
    shell: str = request.param
    assert shutil.which(shell), f"script/bootstrap dev installs {shell}"
    one = Terminal(home, [shell, *options[shell]])
    one.type(f"source {home}/ncadm.{shell}; echo rea''dy\n", "ready")
    yield one
    one.close()


def test_a_terminal_completes_nouns_verbs_and_flags(terminal: Terminal) -> None:
    terminal.type("ncadm netw\t", "network")
    terminal.type("del\t", "delete")
    terminal.type("x --dr\t", "--dry-run")
    terminal.type("--outp\t", "--output")
    terminal.type("tab\t\n", "ran: network delete x --dry-run --output table\r\n")


def test_a_terminal_completes_files_where_a_file_belongs(terminal: Terminal, home: Path) -> None:
    (home / "join-string").touch()
    terminal.type("ncadm token create home --output-file join-s\t\n", "--output-file join-string")


def test_fish_completes_with_meanings(home: Path) -> None:
    assert shutil.which("fish"), "script/bootstrap dev installs fish"

    def complete(typed: str) -> list[str]:
        command = f"source {home}/ncadm.fish; complete -C '{typed}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", command],
            env=environment(home),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    assert complete("ncadm network sh") == ["show\tshow one network"]
    assert complete("ncadm network show x --dr") == []  # it only looks
    assert [line.split("\t")[0] for line in complete("ncadm network delete x --dr")] == [
        "--dry-run"
    ]
    assert complete("ncadm member list home --state ban") == ["banned"]

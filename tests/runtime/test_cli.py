"""Command lines, as processes: exit codes, what goes to which stream, what is loaded when."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.cli import (
    SHOW_BUGS,
    Command,
    print_items,
    print_stream,
    require_root,
    require_tool,
    run_program,
    table,
)
from runtime.failure import CannotError, Exit


def prog(*words: str, traceback: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.runtime.fake_verbs", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ({SHOW_BUGS: "1"} if traceback else {}),
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "things"], 0),
        (["show", "9"], 9),
        (["show", "denied"], 5),
        (["show", "interrupt"], 130),
        (["show", "bug"], 1),
        (["show"], 2),
        (["show", "things", "-o", "xml"], 2),
        (["nonsense"], 2),
        ([], 2),
        (["--version"], 0),
        (["--help"], 0),
        (["show", "--help"], 0),
        (["show", "file"], 1),
        (["show", "things", "--outp", "json"], 2),
    ],
)
def test_the_exit_code_says_what_happened(words: list[str], code: int) -> None:
    assert prog(*words).returncode == code


def test_data_goes_to_stdout_as_a_table_or_as_json() -> None:
    shown, said = prog("show", "things"), prog("show", "things", "-o", "json")

    assert shown.stdout == "NAME  UP   ADDRESSES\nn1    yes  10.0.0.1, ::1\n"
    assert json.loads(said.stdout) == {
        "schema": "zosnet/v1",
        "kind": "thing",
        "items": [{"name": "n1", "up": True, "ips": ["10.0.0.1", "::1"], "extra": 7}],
    }
    assert (shown.stderr, said.stderr) == ("", "")


PAGES = [([{"a": 1}, {"a": 2}], "x"), ([], "y"), ([{"a": 3}], "")]


def test_a_long_list_is_one_document_or_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    end = print_stream("thing", PAGES, "json")
    document = json.loads(capsys.readouterr().out)
    print_stream("thing", PAGES, "jsonl")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert document == {
        "schema": "zosnet/v1",
        "kind": "thing",
        "items": [{"a": n} for n in (1, 2, 3)],
    }
    assert lines == [{"schema": "zosnet/v1", "kind": "thing", "item": {"a": n}} for n in (1, 2, 3)]
    assert end == ""


@pytest.mark.parametrize("pages", [PAGES[:1], [([], "x")]])
def test_a_list_that_goes_on_says_where(
    pages: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    end = print_stream("thing", pages, "json")

    assert json.loads(capsys.readouterr().out)["next"] == end == "x"


def test_errors_go_to_stderr_in_words_or_as_json() -> None:
    shown, said = prog("show", "denied"), prog("show", "denied", "-o", "json")

    assert shown.stderr == "error: cannot show: it is denied\nhint: ask\\x1b\n"
    assert json.loads(said.stderr) == {
        "schema": "zosnet/v1",
        "kind": "error",
        "error": "cannot show: it is denied",
        "hint": "ask\x1b",
        "code": 5,
    }
    assert (shown.stdout, said.stdout) == ("", "")


def test_a_bug_is_a_line_and_shows_where_it_is_when_asked() -> None:
    short, long = prog("show", "bug"), prog("show", "bug", traceback=True)
    line = "error: cannot run prog show: RuntimeError: a bug\n"

    assert short.stderr.startswith(line)
    assert len(short.stderr.splitlines()) == 2
    assert line in long.stderr
    assert 'raise RuntimeError("a bug")' in long.stderr


def test_a_bug_in_a_daemon_is_in_its_log_with_its_place() -> None:
    said = prog("show", "daemon").stderr

    assert " ERROR prog show: unexpected error\n" in said
    assert 'raise RuntimeError("a bug")' in said
    assert said.endswith("shows where it is\n")


def test_an_error_of_the_system_names_the_file() -> None:
    assert prog("show", "file").stderr == (
        "error: cannot run prog show: /nonexistent/file: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ("shw things", "prog: there is no command 'shw'", "did you mean 'show'?"),
        ("zzz", "prog: there is no command 'zzz'", "commands: show, heavy, missing, completion"),
        ("show", "prog show: the following arguments are required: what", None),
        ("show a b", "prog show: it knows no b", None),
        ("show a --bogus", "prog show: it knows no --bogus", None),
        ("show a --ouput=json", "prog show: it knows no --ouput=json", "did you mean '--output'?"),
        ("show a -o xml", "prog show: --output can be table or json, not 'xml'", None),
        (
            "show a -o jsn",
            "prog show: --output can be table or json, not 'jsn'",
            "did you mean 'json'?",
        ),
    ],
)
def test_words_that_do_not_fit_are_an_error_with_a_way_out(
    words: str, said: str, hint: str | None
) -> None:
    told = prog(*words.split())
    name = said.partition(":")[0]

    assert told.stderr == (f"error: cannot run {said}\nhint: {hint or f'see: {name} --help'}\n")
    assert told.stdout == ""


@pytest.mark.parametrize(
    "words", ["shw -o json", "show -o json", "--output=json shw", "shw -ojson"]
)
def test_also_an_error_in_the_words_is_json_when_json_was_asked_for(words: str) -> None:
    told, plain = json.loads(prog(*words.split()).stderr), prog("shw").stderr

    assert (told["kind"], told["code"]) == ("error", 2)
    assert plain.startswith("error: ")


def test_a_program_without_words_shows_its_commands_and_fails() -> None:
    told = prog()

    assert "print things" in told.stderr
    assert (told.returncode, told.stdout) == (2, "")


def test_help_names_a_value_once_and_has_examples() -> None:
    said = prog("show", "--help").stdout

    assert "  -o, --output FORMAT  table or json (default: table)\n" in said
    assert "\nPrint things.\n" in said
    assert said.endswith("examples:\n  prog show things\n")


def test_help_and_another_verb_load_no_verbs_module() -> None:
    helped = prog("--help")
    shown = prog("show", "things")

    assert "a module that is not there" in helped.stdout
    assert (helped.returncode, shown.returncode) == (0, 0)
    assert "ModuleNotFoundError" in prog("missing").stderr


@pytest.mark.parametrize("what", ["things", "many"])
def test_a_reader_that_is_gone_is_no_error(what: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "tests.runtime.fake_verbs", "show", what]
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, env=buffered, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_table_has_columns_two_blanks_apart_and_no_blank_at_the_end() -> None:
    assert table([["a", "b"], ["long", ""]], ["x", "yy"]) == "X     YY\na     b\nlong"


def test_cells_are_for_people_and_cannot_steer_their_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[dict[str, object]] = [
        {"a": None, "b": "", "c": [], "d": False, "e": 0},
        {"a": "\x1b[2Jé", "b": "x\ny", "c": ["\r"], "d": True},
    ]
    print_items("x", rows, {key: key for key in "abcde"}, output="table")
    lines = capsys.readouterr().out.splitlines()

    assert lines[1].split() == ["-", "-", "-", "no", "0"]
    assert lines[2].split() == ["\\x1b[2Jé", "x\\ny", "\\r", "yes", "-"]


def test_a_program_can_be_run_with_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [Command("show", "print things", "tests.runtime.fake_verbs")]

    assert run_program("prog", "", commands, ["show", "things"]) == 0
    assert capsys.readouterr().out.startswith("NAME")


def test_a_tool_that_is_missing_is_said_with_its_package() -> None:
    found = require_tool("sh", package="dash", what="run a shell")
    with pytest.raises(CannotError) as error:
        require_tool("nosuchtool", package="nosuch", what="do that")

    assert Path(found).name == "sh"
    assert error.value.message == "cannot do that: there is no nosuchtool on this machine"
    assert error.value.hint == "apt-get install nosuch"
    assert error.value.code == Exit.USAGE


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up being root")
def test_what_needs_root_says_so_to_others() -> None:
    code = (
        "import os\n"
        "from runtime.cli import require_root\n"
        "from runtime.failure import CannotError\n"
        "require_root('build networks')\n"
        "os.seteuid(65534)\n"
        "try: require_root('build networks')\n"
        "except CannotError as error: print(error, error.hint, int(error.code))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "cannot build networks: not root run it with sudo 5\n"
    require_root("build networks")

"""`ncadm export` and `import` as programs: files, stdin and stdout, what is said of a wrong file."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.failure import Exit
from tests.controller.farm import TREE, Controller
from tests.controller.test_exchange import REDIS


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    one = Controller(tmp_path_factory.mktemp("exchange"))
    one.init()
    one.start()
    yield one
    one.stop()


def piped(controller: Controller, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controller.admin", *words, "--socket", str(controller.socket)],
        input=text,
        capture_output=True,
        text=True,
        cwd=TREE,
        timeout=30,
        check=False,
    )


def test_a_redis_document_comes_in_and_goes_out_as_lines_and_as_a_document(
    controller: Controller, tmp_path: Path
) -> None:
    rehearsed = piped(controller, json.dumps(REDIS), "import", "-", "--dry-run")
    nothing = controller.ncadm("network", "list", "-o", "json")
    taken = piped(controller, json.dumps(REDIS), "import", "-", "-o", "json")
    lines, whole = tmp_path / "farm.jsonl", tmp_path / "farm.json"
    exports = [
        controller.ncadm("export", str(lines)),
        controller.ncadm("export", "--document", str(whole)),
        controller.ncadm("export"),
    ]
    by_line = [json.loads(line) for line in lines.read_text().splitlines()]

    assert "from 8056c2e21c000001: earth.zerotier.net, 2 members" in rehearsed.stdout
    assert json.loads(nothing.stdout)["items"] == []
    assert [item["from"] for item in json.loads(taken.stdout)["items"]] == [
        "8056c2e21c000001",
        "8056c2e21c000002",
    ]
    assert [done.returncode for done in exports] == [0, 0, 0]
    assert exports[2].stdout == lines.read_text()
    assert {record["key"]: record["value"] for record in by_line} == json.loads(whole.read_text())
    assert len(by_line) == len(REDIS)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (lines, whole)] == [0o600, 0o600]
    assert sorted(tmp_path.iterdir()) == [whole, lines]

    again = controller.ncadm("import", str(lines))
    assert (again.returncode, "is that of earth.zerotier.net here" in again.stderr) == (
        Exit.CONFLICT,
        True,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is no JSON"),
        ("[]", "it is no JSON object of keys"),
        ("{", "it is no JSON"),
        ('{"zt1": 1}', "zt1 is neither text nor a hash"),
        ('{"zt1": {"a": 1}}', "a of zt1 is no text"),
        ('{"key": "zt1", "value": "1"}\n{"key": "zt1", "value": "1"}', "line 2 of -: zt1 stands"),
        ('{"key": "zt1", "value": "1"}\nnonsense', "line 2 of -: it is no JSON"),
        ('{"key": "zt1", "value": "1"}\n{"a": "b"}', "line 2 of -: it is no {key, value}"),
        ('{"zt2": "1"}', "the schema's version must be '1'"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(
    controller: Controller, text: str, said: str
) -> None:
    done = piped(controller, text, "import", "-")

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert done.stderr.startswith("error: cannot import ")
    assert said in done.stderr


def test_a_file_that_is_not_there_is_named(controller: Controller, tmp_path: Path) -> None:
    missing = controller.ncadm("import", str(tmp_path / "no"))
    unwritable = controller.ncadm("export", str(tmp_path / "no" / "file"))

    assert f"cannot read {tmp_path / 'no'}: No such file" in missing.stderr
    assert f"cannot write {tmp_path / 'no' / 'file'}" in unwritable.stderr

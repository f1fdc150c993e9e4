"""ncadm as a tool: every verb of the controller can be typed, rehearsed, confirmed, and read by scripts."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from controller.admin.__main__ import COMMANDS
from controller.verbs.dispatch import VERBS
from protocol.admin import PAGE, changes
from runtime.cli import build_parser
from runtime.failure import Exit
from runtime.usage import Parser, verbs_of
from tests.controller.farm import TREE, Controller, free_port, running
from tests.controller.house import House
from tests.controller.test_cli import said
from tests.controller.test_paging import plant
from tests.controller.test_rehearsal import EXAMPLES, full

_ = full  # a fixture

DESTRUCTIVE = {
    "network.delete": ("network", "delete", "home"),
    "member.deauthorize": ("member", "deauthorize", "home", "n1"),
    "member.ban": ("member", "ban", "home", "n1"),
    "member.forget": ("member", "forget", "home", "n1"),
    "pool.remove": ("pool", "remove", "home", "10.9.0.0/16"),
    "prefix.release": ("prefix", "release", "home", "2001:db8:5::/64"),
    "token.revoke": ("token", "revoke", "0123456789ab"),
    "key.retire": ("key", "retire"),
    "key.admin.remove": ("key", "admin", "remove", "ann"),
}


# Two steps of one command, which asks once.
PARTS = {"key.take-root": "key.offline-root", "key.drop-root": "key.offline-root"}


def fields(verb: str) -> tuple[str, ...]:
    return tuple(VERBS[verb][1].__struct_fields__)


def parser_of(verb: str) -> Parser:
    verb = PARTS.get(verb, verb)
    first, *rest = verb.split(".")
    _, found, module = build_parser("ncadm", "", COMMANDS, first)
    assert module is not None, first
    for word in rest:
        found = verbs_of(found)[word]
    return found


def options(verb: str) -> set[str]:
    return set(parser_of(verb)._option_string_actions)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_controller_can_be_typed_with_what_it_needs(verb: str) -> None:
    found = options(verb)

    assert {"--socket", "--controller"} <= found
    assert "--output" in found or verb == "export"
    assert ("--dry-run" in found) == changes(verb)
    assert ("--yes" in found) == (verb in DESTRUCTIVE or verb in PARTS)
    if "limit" in fields(verb) and verb.endswith(".list"):
        assert {"--limit", "--after"} <= found


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("ncadm")) as one:
        one.network("home", ipv4="10.9.0.0/16")
        yield one


@pytest.mark.parametrize("verb", DESTRUCTIVE)
def test_what_cannot_be_taken_back_wants_a_word_from_a_script(
    controller: Controller, verb: str
) -> None:
    before = controller.ask("status")[0]["last_audit"]
    refused = controller.ncadm(*DESTRUCTIVE[verb])

    assert said(refused, Exit.USAGE).splitlines() == [
        "error: cannot go on: this cannot be taken back, and there is no terminal to ask on",
        "hint: if it is meant: --yes; to see what it would do: --dry-run",
    ]
    assert controller.ask("status")[0]["last_audit"]["seq"] == before["seq"]


# O1: what scripts read


SCHEMA = Path(__file__).with_name("schema_v1.json")


def fields_of(values: list[Any], name: str = "") -> dict[str, str]:
    """`a.b`: its types, over all these values; `a[]` is what is in a list."""
    found: dict[str, set[str]] = {}

    def look(value: Any, name: str) -> None:
        found.setdefault(name, set()).add(TYPES[type(value)])
        if isinstance(value, dict) and name not in MAPS:
            for key, inner in value.items():
                look(inner, f"{name}.{key}".lstrip("."))
        for inner in value if isinstance(value, list) else ():
            look(inner, f"{name}[]")

    for value in values:
        look(value, name)
    return {name: " or ".join(sorted(types)) for name, types in found.items() if name}


TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
}
MAPS = {"requests", "states"}  # their keys are no fields
LOOKS: dict[str, dict[str, Any]] = {
    "network.list": {},
    "network.show": {"network": "home"},
    "member.list": {"network": "home"},
    "member.show": {"network": "home", "member": "n1"},
    "pool.list": {"network": "home"},
    "pool.usage": {"network": "home"},
    "prefix.list": {"network": "home"},
    "prefix.show": {"network": "home"},
    "token.list": {},
    "token.show": EXAMPLES["token.revoke"],
    "audit.list": {},
    "audit.verify": {},
    "key.admin.list": {},
    "key.list": {},
    "key.show": {},
    "status": {},
    "watch": {"after": "0"},
}
FREE = {"audit.export", "export", "key.export"}  # formats of their own, with tests of their own


def test_every_kind_keeps_its_fields(full: House) -> None:
    """O1: a field that scripts read neither goes nor changes its type; a new one is written down
    in schema_v1.json, which this test prints when it differs.
    """
    assert sorted([*LOOKS, *FREE]) == sorted(verb for verb in VERBS if not changes(verb))
    found = {}
    for verb, arguments in LOOKS.items():
        items = full.do(verb, **(EXAMPLES["token.revoke"] if verb == "token.show" else arguments))
        assert items, verb
        assert all(item.keys() == items[0].keys() for item in items), verb
        found[verb] = {"kind": VERBS[verb][0], "fields": fields_of(items)}

    print(json.dumps(found, indent=1))
    assert found == json.loads(SCHEMA.read_text())


@pytest.mark.parametrize("verb", [verb for verb in LOOKS if verb.endswith((".list", "status"))])
def test_every_list_is_a_table_json_and_lines(controller: Controller, verb: str) -> None:
    """O1"""
    words = [*verb.split("."), *(["home"] if "network" in LOOKS[verb] else [])]
    table = controller.ncadm(*words)
    document = json.loads(controller.ncadm(*words, "-o", "json").stdout)
    lines = controller.ncadm(*words, "-o", "jsonl").stdout.splitlines()

    assert said(table, 0) == ""
    assert table.stdout
    assert (document["schema"], document["kind"]) == ("zosnet/v1", VERBS[verb][0])
    assert [json.loads(line).keys() for line in lines] == [
        {"schema", "kind", "item"} for _ in document["items"]
    ]


def test_long_tables_end_and_say_where_they_go_on(tmp_path: Path) -> None:
    from controller.store.database import open_writer

    with running(tmp_path) as one:
        one.network("home", ipv4="10.9.0.0/16")
        one.stop()
        connection = open_writer(one.data / "zosnet.db")
        plant(connection, 1111)
        connection.close()
        one.start()
        table = one.ncadm("member", "list", "home", "--all")
        way = table.stderr.split("--after ")[1].split(",")[0]
        rest = one.ncadm("member", "list", "home", "--all", "--after", way)
        some = one.ncadm("member", "list", "home", "--all", "--limit", "7", "-o", "json")
        lines = one.ncadm("member", "list", "home", "--all", "-o", "jsonl").stdout.splitlines()
        document = json.loads(one.ncadm("member", "list", "home", "--all", "-o", "json").stdout)

    assert table.stderr == f"there are more: --after {way}, or -o jsonl for all\n"
    assert [len(shown.stdout.splitlines()) - 1 for shown in (table, rest)] == [1000, 111]
    assert rest.stderr == ""
    assert len(json.loads(some.stdout)["items"]) == 7
    assert json.loads(some.stdout)["next"]
    assert len(lines) == len(document["items"]) == 1111 > 2 * PAGE
    assert "next" not in document


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("netwrk list", "did you mean 'network'?"),
        ("network lst", "did you mean 'list'?"),
        ("network list --nam x", "did you mean '--name'?"),
        ("network show hme", "did you mean 'home'?"),
        ("member show hme n1", "did you mean 'home'?"),
        ("pool list hme", "did you mean 'home'?"),
        ("member list home --state pendin", None),
    ],
)
def test_near_names_are_offered(controller: Controller, words: str, hint: str | None) -> None:
    refused = controller.ncadm(*words.split())

    assert refused.returncode in (Exit.USAGE, Exit.NOT_FOUND)
    assert hint is None or refused.stderr.splitlines()[1] == f"hint: {hint}"


def test_members_and_tokens_have_near_names_too(full: House) -> None:
    token = EXAMPLES["token.revoke"]["token"]
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    for verb, arguments, near in (
        ("member.show", {"network": "home", "member": "n11"}, "'n1'"),
        ("token.show", {"token": wrong}, f"'{token}'"),
        ("key.admin.remove", {"name": "alise"}, "'alice'"),
    ):
        refused = full.call(verb, **arguments)

        assert getattr(refused, "hint", "") == f"did you mean {near}?", refused


# O2: exit codes


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=TREE, check=False, timeout=30)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """One that can be reached from elsewhere, with a key of ours that it does not know."""
    where = f"tcp://127.0.0.1:{free_port()}"
    with running(tmp_path_factory.mktemp("codes"), extra=f"admin_listen: ['{where}']\n") as one:
        one.network("home", ipv4="10.9.0.0/16")
        one.network("tiny", ipv4="10.8.0.0/30")
        run("controller.admin", "keygen", str(one.directory / "key"))
        yield one


def flags(one: Controller, server_key: str) -> list[str]:
    where = one.config.read_text().split("admin_listen: ['")[1].split("'")[0]
    key = str(one.directory / "key")
    return ["--controller", where, "--server-key", server_key, "--key", key]


def damage(one: Controller) -> None:
    with closing(sqlite3.connect(one.data / "zosnet.db")) as connection, connection:
        connection.execute("DROP TRIGGER audit_stays_as_it_is")
        connection.execute("UPDATE audit SET action = 'nothing.happened'")


def test_each_exit_code_says_what_it_says(remote: Controller, tmp_path: Path) -> None:
    """O2: one command for each code of docs/operating.md."""
    one, nobody = remote, Controller(tmp_path)
    server_key = one.ask("status")[0]["server_key"]
    one.ncadm("member", "add", "tiny", "ab" * 32)
    done = {
        Exit.OK: one.ncadm("status"),
        Exit.INTERNAL: run("tests.runtime.fake_verbs", "show", "bug"),
        Exit.USAGE: one.ncadm("network", "create"),
        Exit.NOT_FOUND: one.ncadm("network", "show", "nowhere"),
        Exit.CONFLICT: one.ncadm("network", "create", "home"),
        Exit.DENIED: one.ncadm_at(*flags(one, server_key), words=["status"]),
        Exit.UNREACHABLE: nobody.ncadm("status"),
        Exit.EXHAUSTED: one.ncadm("member", "add", "tiny", "cd" * 32),
        Exit.VERIFICATION: one.ncadm_at(*flags(one, "00" * 32), words=["status"]),
        Exit.NOT_CONVERGED: run("agent", "wait", "overlay", "--timeout", "0"),
    }
    one.stop()
    damage(one)
    done[Exit.PROBLEMS] = one.command("check")

    assert {code: one.returncode for code, one in done.items()} == {code: code for code in Exit}


def test_interrupted_is_130_and_says_nothing(controller: Controller) -> None:
    """O2"""
    hears = ["env", "--default-signal=INT"]  # also where a shell runs us in the background
    argv = [sys.executable, "-m", "controller.admin", "watch", "--socket", str(controller.socket)]
    with subprocess.Popen(
        [*hears, *argv, "--since", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=TREE
    ) as watch:
        assert watch.stdout is not None
        watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        try:
            _, complaint = watch.communicate(timeout=60)
        finally:
            watch.kill()

    assert (watch.returncode, complaint) == (130, b"")

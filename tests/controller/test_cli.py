"""`zosnet-controller` and `ncadm` as a person meets them."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.joinstring import parse_join_string
from runtime.failure import Exit
from tests.controller.farm import TREE, Controller, running, wait_for


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("cli")) as one:
        one.network("home", ipv4="10.9.0.0/16")
        yield one


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_init_says_who_it_is_and_what_to_do_next(tmp_path: Path) -> None:
    one = Controller(tmp_path)
    done = one.command("init", "--endpoint", one.endpoint)

    assert said(done, 0) == ""
    assert "root key fingerprint" in done.stdout
    assert "zosnet-controller serve" in done.stdout
    again = said(one.command("init", "--endpoint", one.endpoint), Exit.CONFLICT)
    assert "not empty" in again


def test_init_asks_for_an_endpoint_that_nodes_can_use(tmp_path: Path) -> None:
    one = Controller(tmp_path)

    assert "--endpoint" in said(one.command("init"), Exit.USAGE)
    for wrong in ("tcp://*:9930", "203.0.113.10", "tcp://host:0", "udp://host:1"):
        assert "is none" in said(one.command("init", "--endpoint", wrong), Exit.USAGE)
    assert not one.data.exists()


def test_serve_before_init_says_how_to_begin(tmp_path: Path) -> None:
    assert "zosnet-controller init" in said(Controller(tmp_path).command("serve"), Exit.USAGE)


def test_a_second_controller_on_the_same_data_is_refused(controller: Controller) -> None:
    words = said(controller.command("serve"), Exit.CONFLICT)

    assert f"pid {controller.pid}" in words


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    one = Controller(tmp_path).init()
    with socket.socket() as other:
        other.bind(("127.0.0.1", one.port))
        other.listen()
        words = said(one.command("serve"), Exit.CONFLICT)

    assert f"cannot listen on {one.endpoint}: the port is taken" in words
    assert "hint:" in words


def test_a_socket_of_another_program_is_not_taken_over(
    controller: Controller, tmp_path: Path
) -> None:
    other = Controller(tmp_path)
    other.config.write_text(
        other.config.read_text().replace(str(other.socket), str(controller.socket))
    )
    other.init()

    assert "another program" in said(other.command("serve"), Exit.CONFLICT)
    other.socket.write_text("precious")
    other.config.write_text(
        other.config.read_text().replace(str(controller.socket), str(other.socket))
    )
    assert "another kind" in said(other.command("serve"), Exit.CONFLICT)
    assert other.socket.read_text() == "precious"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("lisen: []", "did you mean 'listen'"),
        ("listen: 7", "listen"),
        ("listen: ['*:9930']", "is no endpoint"),
        ("endpoints: ['tcp://*:1']", "no endpoint that nodes can connect to"),
        ("data: [", "line"),
    ],
)
def test_a_wrong_config_says_where(tmp_path: Path, extra: str, words: str) -> None:
    one = Controller(tmp_path)
    one.config.write_text(extra)

    assert words in said(one.command("serve"), Exit.USAGE)


def test_a_damaged_database_is_named_and_left_alone(tmp_path: Path) -> None:
    one = Controller(tmp_path).init()
    path = one.data / "zosnet.db"
    path.write_bytes(b"garbage" * 2000)

    for verb in ("serve", "check"):
        assert "damaged" in said(one.command(verb), Exit.PROBLEMS)
    assert path.read_bytes() == b"garbage" * 2000


def test_check_finds_a_changed_audit_log(tmp_path: Path) -> None:
    import sqlite3

    with running(tmp_path) as one:
        one.network()
        one.stop()
        done = one.command("check")
        assert said(done, 0) == ""
        assert "is sound" in done.stdout
        with sqlite3.connect(one.data / "zosnet.db") as connection:
            connection.execute("DROP TRIGGER audit_stays_as_it_is")
            connection.execute("UPDATE audit SET action = 'nothing.happened'")
        connection.close()

        assert "audit log" in one.command("check").stdout
        assert one.command("check").returncode == Exit.PROBLEMS


def test_networks_of_the_config_are_made_once(tmp_path: Path) -> None:
    with running(tmp_path, extra="networks: [{name: farm, ipv4: 10.7.0.0/16}]\n") as one:
        first = one.ask("network.list")
        one.stop()
        one.start()

        assert one.ask("network.list") == first
        assert [(n["name"], n["ranges"]) for n in first] == [("farm", ["10.7.0.0/16"])]


def test_sigterm_ends_it_cleanly_and_soon(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        assert one.stop() == 0
        assert not one.socket.exists()
        assert "Traceback" not in one.log.read_text()


def test_sigint_does_the_same(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        os.kill(one.pid, signal.SIGINT)

        assert wait_for(lambda: not one.alive)
        assert "controller stopped" in one.log.read_text()


def test_the_admin_socket_is_for_root_and_its_group(controller: Controller) -> None:
    assert controller.socket.stat().st_mode & 0o777 == 0o660


def test_a_token_is_shown_once_and_its_secret_stays_nowhere(controller: Controller) -> None:
    done = controller.ncadm("token", "create", "home", "--uses", "2", "--ttl", "1h")
    text = done.stdout.strip()
    join = parse_join_string(text)
    listed = controller.ncadm("token", "list", "-o", "json")
    stored = b"".join(path.read_bytes() for path in controller.data.glob("zosnet.db*"))

    assert done.stdout == f"{text}\n"
    assert join.controllers[0][0] == controller.endpoint
    for form in (bytes(join.token), join.token.hex().encode(), text.encode()):
        assert form not in stored
        assert form.hex() not in listed.stdout
        assert form not in controller.log.read_bytes()


def test_a_token_goes_into_a_file_of_the_owner(controller: Controller, tmp_path: Path) -> None:
    path = tmp_path / "join"
    done = controller.ncadm("token", "create", "home", "--output-file", str(path))

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() not in done.stdout
    assert parse_join_string(path.read_text()) is not None


def test_ncadm_prints_tables_and_json(controller: Controller) -> None:
    table = controller.ncadm("network", "list").stdout.splitlines()
    said_json = json.loads(controller.ncadm("network", "list", "-o", "json").stdout)

    assert table[0].split() == ["NAME", "ID", "RANGES", "MEMBERS", "ONLINE", "PRIVATE"]
    assert table[1].startswith("home")
    assert (said_json["schema"], said_json["kind"]) == ("zosnet/v1", "network")
    assert said_json["items"][0]["name"] == "home"


def test_ncadm_has_the_exit_codes(controller: Controller) -> None:
    not_found = controller.ncadm("network", "show", "hom")

    assert said(not_found, Exit.NOT_FOUND) == (
        "error: cannot find network 'hom'\nhint: did you mean 'home'?\n"
    )
    said(controller.ncadm("network", "create", "home"), Exit.CONFLICT)
    said(controller.ncadm("network", "create", "no name"), Exit.USAGE)
    said(controller.ncadm("token", "create", "home", "--ttl", "soon"), Exit.USAGE)
    said(controller.ncadm("network", "delete", "home", "--yes"), 0)
    controller.network("home", ipv4="10.9.0.0/16", id="once-more")


def test_errors_are_json_on_request(controller: Controller) -> None:
    done = controller.ncadm("member", "list", "nowhere", "-o", "json")
    error = json.loads(said(done, Exit.NOT_FOUND))

    assert (error["kind"], error["code"]) == ("error", Exit.NOT_FOUND)
    assert done.stdout == ""


def test_without_a_controller_ncadm_says_what_to_start(tmp_path: Path) -> None:
    one = Controller(tmp_path)

    assert "zosnet-controller serve" in said(one.ncadm("status"), Exit.UNREACHABLE)


def test_ncadm_loads_no_database(controller: Controller) -> None:
    program = (
        "import sys; from controller.admin.__main__ import main; sys.argv[1:] ="
        f" ['network', 'list', '--socket', '{controller.socket}']; code = main();"
        " print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'sqlmodel', 'sqlalchemy', 'sqlite3', 'pydantic'})); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=TREE,
        timeout=30,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_destructive_verbs_ask_on_a_terminal_and_want_a_word_from_a_script(
    controller: Controller,
) -> None:
    import pty

    def at_a_terminal(word: bytes) -> int:
        master, slave = pty.openpty()
        words = ["network", "delete", "doomed", "--socket", str(controller.socket)]
        with subprocess.Popen(
            [sys.executable, "-m", "controller.admin", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=TREE,
        ) as asked:
            os.write(master, word + b"\n")
            code = asked.wait(20)
        os.close(master)
        os.close(slave)
        return code

    controller.network("doomed", ipv4="10.8.0.0/16")
    assert at_a_terminal(b"n") == at_a_terminal(b"") == Exit.USAGE
    script = said(controller.ncadm("network", "delete", "doomed"), Exit.USAGE)
    rehearsed = said(controller.ncadm("network", "delete", "doomed", "--dry-run"), 0)

    assert (
        script.splitlines()[1] == "hint: if it is meant: --yes; to see what it would do: --dry-run"
    )
    assert rehearsed == "nothing was changed (--dry-run); this would change:\n"
    assert len(controller.ask("network.show", network="doomed")) == 1
    said(controller.ncadm("network", "delete", "doomed", "--yes"), 0)
    said(controller.ncadm("network", "show", "doomed"), Exit.NOT_FOUND)
    controller.network("doomed", ipv4="10.8.0.0/16", id="once-more-doomed")
    assert at_a_terminal(b"y") == 0
    said(controller.ncadm("network", "show", "doomed"), Exit.NOT_FOUND)


def test_a_member_is_added_by_its_key_and_the_join_string_holds_no_secret(
    controller: Controller,
) -> None:
    controller.network("added", ipv4="10.77.0.0/24")
    words = ("member", "add", "added", "AB" * 32, "--name", "n7")
    done = controller.ncadm(*words, "--address", "10.77.0.7", "--role", "transit")
    shown = controller.ncadm("member", "show", "added", "n7").stdout
    listed = controller.ncadm("member", "list", "added").stdout.splitlines()
    changed = controller.ncadm("member", "set", "added", "n7", "--role", "none", "-o", "json")
    join = parse_join_string(done.stdout)

    assert done.returncode == 0
    assert not join.has_token
    assert join.controllers[0][0] == controller.endpoint
    assert "10.77.0.7/24" in done.stderr
    assert listed[0].split() == ["ADDRESS", "NAME", "STATE", "SEEN", "ADDRESSES", "ROLES", "FROM"]
    assert listed[1].split()[1:5] == ["n7", "authorized", "expected", listed[1].split()[4]]
    assert ["key", "ab" * 32] in [line.split() for line in shown.splitlines()]
    item = json.loads(changed.stdout)["items"][0]
    assert (item["roles"], item["connection"]) == ([], "expected")
    assert isinstance(item["age"], int)


def test_it_can_be_ended_as_soon_as_it_listens(tmp_path: Path) -> None:
    """The handlers are there before anybody can see it."""
    late = (sys.executable, str(TREE / "tests" / "controller" / "late.py"))
    one = Controller(tmp_path, program=late).init()
    try:
        one.start()

        assert one.stop() == 0
        assert "controller stopped" in one.log.read_text()
    finally:
        one.close()

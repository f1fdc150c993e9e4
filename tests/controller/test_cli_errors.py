"""What can be wrong around a controller, as its operator meets it: one line, a hint, nothing lost."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from runtime.failure import Exit
from tests.controller.farm import TREE, Controller, running
from tests.controller.test_cli import said

AS_NOBODY = """
import os, sys
import controller.cli.init, controller.cli.serve, controller.cli.check, controller.admin.client
import msgspec, zmq, yaml, protocol.admin
from controller import __main__ as program, admin
from controller.admin import __main__ as ncadm, status
os.setgroups([])
os.setegid(65534)
os.seteuid(65534)
which = sys.argv.pop(1)
sys.exit(ncadm.main() if which == "ncadm" else program.main())
"""


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("errors")) as one:
        one.network("home", ipv4="10.9.0.0/16")
        yield one


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *words],
        capture_output=True,
        text=True,
        cwd=TREE,
        timeout=30,
        check=False,
    )


def let_others_in(path: Path) -> None:
    """As far up as the directories are pytest's."""
    while "pytest-" in str(path):
        path.chmod(0o755)
        path = path.parent


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up being root")
@pytest.mark.parametrize("verb", ["init", "serve", "check"])
def test_who_may_not_read_the_data_is_told_so(tmp_path: Path, verb: str) -> None:
    one = Controller(tmp_path).init()
    let_others_in(tmp_path)
    denied = as_nobody("controller", verb, "--config", str(one.config), *endpoint(one, verb))

    words = said(denied, Exit.DENIED)
    assert "Permission denied" in words
    assert "hint: run it " in words
    assert said(one.command("check"), 0) == ""


def endpoint(one: Controller, verb: str) -> list[str]:
    return ["--endpoint", one.endpoint] if verb == "init" else []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up being root")
def test_who_may_not_talk_to_the_controller_is_told_so(controller: Controller) -> None:
    let_others_in(controller.directory)
    denied = as_nobody("ncadm", "status", "--socket", str(controller.socket))

    assert said(denied, Exit.DENIED).endswith(": not root\nhint: run it with sudo\n")
    assert said(controller.ncadm("status"), 0) == ""


@pytest.mark.parametrize("verb", ["init", "serve", "check"])
def test_a_config_that_somebody_named_must_be_there(tmp_path: Path, verb: str) -> None:
    one = Controller(tmp_path)
    one.config.unlink()
    words = said(one.command(verb, *endpoint(one, verb)), Exit.USAGE)

    assert words == f"error: cannot use {one.config}: there is no such file\n"


@pytest.mark.parametrize(
    ("networks", "reason", "hint"),
    [
        ("[{name: x, ipv4: 10.0.0.1/8}]", "it is an address in a range", "10.0.0.0/8"),
        ("[{name: x, ipv4: 'fd00::/64'}]", "it is IPv6", "--ipv6"),
        ("[{name: 'a b'}]", "cannot call a network 'a b'", ""),
        ("[{nmae: x}]", "networks[0]: unknown key 'nmae'", "did you mean 'name'?"),
        ("[{}]", "networks[0]: the key 'name' is missing", ""),
        ("{name: x}", "networks: this is not a list", ""),
    ],
)
def test_a_network_of_the_config_that_cannot_be_is_named_with_the_file(
    tmp_path: Path, networks: str, reason: str, hint: str
) -> None:
    one = Controller(tmp_path).init()
    good = one.config.read_text()
    one.config.write_text(f"{good}networks: {networks}\n")
    words = said(one.command("serve"), Exit.USAGE)

    assert words.startswith(f"error: cannot use {one.config}: networks")
    assert reason in words
    assert hint in words
    one.config.write_text(f"{good}networks: [{{name: good, ipv4: 10.8.0.0/16}}]\n")
    one.start()
    try:
        assert "good" in one.ncadm("network", "list").stdout
    finally:
        one.close()


def test_what_ends_serve_stands_in_the_log_file_too(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    one = Controller(tmp_path, extra=f"log: {{directory: {logs}}}\n").init()
    with socket.socket() as other:
        other.bind(("127.0.0.1", one.port))
        other.listen()
        words = said(one.command("serve"), Exit.CONFLICT)

    assert f"cannot listen on {one.endpoint}: the port is taken" in words
    assert f"cannot listen on {one.endpoint}" in (logs / "zosnet-controller.log").read_text()


@pytest.mark.parametrize("key", ["log: {directory: /proc/none}", "socket: /proc/none/socket"])
def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, key: str) -> None:
    one = Controller(tmp_path).init()
    lines = [line for line in one.config.read_text().splitlines() if line[:6] != key[:6]]
    one.config.write_text("\n".join([*lines, key]))
    words = said(one.command("serve"), Exit.USAGE)

    assert "/proc/none" in words
    assert "controller.yaml" in words or "see `log`" in words


def test_keys_that_others_may_read_or_that_do_not_belong_are_refused_until_they_do(
    tmp_path: Path,
) -> None:
    one = Controller(tmp_path).init()
    root = one.data / "keys" / "root"
    root.chmod(0o644)
    wide = said(one.command("serve"), Exit.USAGE)
    root.chmod(0o600)
    own = root.read_text()
    root.write_text(f"{bytes(range(32)).hex()}\n")
    other = said(one.command("serve"), Exit.PROBLEMS)
    root.write_text(own)

    assert f"hint: chmod 600 {root}" in wide
    assert "does not belong to" in other
    assert said(one.command("check"), 0) == ""


# -- ncadm


def test_a_controller_that_is_away_is_named_at_once(tmp_path: Path) -> None:
    one = Controller(tmp_path).init().start()
    assert said(one.ncadm("status"), 0) == ""
    one.kill()  # its socket is left
    took = []

    def status() -> str:
        began = monotonic()
        words = said(one.ncadm("status"), Exit.UNREACHABLE)
        took.append(monotonic() - began)
        return words

    dead = status()
    one.socket.unlink()
    gone = status()
    one.socket.write_text("a file")
    no_socket = status()

    assert max(took) < 9  # who waits for an answer does so for 10 s
    assert "nobody listens there" in dead
    assert "it does not exist" in gone
    assert "nobody listens there" in no_socket
    assert "hint: is it running? zosnet-controller serve" in dead


def test_a_join_string_that_cannot_be_written_down_is_not_made(
    controller: Controller, tmp_path: Path
) -> None:
    before = controller.ask("token.list")
    missing = tmp_path / "no" / "such" / "directory" / "join"
    words = said(
        controller.ncadm("token", "create", "home", "--output-file", str(missing)), Exit.USAGE
    )
    onto_a_directory = said(
        controller.ncadm("token", "create", "home", "--output-file", str(tmp_path)), Exit.USAGE
    )

    assert f"cannot write the join string to {missing}: No such file" in words
    assert "hint: no token has been made" in words
    assert "directory" in onto_a_directory
    assert controller.ask("token.list") == before
    good = tmp_path / "join"
    assert said(controller.ncadm("token", "create", "home", "--output-file", str(good)), 0) == ""
    assert good.read_text().startswith("zosnet1")
    assert stat.S_IMODE(good.stat().st_mode) == 0o600
    assert len(controller.ask("token.list")) == len(before) + 1


def test_a_token_that_is_refused_leaves_the_file_as_it_was(
    controller: Controller, tmp_path: Path
) -> None:
    path = tmp_path / "join"
    path.write_text("precious")
    words = said(
        controller.ncadm("token", "create", "hme", "--output-file", str(path)), Exit.NOT_FOUND
    )

    assert "did you mean 'home'?" in words
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        (("token", "create", "home", "--uses", "0"), "uses: at least 1 needed, not 0", 2),
        (("token", "create", "home", "--ttl", "900d"), "ttl: at most", 2),
        (("token", "create", "home", "--ttl", "5y"), "'5y' is no duration", 2),
        (("token", "create", "home", "--role", "king"), "cannot give the role 'king'", 2),
        (("token", "revoke", "abcd", "--yes"), "cannot find token 'abcd'", 3),
        (("member", "show", "home", "n9"), "cannot find member 'n9' in network home", 3),
        (("member", "list", "hoem"), "did you mean 'home'?", 3),
        (("network", "create", "home"), "it exists already", 4),
        (("network", "create", "x", "--ipv4", "10.9.0.0/31"), "the smallest is a /30", 2),
        (("network", "create", "x", "--mtu", "abc"), "argument --mtu", 2),
        (("network", "lst"), "did you mean 'list'?", 2),
    ],
)
def test_wrong_words_and_numbers_are_said_with_a_way_out(
    controller: Controller, words: tuple[str, ...], reason: str, code: int
) -> None:
    before = controller.ask("network.list")
    error = said(controller.ncadm(*words), code)

    assert error.startswith("error: cannot ")
    assert reason in error
    assert controller.ask("network.list") == before

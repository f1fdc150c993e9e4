"""Administration from elsewhere: admin keys may do everything, no other key anything."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.admin import keyfile
from controller.admin.client import ask
from controller.store.database import open_reader
from controller.verbs.dispatch import VERBS
from protocol.admin import Call, Failed, decode_answer, encode_admin
from protocol.joinstring import JoinString
from protocol.keys import CurvePublic, CurveSecret, VerifyKey, curve_public, new_curve_pair
from protocol.messages import Hello, Ping, Pong
from runtime.failure import CannotError, Exit
from tests.controller.farm import TREE, Controller, free_port, running
from tests.controller.node import Line, Node, RefusalError
from tests.controller.test_tokens_live import forms

PORT = free_port()
REMOTE = f"tcp://127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    directory = tmp_path_factory.mktemp("remote")
    with running(directory, extra=f"admin_listen: ['{REMOTE}']\n") as one:
        one.network()
        yield one


@pytest.fixture(scope="module")
def node(controller: Controller) -> Node:
    return controller.node("home", "n1", roles=["mint"]).enrol(
        str(controller.ask("network.show", network="home")[0]["id"])
    )


@pytest.fixture
def alice(controller: Controller, tmp_path: Path) -> Iterator[argparse.Namespace]:
    """The flags of somebody whose key is an admin's."""
    path = tmp_path / "alice"
    controller.ask("key.admin.add", name="alice", key=keyfile.make(path).hex())
    yield flags(controller, path)
    if any(item["name"] == "alice" for item in controller.ask("key.admin.list")):
        controller.ask("key.admin.remove", name="alice")


def server_key(controller: Controller) -> str:
    return str(controller.ask("status")[0]["server_key"])


def flags(controller: Controller, key: Path, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(
        **{"remote": REMOTE, "server_key": server_key(controller), "own_key": key} | more
    )


def admin_door(controller: Controller) -> JoinString:
    """Where a `Line` finds the socket of remote administration."""
    curve = CurvePublic(bytes.fromhex(server_key(controller)))
    return JoinString(VerifyKey(bytes(32)), CurveSecret(bytes(32)), ((REMOTE, curve),))


def actors(controller: Controller) -> list[str]:
    reader = open_reader(controller.data / "zosnet.db")
    found = reader.exec_driver_sql("SELECT actor FROM audit ORDER BY seq").scalars().all()
    reader.close()
    return list(found)


def call(verb: str) -> bytes:
    """With arguments that would do harm, were they heard."""
    known = {"network": "home", "member": "n1", "name": "evil", "key": "ab" * 32, "token": "0" * 12}
    fields = VERBS[verb][1].__struct_fields__
    return encode_admin(Call(1, verb, {k: v for k, v in known.items() if k in fields}))


def test_an_admin_does_from_elsewhere_what_he_could_do_here(
    controller: Controller, alice: argparse.Namespace
) -> None:
    made = ask(alice, "network.create", {"id": "from-afar", "name": "afar"})

    assert made == controller.ask("network.show", network="afar")
    assert actors(controller)[-1] == "admin alice"


def test_ncadm_takes_the_address_from_flags_or_from_a_file(
    controller: Controller, alice: argparse.Namespace, tmp_path: Path
) -> None:
    context = tmp_path / "ncadm.yaml"
    context.write_text(
        f"controller: {REMOTE}\nserver_key: '{alice.server_key}'\nkey: {alice.own_key}\n"
    )
    by_flags = ["--controller", REMOTE, "--server-key", alice.server_key, "--key", alice.own_key]
    here = controller.ncadm("network", "show", "home")

    assert here.returncode == 0
    for words in (by_flags, ["--context", context]):
        done = controller.ncadm_at(*map(str, words), words=("network", "show", "home"))
        assert (done.returncode, done.stdout) == (0, here.stdout), done.stderr
    both = controller.ncadm("status", "--context", str(context))  # and --socket
    assert both.returncode == Exit.USAGE


def test_a_key_that_is_taken_away_opens_nothing_from_that_moment_on(
    controller: Controller, alice: argparse.Namespace
) -> None:
    with Line(admin_door(controller), keyfile.load(alice.own_key)) as line:
        before = line.exchange(encode_admin(Call(1, "status", {})))
        controller.ask("key.admin.remove", name="alice")
        after = line.exchange(call("network.delete"))
    assert not isinstance(decode_answer(before), Failed)
    refused = decode_answer(after)
    assert isinstance(refused, Failed)
    assert refused.code == Exit.DENIED
    with pytest.raises(CannotError, match="does not know our key") as denied:
        ask(alice, "status", {})

    assert denied.value.code == Exit.DENIED
    assert controller.ask("network.show", network="home")


def test_another_controller_is_told_nothing(
    controller: Controller, alice: argparse.Namespace
) -> None:
    alice.server_key = "ab" * 32
    with pytest.raises(CannotError, match="another key than the one we know") as wrong:
        ask(alice, "status", {})

    assert wrong.value.code == Exit.VERIFICATION


def test_a_stranger_is_not_let_in(controller: Controller, tmp_path: Path) -> None:
    path = tmp_path / "mallory"
    keyfile.make(path)

    with pytest.raises(CannotError, match="does not know our key"):
        ask(flags(controller, path), "status", {})


def test_a_key_file_that_others_may_read_is_not_used(
    controller: Controller, alice: argparse.Namespace
) -> None:
    alice.own_key.chmod(0o640)
    with pytest.raises(CannotError, match="others may read it"):
        ask(alice, "status", {})
    alice.own_key.chmod(0o600)

    assert ask(alice, "status", {})
    with pytest.raises(CannotError, match="File exists"):
        keyfile.make(alice.own_key)


def test_an_admins_secret_is_in_its_file_and_nowhere_else(
    controller: Controller, alice: argparse.Namespace
) -> None:
    """S12: neither in what the controller keeps and says, nor in what others see of ncadm."""
    secret = bytes(keyfile.load(alice.own_key))
    argv = [sys.executable, "-m", "controller.admin", "watch", "--since", "0"]
    argv += ["--controller", REMOTE, "--server-key", alice.server_key, "--key", str(alice.own_key)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=TREE) as watch:
        assert watch.stdout is not None
        first = watch.stdout.readline()  # it has used the key
        shown = [
            Path(f"/proc/{pid}/{what}").read_bytes()
            for pid in (watch.pid, controller.pid)
            for what in ("cmdline", "environ")
        ]
        watch.kill()
    files = [path for path in controller.data.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in (*files, controller.log))
    public = curve_public(keyfile.load(alice.own_key))

    assert b"network.create" in first
    assert bytes(public) in kept  # it is the right dump
    assert str(alice.own_key).encode() in shown[0]
    assert [form for form in forms(secret) if form in kept or form in b"".join(shown)] == []
    assert any(form in alice.own_key.read_bytes() for form in forms(secret))


def test_an_admins_key_is_no_nodes(controller: Controller, alice: argparse.Namespace) -> None:
    """S9, the other way round: it can not even connect where nodes do."""
    join = controller.token()
    secret = keyfile.load(alice.own_key)
    with Line(join, secret) as line, pytest.raises(RefusalError):
        line.shake()
    with Line(join, join.token) as line:
        line.shake()


@pytest.mark.parametrize("kind", ["node", "token"])
def test_nodes_and_tokens_can_not_even_connect_where_admins_do(
    controller: Controller, node: Node, alice: argparse.Namespace, kind: str
) -> None:
    """S9: their keys are refused in the handshake."""
    secret = node.secret if kind == "node" else controller.token().token
    with Line(admin_door(controller), secret) as line, pytest.raises(RefusalError):
        line.shake()
    with Line(admin_door(controller), keyfile.load(alice.own_key)) as line:
        line.shake()


@pytest.mark.parametrize("verb", VERBS)
def test_no_node_can_call_an_admin_verb(controller: Controller, node: Node, verb: str) -> None:
    """S9: said on a node's own connection it is nonsense, without an answer and without effect."""
    line = node.connect()
    before = actors(controller)
    line.send_raw(call(verb))
    pong = line.ask(Ping(line.id()))

    assert isinstance(pong, Pong)
    assert line.pushes == []
    assert actors(controller) == before


@pytest.mark.parametrize("verb", VERBS)
def test_no_token_can_call_an_admin_verb(controller: Controller, verb: str) -> None:
    """S9: nor on a token's."""
    join = controller.token()
    before = actors(controller)
    with Line(join, join.token) as line:
        line.send_raw(call(verb))
        line.send(Hello(5, 1, "n", "", "", 1, 0))
        with pytest.raises(TimeoutError):
            line.exchange(b"", 0.05)

    assert actors(controller) == before


@pytest.mark.parametrize("name", ["", "a b", "x" * 64, "../x", "-x", "a\n"])
def test_an_admins_name_is_a_word(controller: Controller, name: str) -> None:
    key = new_curve_pair()[0].hex()
    with pytest.raises(CannotError, match="cannot call an admin"):
        controller.ask("key.admin.add", name=name, key=key)


def test_one_key_has_one_name_and_does_one_thing(
    controller: Controller, node: Node, alice: argparse.Namespace
) -> None:
    key = curve_public(keyfile.load(alice.own_key)).hex()
    other = new_curve_pair()[0].hex()
    before = controller.ask("key.admin.list")
    assert controller.ask("key.admin.add", name="alice", key=key) == before
    token = curve_public(controller.token().token).hex()
    for name, wanted, said in (
        ("alice", other, "another key has that name"),
        ("bob", key, "it is alice's already"),
        ("bob", bytes(node.key).hex(), "it is a node's key"),
        ("bob", token, "it is a token's key"),
    ):
        with pytest.raises(CannotError, match=said) as conflict:
            controller.ask("key.admin.add", name=name, key=wanted)
        assert conflict.value.code == Exit.CONFLICT

    assert controller.ask("key.admin.list") == before
    with pytest.raises(CannotError, match="cannot find admin key 'alcie'") as missing:
        controller.ask("key.admin.remove", name="alcie")
    assert missing.value.hint == "did you mean 'alice'?"

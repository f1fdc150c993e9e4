"""What a person types is what the controller is asked: each field of each verb has its words, and arrives."""

import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from controller.admin.__main__ import COMMANDS
from controller.verbs.dispatch import VERBS
from protocol.admin import Call, Failed, decode_call, encode_admin
from runtime.cli import run_program
from runtime.failure import Exit

KEY = "ab" * 32
WANTED = (
    "--desc north --notes ann --ui {} --public --topology hub --mesh-max 7 --member-prefix 24"
    " --life 7d --reclaim-after 3d --mtu 1400 --dns 10.9.0.2 --dns fd00::2 --v4-assign dhcp"
    " --v6-assign dhcp6 --rfc4193 --6plane --ether-types 800,86dd --broadcast"
)
SETTINGS: dict[str, Any] = {
    "desc": "north",
    "notes": "ann",
    "ui": "{}",
    "private": False,
    "topology": "hub",
    "mesh_max": 7,
    "member_prefix": 24,
    "life": 7 * 86400,
    "reclaim_after": 3 * 86400,
    "mtu": 1400,
    "dns": ("10.9.0.2", "fd00::2"),
    "v4_assign": "dhcp",
    "v6_assign": "dhcp6",
    "rfc4193": True,
    "sixplane": True,
    "ether_types": "800,86dd",
    "enable_broadcast": True,
}
OFF = "--private --topology mesh --no-rfc4193 --no-6plane --no-broadcast --life 0 --dns ''"
UNSET: dict[str, Any] = {
    "private": True,
    "topology": "mesh",
    "rfc4193": False,
    "sixplane": False,
    "enable_broadcast": False,
    "life": 0,
    "dns": (),
}
FACTS = (
    "--name n7 --notes rack --role hub --role mint --address 10.9.0.7 --address fd00::7"
    " --prefix 192.168.5.0/24"
)
SAID: dict[str, Any] = {
    "name": "n7",
    "notes": "rack",
    "roles": ("hub", "mint"),
    "addresses": ("10.9.0.7", "fd00::7"),
    "prefixes": ("192.168.5.0/24",),
}
NONE = "--role none --address none --prefix none"
PAGE = {"limit": 7, "after": "x"}
HOME = {"network": "home"}
N1 = HOME | {"member": "n1"}
RANGE = HOME | {"range": "10.9.0.0/24"}
PARTS = {"first": "10.9.0.9", "last": "10.9.0.99"}

ROWS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "network.create",
        f"one --ipv4 10.1.0.0/16 --ipv4 10.2.0.0/16 --ipv6 fd01::/64 --owner local:ann {WANTED}",
        SETTINGS
        | {"name": "one", "ipv4": ("10.1.0.0/16", "10.2.0.0/16"), "ipv6": ("fd01::/64",)}
        | {"owner": "local:ann"},
    ),
    ("network.list", "--name 'h*' --limit 7 --after x", {"name": "h*"} | PAGE),
    ("network.show", "home", HOME),
    (
        "network.set",
        f"home --name house --renumber --route '10.5.0.0/24 via n1' {WANTED}",
        SETTINGS | HOME | {"name": "house", "renumber": True, "routes": ("10.5.0.0/24 via n1",)},
    ),
    ("network.set", f"home {OFF}", UNSET | HOME | {"name": None, "routes": None}),
    ("network.give", "home local:ann", HOME | {"owner": "local:ann"}),
    ("network.delete", "home --yes", HOME),
    (
        "member.list",
        "home --all --name 'n*' --state pending --state banned --role hub --limit 7 --after x",
        HOME
        | PAGE
        | {"hidden": True, "name": "n*", "states": ("pending", "banned"), "role": "hub"},
    ),
    ("member.show", "home n1", N1),
    ("member.adopt", f"home n1 {KEY.upper()}", N1 | {"key": KEY}),
    ("member.add", f"home {KEY.upper()} {FACTS}", HOME | SAID | {"key": KEY}),
    ("member.authorize", "home n1", N1),
    ("member.deauthorize", "home n1 --yes", N1),
    ("member.ban", "home n1 --yes", N1),
    ("member.unban", "home n1", N1),
    ("member.forget", "home n1 --yes", N1 | {"force": False}),
    ("member.forget", "home n1 --yes --force", N1 | {"force": True}),
    (
        "member.set",
        f"home n1 {FACTS} --hide --not-cloned --bridge --ui {{}}",
        N1 | SAID | {"hidden": True, "cloned": False, "bridge": True, "ui": "{}"},
    ),
    (
        "member.set",
        f"home n1 {NONE} --unhide --no-bridge",
        N1
        | {"roles": (), "addresses": (), "prefixes": (), "hidden": False, "bridge": False}
        | {"name": None, "cloned": None},
    ),
    ("pool.add", "home 10.9.0.0/24 --first 10.9.0.9 --last 10.9.0.99", RANGE | PARTS),
    ("pool.list", "home", HOME),
    ("pool.usage", "home", HOME),
    ("pool.remove", "home 10.9.0.0/24 --yes --renumber", RANGE | {"renumber": True}),
    ("pool.remove", "home 10.9.0.0/24 --yes --force", RANGE | {"force": True}),
    (
        "pool.set",
        "home 10.9.0.0/24 --prefix 10.9.0.0/22 --first 10.9.0.9 --last 10.9.0.99 --renumber",
        RANGE | PARTS | {"prefix": "10.9.0.0/22", "renumber": True},
    ),
    ("pool.set", "home 10.9.0.0/24 --force", RANGE | {"force": True}),
    (
        "prefix.add",
        "home 2001:db8:5::/48 --length 60",
        HOME | {"prefix": "2001:db8:5::/48", "length": 60},
    ),
    ("prefix.list", "home --limit 7 --after x", HOME | PAGE),
    ("prefix.show", "home", HOME),
    ("prefix.remove", "home 2001:db8:5::/48", HOME | {"prefix": "2001:db8:5::/48"}),
    ("prefix.lease", "home n1 --pool 2001:db8:5::/48", N1 | {"pool": "2001:db8:5::/48"}),
    ("prefix.release", "home 2001:db8:5::/64 --yes", HOME | {"prefix": "2001:db8:5::/64"}),
    (
        "token.create",
        "home --uses 3 --ttl 2h --role hub --address 10.9.0.7 --ask --desc rack",
        HOME
        | {"uses": 3, "ttl": 7200, "roles": ("hub",), "address": "10.9.0.7", "ask": True}
        | {"desc": "rack"},
    ),
    (
        "token.create",
        "home",
        HOME | {"uses": 1, "ttl": 600, "roles": (), "address": "", "ask": False, "desc": ""},
    ),
    (
        "token.list",
        "home --by 'node *' --state used --state live --limit 7 --after x",
        HOME | PAGE | {"by": "node *", "states": ("used up", "live")},
    ),
    ("token.show", "0123456789ab", {"token": "0123456789ab"}),
    ("token.revoke", "0123456789ab --yes", {"token": "0123456789ab"}),
    ("token.prune", "--older 2h", {"older": 7200}),
    ("token.prune", "", {"older": 86400}),
    (
        "audit.list",
        "--actor 'node *' --action 'token.*' --object 'x*' --since 90m --limit 7 --after x",
        PAGE | {"actor": "node *", "action": "token.*", "object": "x*", "ago": 5400},
    ),
    ("audit.list", "--since 2026-11-21", {"since": 1_795_219_200_000}),
    ("audit.verify", "", {"after": ""}),
    ("audit.export", "", {"after": ""}),
    ("key.admin.add", f"ann {KEY.upper()}", {"name": "ann", "key": KEY}),
    ("key.admin.list", "", {}),
    ("key.admin.remove", "ann --yes", {"name": "ann"}),
    ("export", "--network home", HOME | {"after": ""}),
    ("import", "document", {"part": {"zt1": "1"}, "number": 0, "last": True}),
    ("key.list", "", {}),
    ("key.show", "", {}),
    ("key.rotate", "--now", {"now": True}),
    ("key.retire", "--now --yes", {"now": True}),
    ("key.export", "", {}),
    ("key.import", "paper", {"text": "signed\n"}),
    ("status", "", {}),
    ("watch", "--since 7 --once", {"after": "7", "wait": 0}),
]
# made by ncadm itself, or, of one controller, what is meant anyway
BY_ITSELF = {
    "network.create": {"id"},
    "token.create": {"key"},
    "import": {"id"},
    "audit.list": {"controller"},
    "audit.verify": {"limit"},
    "audit.export": {"limit"},
    "export": {"limit"},
    "watch": {"limit"},
}
# two steps of one command, which test_offline_root.py goes through
ELSEWHERE = {"key.take-root", "key.drop-root"}


class Listener:
    """In the controller's place: it writes down what is asked, and refuses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[Call] = []
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(f"ipc://{path}")
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        with self._router:
            while True:
                routing, frame = self._router.recv_multipart()
                if not frame:
                    return
                self.calls.append(decode_call(frame))
                refused = Failed(self.calls[-1].id, Exit.DENIED, "cannot do it: heard, and no more")
                self._router.send_multipart([routing, encode_admin(refused)])

    def close(self) -> None:
        with self._context.socket(zmq.DEALER) as last:
            last.connect(f"ipc://{self.path}")
            last.send(b"")
            self._thread.join()
        self._context.term()


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    one = Listener(tmp_path_factory.mktemp("words") / "admin.sock")
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What some words name."""
    (tmp_path / "document").write_text('{"zt1": "1"}')
    (tmp_path / "paper").write_text("signed\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("verb", "words", "expected"), ROWS)
def test_what_is_typed_arrives(
    listener: Listener, verb: str, words: str, expected: dict[str, Any]
) -> None:
    argv = [*verb.split("."), *shlex.split(words), "--socket", str(listener.path)]
    listener.calls.clear()
    code = run_program("ncadm", "", COMMANDS, argv)

    (call,) = listener.calls
    arguments = msgspec.convert(call.arguments, VERBS[verb][1])
    assert (code, call.verb, call.dry_run) == (Exit.DENIED, verb, False)
    assert {name: getattr(arguments, name) for name in expected} == expected


def test_every_field_of_every_verb_is_typed_in_some_row() -> None:
    typed: dict[str, set[str]] = {verb: set() for verb in VERBS if verb not in ELSEWHERE}
    for verb, _, expected in ROWS:
        typed[verb] |= expected.keys()
    fields = {verb: set(VERBS[verb][1].__struct_fields__) for verb in typed}

    assert {v: fields[v] - typed[v] for v in typed if fields[v] - typed[v]} == BY_ITSELF

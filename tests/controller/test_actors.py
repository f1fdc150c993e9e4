"""Who an operator is: whom the audit log names, and who is nobody."""

import os
import pwd
from pathlib import Path

import pytest

from controller.front.actors import admin_actor, local_actor
from controller.store.database import open_reader
from controller.verbs.dispatch import VERBS, answer
from protocol.admin import Call, Failed, decode_answer, encode_admin
from runtime.failure import Exit
from tests.controller.farm import running
from tests.controller.house import Frame, House


@pytest.mark.parametrize(
    ("peer", "actor"),
    [
        ("localhost:0:0:4711", "local root"),
        (":0:0:4711", "local root"),
        ("localhost:4000000000:100:4711", "local 4000000000"),
        ("localhost", "local"),
        ("", "local"),
        ("localhost:-1:0:1", "local"),
    ],
)
def test_the_user_at_the_other_end_is_named(peer: str, actor: str) -> None:
    assert local_actor(Frame(b"", "", peer)) == actor


def test_what_an_operator_did_has_his_name(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        one.network()
        reader = open_reader(one.data / "zosnet.db")
        actors = reader.exec_driver_sql("SELECT actor FROM audit").scalars().all()
        reader.close()

    assert actors == [f"local {pwd.getpwuid(os.getuid()).pw_name}"]


@pytest.mark.parametrize("kind", ["n", "t", "x", ""])
def test_only_an_admins_key_is_an_admin_whatever_zap_let_in(house: House, kind: str) -> None:
    """S9: the kind of key is looked at again on each message."""
    key = "ab" * 32
    house.do("key.admin.add", name="alice", key=key)
    connection, sums = house.registry.connection, house.registry.seals.sums

    assert admin_actor(connection, sums, Frame(b"", f"a:{key}")) == "admin alice"
    assert admin_actor(connection, sums, Frame(b"", f"{kind}:{key}")) is None
    assert admin_actor(connection, sums, Frame(b"", f"a:{'cd' * 32}")) is None
    house.do("key.admin.remove", name="alice")
    assert admin_actor(connection, sums, Frame(b"", f"a:{key}")) is None


@pytest.mark.parametrize("verb", VERBS)
def test_who_is_nobody_is_denied_every_verb(house: House, verb: str) -> None:
    """S9"""
    frame = encode_admin(Call(9, verb, {}))
    refused = decode_answer(answer(house.office, frame, house.now_ms, house.now, actor=None))

    assert isinstance(refused, Failed)
    assert (refused.id, refused.code) == (9, Exit.DENIED)

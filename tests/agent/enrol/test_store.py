"""What enrolment keeps: keys before their use, join strings until they have done their work."""

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.enrol.store import FarmFile, Keys, Store, controllers_of
from protocol.joinstring import NO_TOKEN, JoinString, render_join_string
from protocol.keys import CurvePublic, CurveSecret, VerifyKey
from runtime.failure import CannotError
from tests.agent.overlay.signing import NETWORK

JOIN = JoinString(
    VerifyKey(b"r" * 32),
    CurveSecret(b"t" * 32),
    (("tcp://192.0.2.1:9930", CurvePublic(b"c" * 32)),),
)


def test_a_key_is_the_same_for_ever_and_only_root_may_read_it(tmp_path: Path) -> None:
    first = Keys(tmp_path).of(NETWORK)

    assert Keys(tmp_path).of(NETWORK) == first
    mode = (tmp_path / NETWORK / "wireguard.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert 51820 <= first.port < 51820 + 1024


def test_networks_have_keys_and_ports_of_their_own(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    one, other = keys.of(NETWORK), keys.of("0011223344000002")

    assert one.public != other.public
    assert one.port != other.port


def test_a_taken_port_is_left_for_the_next_and_the_key_stays(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    before = keys.of(NETWORK)
    port = keys.next_port(NETWORK)

    assert port != before.port
    assert 51820 <= port < 51820 + 1024
    after = Keys(tmp_path).of(NETWORK)
    assert (after.public, after.port) == (before.public, port)


def test_a_damaged_key_is_said_and_not_replaced(tmp_path: Path) -> None:
    Keys(tmp_path).of(NETWORK)
    path = tmp_path / NETWORK / "wireguard.json"
    path.write_text(path.read_text()[:20])

    with pytest.raises(CannotError, match="is damaged"):
        Keys(tmp_path).of(NETWORK)
    assert len(path.read_text()) == 20


def test_a_key_that_is_forgotten_is_gone_from_the_disk(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    before = keys.of(NETWORK)
    keys.forget(NETWORK)

    assert list(tmp_path.iterdir()) == []
    assert keys.of(NETWORK) != before


def test_a_join_string_waits_where_only_root_reads_it_until_it_is_forgotten(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    store.keep_join(JOIN, render_join_string(JOIN))
    (path,) = (tmp_path / "join").iterdir()

    assert list(Store(tmp_path).joins()) == [JOIN]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.forget_join(JOIN.token)
    assert list(Store(tmp_path).joins()) == []


def test_a_damaged_join_string_does_not_hide_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_join(JOIN, render_join_string(JOIN))
    (tmp_path / "join" / "0badc0de").write_text("zosnet1nonsense")

    assert list(store.joins()) == [JOIN]
    [problem] = store.problems.values()
    assert problem.message.startswith("cannot use the join string in ")
    assert problem.hint == f"rm {tmp_path}/join/0badc0de"


def test_farms_are_found_again_and_a_damaged_one_hides_no_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    farm = FarmFile(root=bytes(JOIN.root), controllers=controllers_of(JOIN), joined=(NETWORK,))
    store.keep_farm(farm)
    damaged = tmp_path / "farms" / "ffffffffff.json"
    damaged.write_text("{")
    again = Store(tmp_path)

    assert list(again.farms()) == [farm]
    [problem] = again.problems.values()
    assert problem.message.startswith(f"cannot use {damaged}: it is damaged")
    assert "any join string of that farm" in problem.hint


def test_a_damaged_farm_that_is_joined_anew_is_no_problem_any_more(tmp_path: Path) -> None:
    farm = FarmFile(root=bytes(JOIN.root), controllers=controllers_of(JOIN))
    path = tmp_path / "farms" / f"{farm.controller_id}.json"
    path.parent.mkdir()
    path.write_text("{")
    store = Store(tmp_path)
    none, before = list(store.farms()), len(store.problems)
    store.keep_farm(farm)

    assert (none, before, store.problems) == ([], 1, {})
    assert list(store.farms()) == [farm]


def test_starts_are_counted(tmp_path: Path) -> None:
    assert [Store(tmp_path).count_start() for _ in range(3)] == [1, 2, 3]


def test_join_strings_without_a_token_are_kept_one_a_farm(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = replace(JOIN, token=NO_TOKEN)
    second = replace(first, root=VerifyKey(b"q" * 32))
    for join in (first, second, first):
        store.keep_join(join, render_join_string(join))
    assert sorted(join.root for join in store.joins()) == [second.root, first.root]
    store.forget_join_of(first)

    assert list(store.joins()) == [second]

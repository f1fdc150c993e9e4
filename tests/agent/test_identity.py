import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.identity import Identity, load_identity, load_next, settle_next
from runtime.failure import CannotError


def test_the_key_is_made_once_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "node.key"

    first, again = load_identity(path), load_identity(path)

    assert first == again
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(path.parent.iterdir())


def test_two_first_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    for round_ in range(20):
        path = tmp_path / f"{round_}.key"
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(load_identity, [path] * 4))

        assert len(found) == 1


def test_what_is_derived_is_stable_and_differs_between_nodes(tmp_path: Path) -> None:
    one, other = load_identity(tmp_path / "1"), load_identity(tmp_path / "2")
    again = load_identity(tmp_path / "1")

    assert (one.node_id, one.ula, one.mac("npub4")) == (
        again.node_id,
        again.ula,
        again.mac("npub4"),
    )
    assert one.node_id != other.node_id
    assert one.ula != other.ula
    assert len({one.mac("npub4"), one.mac("npub6"), other.mac("npub4")}) == 3
    assert one.ula.prefixlen == 48
    assert one.ula.network_address.packed[0] == 0xFD
    assert len(one.node_id) == 10


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """S12"""
    path = tmp_path / "node.key"
    load_identity(path)
    path.chmod(mode)

    with pytest.raises(CannotError, match="others may read it"):
        load_identity(path)


def test_a_link_in_the_place_of_the_key_is_refused_and_not_followed(tmp_path: Path) -> None:
    load_identity(tmp_path / "real")
    (tmp_path / "node.key").symlink_to(tmp_path / "real")

    with pytest.raises(CannotError, match="cannot use the node key"):
        load_identity(tmp_path / "node.key")


def test_a_dangling_link_is_refused_and_nothing_is_written_through_it(tmp_path: Path) -> None:
    (tmp_path / "node.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CannotError, match="cannot use the node key"):
        load_identity(tmp_path / "node.key")
    assert not os.path.lexists(tmp_path / "elsewhere")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_damaged_key_is_refused_and_never_replaced(tmp_path: Path, size: int) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(b"k" * size)
    path.chmod(0o600)

    with pytest.raises(CannotError, match=f"it has {size} bytes"):
        load_identity(path)
    assert path.read_bytes() == b"k" * size


def test_the_secret_is_not_printed(tmp_path: Path) -> None:
    identity = load_identity(tmp_path / "node.key")

    assert identity.secret.hex() not in repr(identity)
    assert repr(identity.secret) not in repr(identity)


def derived(identity: Identity) -> tuple[object, ...]:
    return identity.node_id, identity.ula, identity.mac("npub4"), identity.origin


def test_another_key_changes_nothing_that_was_derived_also_the_second_time(tmp_path: Path) -> None:
    """S6"""
    path = tmp_path / "node.key"
    first = load_identity(path)
    for _ in range(2):
        present = load_identity(path)
        following = load_next(present, path, make=True)
        assert following is not None
        assert load_next(present, path, make=True) == following  # asked again it is the same
        settle_next(present, path)
        assert load_next(load_identity(path), path) is None
        assert load_identity(path) == following
        assert following.public != present.public
        assert following.former == present.public
        assert derived(following) == derived(first)

    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("node.former", "node.key", "node.seed")
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_seed_is_said_and_not_replaced(tmp_path: Path) -> None:
    load_identity(tmp_path / "node.key")
    (tmp_path / "node.seed").write_bytes(b"short")

    with pytest.raises(CannotError, match="it has 5 bytes"):
        load_identity(tmp_path / "node.key")


def test_a_damaged_former_key_is_nobodys(tmp_path: Path) -> None:
    """It is of use for a moment only: until the node has other certificates."""
    load_identity(tmp_path / "node.key")
    (tmp_path / "node.former").write_bytes(b"short")

    assert load_identity(tmp_path / "node.key").former == b""

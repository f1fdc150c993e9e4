"""Keys and database: made whole, locked, checked, and clear about what is wrong."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from controller.cli.init import create
from controller.config import Config
from controller.opening import open_registry
from controller.signing import keyring
from controller.signing.keyring import KeyFileError
from controller.store import audit
from controller.store.database import DatabaseError, Lock, open_reader, open_writer
from controller.store.soundness import Soundness
from protocol.messages import Rows
from protocol.signed import open_signed, read_unverified, signer_id
from protocol.statements import Keyset, Membership
from runtime.failure import CannotError, Exit
from tests.controller.damage import tear, tear_far_inside
from tests.controller.farm import wait_for
from tests.controller.house import ENDPOINT, House


@pytest.fixture
def config(tmp_path: Path) -> Config:
    one = Config(data=str(tmp_path / "data"))
    create(one, (ENDPOINT,))
    return one


def test_init_writes_over_nothing(config: Config) -> None:
    before = (config.keys / "root").read_bytes()
    with pytest.raises(CannotError) as caught:
        create(config, (ENDPOINT,))

    assert caught.value.code == Exit.CONFLICT
    assert (config.keys / "root").read_bytes() == before


def test_a_killed_init_leaves_nothing_that_stops_the_next(tmp_path: Path) -> None:
    config = Config(data=str(tmp_path / "data"))
    half = tmp_path / ".data.new" / "keys"
    half.mkdir(parents=True)
    (half / "root").write_text("half")

    assert create(config, (ENDPOINT,)) is not None
    assert not (tmp_path / ".data.new").exists()


def test_an_init_without_room_says_so_and_the_next_one_finds_nothing_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(data=str(tmp_path / "data"))

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("controller.cli.init._sync", full)
        with pytest.raises(CannotError, match="No space left") as refused:
            create(config, (ENDPOINT,))

    assert (refused.value.code, "make room" in (refused.value.hint or "")) == (Exit.EXHAUSTED, True)
    assert not config.directory.exists()
    create(config, (ENDPOINT,))


def test_secrets_are_files_of_the_owner_and_in_no_database(config: Config) -> None:
    """S12"""
    secrets = [
        bytes.fromhex((config.keys / name).read_text()) for name in ("root", "signer", "curve")
    ]
    stored = b"".join(path.read_bytes() for path in config.directory.glob("zosnet.db*"))

    assert {path.stat().st_mode & 0o777 for path in config.keys.iterdir()} == {0o600}
    assert config.directory.stat().st_mode & 0o777 == 0o700
    assert not any(secret in stored or secret.hex().encode() in stored for secret in secrets)
    assert secrets[0] not in repr(keyring.load(config.keys)).encode()


def test_a_key_that_others_may_read_is_refused(config: Config) -> None:
    """S12"""
    keyring.load(config.keys)  # the control
    (config.keys / "signer").chmod(0o640)
    with pytest.raises(KeyFileError) as caught:
        keyring.load(config.keys)

    assert caught.value.hint == f"chmod 600 {config.keys / 'signer'}"


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 31, "00" * 33])
def test_a_damaged_key_is_refused(config: Config, text: str) -> None:
    (config.keys / "curve").write_text(text)
    with pytest.raises(KeyFileError, match="32 bytes"):
        keyring.load(config.keys)


def test_a_missing_key_is_named(config: Config) -> None:
    (config.keys / "signer").unlink()
    with pytest.raises(KeyFileError, match="signer"):
        keyring.load(config.keys)


def test_a_root_key_of_another_controller_is_refused(config: Config) -> None:
    keyring.write_key(config.keys / "root", b"r" * 32)
    with pytest.raises(KeyFileError, match="does not belong"):
        keyring.load(config.keys)


def test_without_the_root_key_the_controller_runs_on(config: Config) -> None:
    (config.keys / "root").unlink()
    registry = open_registry(config)

    assert registry.keyring.root_signer is None
    registry.connection.close()


def test_other_endpoints_make_a_new_keyset(config: Config, tmp_path: Path) -> None:
    other = Config(data=config.data, endpoints=("tcp://198.51.100.1:9930",))
    root = keyring.load(config.keys).root
    for expected in (2, 2):  # the second start finds nothing to do
        registry = open_registry(other)
        keyset = open_signed(registry.keyset, Keyset, {signer_id(root): root})
        registry.connection.close()
        assert keyset.number == expected
        assert keyset.controllers[0].endpoints == other.endpoints

    (config.keys / "root").unlink()
    registry = open_registry(config)  # offline: the old keyset stays
    keyset = open_signed(registry.keyset, Keyset, {signer_id(root): root})
    registry.connection.close()
    assert keyset.number == 2


def test_one_controller_at_a_time(config: Config) -> None:
    first = Lock(config.directory)
    with pytest.raises(DatabaseError) as caught:
        Lock(config.directory)
    assert caught.value.code == Exit.CONFLICT
    assert "pid" in caught.value.message
    first.release()

    Lock(config.directory).release()


def test_no_database_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        open_writer(tmp_path / "none.db")

    assert "zosnet-controller init" in (caught.value.hint or "")


def test_what_is_no_database_is_called_damaged(config: Config) -> None:
    config.database.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseError, match="damaged") as caught:
        open_registry(config)

    assert caught.value.code == Exit.PROBLEMS


def grown(tmp_path: Path) -> Path:
    """A database with some members."""
    house = House(tmp_path)
    network = house.network()
    for _ in range(20):
        house.enrol(network)
    house.close()
    return house.config.database


def test_a_torn_page_is_called_damaged(tmp_path: Path) -> None:
    path = grown(tmp_path)
    tear(path, range(2, path.stat().st_size // 4096))

    with pytest.raises(DatabaseError, match="damaged"):
        open_registry(Config(data=str(path.parent)))


def test_a_large_database_is_looked_over_beside_the_work(tmp_path: Path) -> None:
    path = grown(tmp_path)
    sound = Soundness(path)
    wait_for(lambda: sound.done)
    assert sound.problem is None
    sound.end()

    tear_far_inside(path)
    torn = Soundness(path)
    wait_for(lambda: torn.done)
    torn.end()

    assert torn.problem is not None
    assert torn.problem.code == Exit.PROBLEMS
    assert "damaged" in torn.problem.message


def test_a_look_that_is_ended_finds_nothing_wrong(tmp_path: Path) -> None:
    path = grown(tmp_path)
    for _ in range(5):
        sound = Soundness(path)
        sound.end()
        assert sound.done
        assert sound.problem is None


def test_a_damaged_table_is_called_damaged(config: Config) -> None:
    """What one flipped bit does to a column's name: quick_check finds nothing wrong with it."""
    open_registry(config).connection.close()  # the control
    with sqlite3.connect(config.database) as database:
        database.execute("ALTER TABLE revocation RENAME COLUMN serial TO serhal")
    database.close()

    with pytest.raises(DatabaseError, match="damaged"):
        open_registry(config)


@pytest.mark.parametrize(
    ("column", "value"), [("wireguard", b"short"), ("families", "/"), ("not_after", "never")]
)
def test_a_member_that_cannot_be_signed_for_is_left_out_and_the_others_stay(
    house: House, column: str, value: object
) -> None:
    network = house.network()
    good, bad = house.enrol(network), house.enrol(network, name="n2")
    house.edit(f"UPDATE member SET {column} = ? WHERE name = 'n2'", value)  # noqa: S608
    house.reopen()
    house.hello(good)
    rows = house.fetch(good, network)

    assert isinstance(rows, Rows)
    keys = [read_unverified(row.membership, Membership).node for row in rows.rows]
    assert keys == [good.key]
    assert bad.key != good.key


def test_a_database_of_another_schema_is_refused(config: Config) -> None:
    with sqlite3.connect(config.database) as connection:
        connection.execute("UPDATE meta SET value = x'3939' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(DatabaseError, match="schema is 99"):
        open_registry(config)


def test_a_reader_sees_what_is_committed_and_writes_nothing(house: House) -> None:
    reader = open_reader(house.config.database)
    count = "SELECT count(*) FROM network"
    assert reader.exec_driver_sql(count).scalar_one() == 0
    house.network()

    assert reader.exec_driver_sql(count).scalar_one() == 1
    with pytest.raises(Exception, match="readonly"):
        reader.exec_driver_sql("DELETE FROM network")
    reader.close()


def test_every_deed_is_in_the_audit_log_and_a_changed_one_is_found(house: House) -> None:
    network = house.network()
    house.enrol(network)
    house.do("member.ban", network="home", member="n1")
    house.reopen()
    house.do("network.set", network="home", desc="x")
    connection = house.registry.connection
    with connection.begin():
        actions = connection.exec_driver_sql("SELECT action FROM audit ORDER BY seq").scalars()
        assert list(actions) == [
            "network.create",
            "token.create",
            "node.admit",
            "member.join",
            "member.banned",
            "network.set",
        ]
        assert audit.verify(connection) is None
        for name in ("audit_stays_as_it_is", "audit_stays_whole"):
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    for change in (
        "UPDATE audit SET detail = 'y' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 2",
        "UPDATE audit SET time = time + 1 WHERE seq = 1",
    ):
        with connection.begin() as transaction:
            connection.exec_driver_sql(change)
            assert audit.verify(connection) is not None
            transaction.rollback()

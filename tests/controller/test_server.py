"""What the loop does by the clock: pings, endings, what is kept lazily."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select

from controller.config import NetworkConfig
from controller.front.seen import AT_ONCE
from controller.front.sessions import DEAD_AFTER, PING_AFTER
from controller.server import PURGE_EACH, Server
from controller.store import database
from controller.store.model import NODE
from runtime.failure import CannotError, Exit
from tests.controller.damage import tear_far_inside
from tests.controller.farm import free_port
from tests.controller.house import House


@pytest.fixture
def server(house: House, tmp_path: Path) -> Iterator[Server]:
    config = msgspec.structs.replace(
        house.config,
        listen=(f"tcp://127.0.0.1:{free_port()}",),
        socket=str(tmp_path / "admin.sock"),
    )
    one = Server(config, house.registry)
    yield one
    one.close()


def test_a_silent_node_is_pinged_once_and_then_given_up(house: House, server: Server) -> None:
    now = 1000.0
    session = server.sessions.begin(b"k" * 32, b"gone", 7, "", now)
    session.keyset = house.registry.keyset_number  # it lacks nothing that would be sent
    server.turn(house.now_ms, now + PING_AFTER - 0.1)
    early = session.pinged
    server.turn(house.now_ms, now + PING_AFTER + 1)
    server.turn(house.now_ms, now + PING_AFTER + 3)
    assert (early, session.pinged) == (False, True)
    assert server.desk.counts["unsent"] == 1  # nobody is there, and it was asked once
    server.turn(house.now_ms, now + DEAD_AFTER + 1)

    assert len(server.sessions) == 0


def stored_last_at(house: House) -> str:
    with house.registry.connection.begin():
        return str(house.registry.connection.execute(select(NODE.c.last_at)).scalar_one())


def test_where_a_node_was_seen_is_kept_each_minute(house: House, server: Server) -> None:
    guest = house.enrol(house.network())
    node = int(house.do("member.list", network="home")[0]["address"], 16)
    server.turn(house.now_ms, 1000.0)
    server.sessions.begin(guest.key, b"r", node, "198.51.100.99", 1000.0)
    server.turn(house.now_ms, 1001.5)
    house.sessions.end(guest.key)
    assert stored_last_at(house) == ""
    server.turn(house.now_ms, 10_000.0)

    assert stored_last_at(house) == "198.51.100.99"


def test_networks_of_the_config_are_made_when_they_are_not_there(
    house: House, server: Server
) -> None:
    house.network("home")
    wanted = (
        NetworkConfig(name="home", ipv4="10.1.0.0/16"),
        NetworkConfig(name="farm", ipv6="fd01::/64"),
    )
    server.ensure_networks(wanted)
    server.ensure_networks(wanted)

    listed = {network["name"]: network["ranges"] for network in house.do("network.list")}
    assert listed == {"home": ["10.9.0.0/16"], "farm": ["fd01::/64"]}


def test_a_full_disk_puts_housekeeping_off(house: House, server: Server) -> None:
    guest = house.enrol(house.network())
    node = int(house.do("member.list", network="home")[0]["address"], 16)
    house.sessions.end(guest.key)
    server.turn(house.now_ms, 1000.0)
    server.sessions.begin(guest.key, b"r", node, "198.51.100.99", 1000.0)
    connection = house.registry.connection
    connection.exec_driver_sql(
        "CREATE TRIGGER grow AFTER UPDATE ON node BEGIN"
        " INSERT INTO meta VALUES (hex(randomblob(9)), zeroblob(99999), ''); END"
    )
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    connection.commit()
    server.turn(house.now_ms, 2000.0)
    assert stored_last_at(house) == ""
    connection.exec_driver_sql("DROP TRIGGER grow")
    connection.commit()
    server.turn(house.now_ms, 3000.0)

    assert stored_last_at(house) == "198.51.100.99"


def test_without_the_thread_that_lets_nodes_in_the_controller_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.turn(0, 1000.0)
    monkeypatch.setattr(type(server._zap), "alive", False)

    with pytest.raises(CannotError, match="cannot let anybody connect"):
        server.turn(0, 1002.0)


def test_damage_that_is_found_beside_the_work_ends_it(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = house.network()
    house.enrol(network)
    monkeypatch.setattr(database, "CHECKED_FIRST_MAX", 0)
    config = msgspec.structs.replace(
        house.config, listen=(f"tcp://127.0.0.1:{free_port()}",), socket=str(tmp_path / "a.sock")
    )
    house.reopen()
    sound = Server(config, house.registry)
    for turn in range(3):
        sound.turn(house.now_ms, 1000.0 + 2 * turn)  # the control
    sound.close()
    house.close()
    tear_far_inside(config.database)

    house.open()
    torn = Server(config, house.registry)
    with pytest.raises(CannotError, match="damaged") as caught:
        torn.run()
    assert caught.value.code == Exit.PROBLEMS


def test_of_very_many_nodes_a_part_is_kept_at_each_tick(house: House, server: Server) -> None:
    count = 3 * AT_ONCE
    with house.registry.connection.begin():
        rows = [
            {"id": i, "key": b"%032d" % i, "name": "", "first_seen": 0, "last_seen": 0}
            | {"last_at": "", "client_version": "", "client_os": "", "generation": 0}
            for i in range(1, count + 1)
        ]
        house.registry.connection.execute(NODE.insert(), rows)
    for i in range(1, count + 1):
        server.sessions.begin(b"%032d" % i, b"%d" % i, i, "198.51.100.9", 1000.0)

    kept = []
    for tick in range(5):
        server.turn(house.now_ms, 1000.0 + 1.5 * tick)
        with house.registry.connection.begin():
            query = select(func.count()).where(NODE.c.last_seen > 0)
            kept.append(house.registry.connection.execute(query).scalar_one())
    assert kept == [AT_ONCE, 2 * AT_ONCE, count, count, count]


def test_what_is_worth_nothing_any_more_goes_by_itself(house: House, server: Server) -> None:
    """Tombstones, tokens, and who waited in vain: once an hour, without anybody's word."""
    network = house.network()
    house.enrol(network, name="gone")
    house.do("member.forget", network="home", member="gone")
    asks = house.guest("asks")
    house.admit(house.token(ask=True), asks)
    house.token(ttl=60)
    live = house.token(ttl=60 * 86_400)

    def left() -> tuple[int, list[str], list[str]]:
        members = [item["name"] for item in house.do("member.list", network="home")]
        return house.count("member"), members, [i["token"] for i in house.do("token.list")]

    server.turn(house.now_ms, 1000.0)
    before = left()
    house.later(31 * 86_400)
    server.turn(house.now_ms, 1000.0 + PURGE_EACH - 1)
    early = left()
    server.turn(house.now_ms, 1000.0 + PURGE_EACH)
    after = left()

    assert before == early
    assert (before[0], before[1], len(before[2])) == (2, ["asks"], 4)
    assert after == (1, [], [live[:6].hex()])  # of who waited a tombstone is left
    assert [row.actor for row in house.audit("member.expire")] == ["controller"]
    assert [row.actor for row in house.audit("token.prune")] == ["controller"]

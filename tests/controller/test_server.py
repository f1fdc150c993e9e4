"""What the loop does by the clock: pings, endings, what is kept lazily."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from controller.config import NetworkConfig
from controller.server import Server
from controller.sessions import DEAD_AFTER, PING_AFTER
from runtime.failure import CannotError
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
    server.turn(house.now_ms, now + PING_AFTER - 0.1)
    early = session.pinged
    server.turn(house.now_ms, now + PING_AFTER + 1)
    server.turn(house.now_ms, now + PING_AFTER + 3)
    assert (early, session.pinged) == (False, True)
    assert server.desk.counts["unsent"] == 1  # nobody is there, and it was asked once
    server.turn(house.now_ms, now + DEAD_AFTER + 1)

    assert len(server.sessions) == 0


def test_where_a_node_was_seen_is_kept_each_minute(house: House, server: Server) -> None:
    guest = house.enrol(house.network())
    node = int(house.do("member.list", network="home")[0]["address"], 16)
    server.turn(house.now_ms, 1000.0)
    server.sessions.begin(guest.key, b"r", node, "198.51.100.99", 1000.0)
    server.turn(house.now_ms, 1001.5)
    house.sessions.end(guest.key)
    assert house.do("member.list", network="home")[0]["last_at"] == ""
    server.turn(house.now_ms, 10_000.0)

    assert house.do("member.list", network="home")[0]["last_at"] == "198.51.100.99"


def test_networks_of_the_config_are_made_when_they_are_not_there(
    house: House, server: Server
) -> None:
    house.network("home")
    wanted = (NetworkConfig("home", ipv4="10.1.0.0/16"), NetworkConfig("farm", ipv6="fd01::/64"))
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
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    connection.exec_driver_sql(
        "CREATE TRIGGER grow AFTER UPDATE ON node BEGIN"
        " INSERT INTO meta VALUES (hex(randomblob(9)), zeroblob(99999)); END"
    )
    connection.commit()
    server.turn(house.now_ms, 2000.0)
    assert house.do("member.list", network="home")[0]["last_at"] == ""
    connection.exec_driver_sql("DROP TRIGGER grow")
    connection.commit()
    server.turn(house.now_ms, 3000.0)

    assert house.do("member.list", network="home")[0]["last_at"] == "198.51.100.99"


def test_without_the_thread_that_lets_nodes_in_the_controller_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.turn(0, 1000.0)
    monkeypatch.setattr(type(server._zap), "alive", False)

    with pytest.raises(CannotError, match="cannot let anybody connect"):
        server.turn(0, 1002.0)

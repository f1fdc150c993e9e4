"""What is read of a large network costs as much as what is asked for."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from controller import roster
from controller.members.tombstones import KEEP_MS, purge
from controller.netmap.recent import Log, Recent
from controller.netmap.rows import Change
from protocol.messages import Ack, Joined, Rows, Unchanged, Welcome
from tests.controller.house import House

LARGE = ("member", "node", "assignment", "audit")


@contextmanager
def statements(house: House) -> Iterator[list[str]]:
    """What SQLite is asked inside, with its values."""
    seen: list[str] = []
    driver = house.registry.connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        driver.set_trace_callback(None)


def read_whole(house: House, sql: str) -> list[str]:
    """The steps by which a statement reads a large table from end to end, or all of a network."""
    connection = house.registry.connection
    with connection.begin():
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()
    steps = [step.detail for step in plan if step.detail.split()[1] in LARGE]
    return [
        step
        for step in steps
        if (step.startswith("SCAN") and "INDEX member_removed" not in step)  # tombstones only
        or step.endswith(("(network=?)", "(network=? AND wireguard>?)"))
    ]


@pytest.mark.parametrize("topology", ["mesh", "hub"])
def test_nothing_that_a_node_asks_for_reads_a_whole_table(house: House, topology: str) -> None:
    network = house.network(topology=topology)
    house.enrol(network, house.token(roles=["hub"]), name="hub")
    held = house.registry.networks[1].revision
    house.enrol(network, name="n2")
    house.reopen()
    with statements(house) as seen:
        guest = house.enrol(network, name="n3")
        joined = house.join(guest, network)
        assert isinstance(joined, Joined)
        assert isinstance(house.refresh(guest, network, joined), Unchanged)
        assert isinstance(house.fetch(guest, network, held), Rows)
        welcome = house.hello(guest)
        assert isinstance(welcome, Welcome)
        house.do("member.set", network="home", member=welcome.address, roles=["transit", "hub"])
        house.registry.roster.forget()
        assert isinstance(house.fetch(guest, network, 0), Rows)
        house.leave(guest, network)
        house.join(guest, network)
    asked = {sql for sql in seen if sql.startswith(("SELECT", "UPDATE", "DELETE"))}

    assert any("revision >" in sql for sql in asked)
    # a mesh, which is bounded, is read once for the keys of its members, and when its transits change
    bounded = ("SELECT node.key", 'SELECT node."key"') if topology == "mesh" else ()
    bad = {
        sql: found
        for sql in asked
        if (found := read_whole(house, sql)) and not sql.startswith(bounded)
    }
    assert bad == {}


def test_a_whole_table_would_be_noticed(house: House) -> None:
    """The control of the test above."""
    assert read_whole(house, "SELECT * FROM member WHERE notes = 'x'") == ["SCAN member"]
    assert read_whole(house, "SELECT * FROM member WHERE network = 1 AND roles <> ''")
    assert not read_whole(house, "SELECT * FROM member WHERE network = 1 AND node = 2")


def test_tombstones_are_found_without_a_look_at_the_living(house: House) -> None:
    network = house.network()
    house.enrol(network, name="stays")
    house.enrol(network, name="gone")
    house.do("member.forget", network="home", member="gone")
    house.later(2 * KEEP_MS / 1000)
    with statements(house) as seen:
        assert purge(house.registry, house.now_ms) == 1

    looks = [sql for sql in seen if "FROM member" in sql]
    assert looks
    assert [sql for sql in looks if read_whole(house, sql)] == []


def test_nothing_is_signed_or_kept_of_members_whom_nobody_asks_for(house: House) -> None:
    network = house.network(topology="hub")
    for number in range(20):
        house.enrol(network, name=f"n{number}")
    house.reopen()
    signed = []
    seal = house.registry.signer.seal

    class Counting:
        def seal(self, statement: Any) -> Any:
            signed.append(type(statement).__name__)
            return seal(statement)

    house.registry.signer = Counting()  # type: ignore[assignment]
    house.enrol(network, name="newcomer")

    assert signed == ["Membership", "NetworkState"]


def test_entries_are_forgotten_when_they_are_too_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "ENTRIES_MAX", 8)
    house.reopen()
    network = house.network()
    guests = [house.enrol(network, name=f"n{i}") for i in range(30)]
    house.reopen()
    for guest in guests:
        house.hello(guest)
        house.say(guest, Ack(network, 1))
        rows = house.fetch(guest, network)
        assert isinstance(rows, Rows)
        assert len(rows.rows) == 30

    assert len(house.registry.roster._recent) <= 8


def test_what_was_used_lately_is_kept() -> None:
    recent: Recent[int, str] = Recent(10)
    for number in range(100):
        recent.put(number, str(number))
        assert recent.get(0) == "0"

    assert len(recent) <= 10
    assert recent.get(99) == "99"
    assert recent.get(50) is None
    recent.pop(99)
    assert recent.get(99) is None


def test_a_log_says_from_where_on_it_is_complete() -> None:
    log = Log(5, size=3)
    for revision in range(6, 10):
        log.add(Change(revision, b"%d" % revision, None))
    assert log.start == 6
    assert [change.revision for change in log.above(7)] == [8, 9]
    log.add(Change(10, b"8", None))

    assert [change.revision for change in log.above(6)] == [7, 9, 10]
    assert log.start == 6

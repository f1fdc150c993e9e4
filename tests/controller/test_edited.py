"""Somebody else writes into the database while the controller runs: it is noticed, and said."""

import sqlite3
from contextlib import closing

import msgspec
import pytest

from controller.front.handlers import Outcome, handle
from controller.front.request import Request
from controller.registry import Registry
from controller.store.database import open_reader
from controller.store.work import Work
from protocol.messages import Ack, Done, Joined, Refused, Rows
from tests.controller.house import House

HARMLESS = "UPDATE node SET name = 'another'"


def test_an_edit_is_in_the_audit_log_once_and_memory_is_read_anew(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    netmap, book = house.registry.netmap(1), house.registry.book
    house.spoil(HARMLESS)
    for _ in range(3):
        assert isinstance(house.join(guest, network), Joined)

    assert [row.actor for row in house.audit("database.edited")] == ["controller"]
    assert house.registry.netmap(1) is not netmap
    assert house.registry.book is not book
    house.spoil("UPDATE node SET name = 'a third'")
    house.do("network.set", network="home", desc="x")
    assert len(house.audit("database.edited")) == 2
    house.check_addresses()
    assert house.misfits() == []


def test_an_idle_controller_notices_too(house: House) -> None:
    house.network()
    house.desk.look(house.now_ms, house.now)
    assert house.audit("database.edited") == []
    house.spoil("INSERT INTO user VALUES ('local:eve', '{}')")
    house.desk.look(house.now_ms, house.now)
    house.desk.look(house.now_ms, house.now)

    assert len(house.audit("database.edited")) == 1


def test_who_only_looks_edits_nothing(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    reader = open_reader(house.config.database)
    reader.exec_driver_sql("SELECT * FROM member").all()
    reader.close()
    with closing(sqlite3.connect(house.config.database)) as other:
        other.execute("SELECT * FROM member").fetchall()
    house.keep_seen()
    house.join(guest, network)
    house.do("member.set", network="home", member="n1", roles=["transit"])
    house.desk.look(house.now_ms, house.now)

    assert house.audit("database.edited") == []


def test_an_operator_is_answered_from_what_was_edited(house: House) -> None:
    house.network()
    house.network("farm", ipv4="10.8.0.0/16")
    house.spoil("UPDATE network SET desc = 'x' WHERE name = 'home'")

    assert [network["name"] for network in house.do("network.list")] == ["farm"]


def test_one_damaged_row_that_is_found_late_costs_a_batch_nobody_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a handler had changed a row that it should have left alone."""
    house.enrol(house.network(), name="bad")
    tokens = [house.token(), house.token()]
    house.spoil("UPDATE member SET roles = 'hub' WHERE name = 'bad'")
    with closing(sqlite3.connect(house.config.database)) as other:
        held = other.execute("SELECT address FROM assignment").fetchone()[0]

    def careless(registry: Registry, work: Work, request: Request) -> Outcome:
        if request.key == tokens[0]:
            row = work.holder(1, held)
            assert row is not None
            work.assignments.put(msgspec.structs.replace(row, kind="manual"))
        return handle(registry, work, request)

    monkeypatch.setattr("controller.front.desk.handle", careless)
    for token in tokens:
        house.take(*house.admit_frame(token, house.guest()))
    house.work()
    answers = [reply for _, reply in house.sent[-2:]]

    assert [type(answer) for answer in answers] == [Refused, Done]


def test_an_edit_during_a_batch_that_fails_is_said_by_the_next(house: House) -> None:
    house.network()
    house.spoil("INSERT INTO user VALUES ('local:eve', '{}')")

    def fail(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.desk.transact(fail, house.now_ms, house.now)
    assert house.audit("database.edited") == []
    house.desk.look(house.now_ms, house.now)
    house.do("network.set", network="home", desc="x")

    assert len(house.audit("database.edited")) == 1


def test_what_was_edited_is_told_to_members_that_are_there_as_after_a_start(house: House) -> None:
    """Nobody is told of a damaged network any more; members of others are pushed what changes."""
    home, farm = house.network(), house.network("farm", ipv4="10.8.0.0/16")
    one, two = house.enrol(home, name="one"), house.enrol(farm, name="two")
    for guest, network in ((one, home), (two, farm)):
        house.say(guest, Ack(network, 1))
        house.pushed(guest)
    house.spoil("UPDATE network SET least = 9 WHERE number = 1")
    house.later(1)
    house.enrol(farm, name="three")
    house.later(1)
    house.push.run(house.now)

    assert house.pushed_rows(two)
    assert not house.pushed_rows(one)
    assert isinstance(house.fetch(one, home), Refused)
    assert isinstance(house.fetch(two, farm), Rows)


def test_a_member_that_was_edited_and_put_back_is_believed_again(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.spoil("UPDATE member SET roles = 'hub'")
    assert isinstance(house.join(guest, network), Refused)
    house.spoil("UPDATE member SET roles = ''")

    assert isinstance(house.join(guest, network), Joined)
    assert house.do("status")[0]["damaged"] == 0

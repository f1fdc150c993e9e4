"""Rows that outlive a batch: believed only while nobody else changed the database."""

import sqlite3

import msgspec
import pytest

from controller.store.model import MEMBER, NODE
from controller.store.work import Work
from protocol.keys import new_curve_pair
from protocol.messages import Code, Joined, Refused, Waiting
from tests.controller.house import House


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    return reply.code


def reads_of(house: House) -> list[str]:
    """The statements that look for members from here on; the list grows."""
    seen: list[str] = []
    driver = house.registry.connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.set_trace_callback(lambda text: seen.append(text) if "FROM member" in text else None)
    return seen


def test_who_was_admitted_joins_without_a_look_into_the_database(house: House) -> None:
    network = house.network()
    guest, other = house.guest(), house.guest(name="n2")
    token = house.token(uses=2)
    house.admit(token, guest)
    seen = reads_of(house)

    assert isinstance(house.join(guest, network), Joined)
    kept = [text for text in seen if "node" in text and "IN" in text]
    house.admit(token, other)
    house.reopen()
    seen = reads_of(house)
    assert isinstance(house.join(other, network), Joined)

    assert kept == []
    assert [text for text in seen if "node" in text and "IN" in text]


def test_what_another_statement_changed_is_seen(house: House) -> None:
    network = house.network()
    guest = house.guest()
    house.admit(house.token(), guest)
    house.edit("UPDATE member SET state = 'deauthorized'")

    assert isinstance(house.join(guest, network), Waiting)


def test_what_another_program_changed_is_seen(house: House) -> None:
    network = house.network()
    guest = house.guest()
    house.admit(house.token(), guest)
    house.spoilt = True
    with sqlite3.connect(house.config.database) as other:
        other.execute("UPDATE member SET state = 'deauthorized'")
    other.close()

    assert code(house.join(guest, network)) == Code.DAMAGED


def test_what_a_batch_did_in_sql_of_its_own_is_seen(house: House) -> None:
    network = house.network()
    guest = house.guest()
    house.admit(house.token(), guest)
    house.spoilt = True
    house.desk.transact(
        lambda work: work.connection.execute(MEMBER.update().values(state="deauthorized")),
        house.now_ms,
        house.now,
    )

    assert code(house.join(guest, network)) == Code.DAMAGED


def test_what_a_failed_batch_put_is_forgotten(house: House) -> None:
    network = house.network()
    guest = house.guest()
    house.admit(house.token(), guest)

    def fail(work: Work) -> None:
        node = work.node(guest.key)
        assert node is not None
        for member in work.members_of(node.id):
            work.members.put(msgspec.structs.replace(member, state="banned"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.desk.transact(fail, house.now_ms, house.now)

    assert isinstance(house.join(guest, network), Joined)


def test_a_key_that_was_replaced_is_nobody_s(house: House) -> None:
    network = house.network()
    guest = house.guest()
    house.admit(house.token(), guest)
    new = bytes(new_curve_pair()[0])

    def rename(work: Work) -> None:
        node = work.node(guest.key)
        assert node is not None
        work.rename(node, new)

    house.desk.transact(rename, house.now_ms, house.now)
    old = house.join(guest, network)
    guest.key = new

    assert isinstance(old, Refused)
    assert isinstance(house.join(guest, network), Joined)
    assert house.count(NODE.name) == 1

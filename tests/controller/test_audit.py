"""Who did what: nothing is missing in it, nothing can be changed in it unseen, old entries go."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from controller.server import AUDIT_BATCH, Server
from controller.store import audit
from controller.store.chain import ChainError, Entry, Head, Link, chain, cut, follow, verify
from controller.verbs import audit as verbs
from protocol.admin import Failed, Result
from protocol.keys import new_curve_pair
from protocol.messages import Refused, Rotate
from runtime.failure import CannotError, Exit
from tests.controller.farm import free_port, running
from tests.controller.house import DAY_MS, Guest, House
from tests.controller.test_roster import statements


def said(count: int, start: int = 0) -> list[Entry]:
    return [
        Entry(f"admin {n % 3}", "member.set", f"net/{n}", f"n={n}") for n in range(start, count)
    ]


def linked(entries: list[Entry], head: Head | None = None) -> list[Link]:
    """A chain in memory."""
    head = head or Head("00112233ff")
    links = []
    for time, entry in enumerate(entries):
        seq = head.seq + 1
        digest = chain(head.hash, head.controller, seq, time, entry)
        body = msgspec.structs.asdict(entry)
        links.append(Link(head.controller, seq, head.hash, digest, time, **body))
        head = Head(head.controller, seq, digest)
    return links


def fill(house: House, count: int) -> None:
    """So many entries more, in the database and in memory."""
    registry = house.registry
    with registry.connection.begin():
        registry.audit_head = audit.append(
            registry.connection, registry.audit_head, said(count), house.now_ms
        )


def verified(house: House) -> Failed | dict[str, Any]:
    """What `audit verify` says, piece after piece."""
    after, entries = "", 0
    while True:
        reply = house.call("audit.verify", after=after)
        if isinstance(reply, Failed):
            return reply
        entries += reply.items[0]["entries"]
        after = reply.next
        if not after:
            return reply.items[0] | {"entries": entries}


def listed(house: House, **wanted: Any) -> list[dict[str, Any]]:
    """All pages."""
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        reply = house.call("audit.list", **wanted, after=after)
        assert isinstance(reply, Result), reply
        items += reply.items
        after = reply.next
        if not after:
            return items


def whole(house: House) -> None:
    """The trigger goes, as somebody would take it away who has the file."""
    with house.registry.connection.begin():
        for name in ("audit_stays_as_it_is", "audit_stays_whole"):
            house.registry.connection.exec_driver_sql(f"DROP TRIGGER {name}")


# the chain


@given(
    st.integers(0, 11),
    st.sampled_from(["seq", "time", "actor", "action", "object", "detail", "hash", "prev"]),
)
def test_any_change_of_any_entry_is_found(place: int, what: str) -> None:
    links = linked(said(12))
    assert verify(links)["00112233ff"].seq == 12
    value = getattr(links[place], what)
    other: Any = value + 1 if isinstance(value, int) else value + value[:1] + type(value)()
    if isinstance(value, bytes):
        other = bytes([value[0] ^ 1]) + value[1:]
    elif isinstance(value, str):
        other = f"{value}x"
    links[place] = msgspec.structs.replace(links[place], **{what: other})

    with pytest.raises(ChainError):
        verify(links)


@given(st.integers(0, 11), st.integers(0, 11))
def test_what_was_taken_out_or_moved_is_found(first: int, second: int) -> None:
    links = linked(said(12))
    with pytest.raises(ChainError):
        verify([*links[:first], *links[first + 1 :], links[first]] if first < 11 else links[1:])
    if first != second:
        links[first], links[second] = links[second], links[first]
        with pytest.raises(ChainError):
            verify(links)


def test_two_fields_can_not_be_read_as_two_others() -> None:
    """The hash is over values, not over their text set side by side."""
    one = chain(bytes(32), "c", 1, 1, Entry("ab", "c", "d"))

    assert one != chain(bytes(32), "c", 1, 1, Entry("a", "bc", "d"))


def test_a_chain_without_its_beginning_fits_only_with_its_checkpoint() -> None:
    links = linked(said(6))
    last = Head(links[2].controller, links[2].seq, links[2].hash)
    end = Head(links[-1].controller, links[-1].seq, links[-1].hash)
    told = linked([cut(last, "controller")], end)
    assert verify([*links[3:], *told])[end.controller].seq == 7

    for wrong in (links[3:], [*links[4:], *told], [*links[2:], *told]):
        with pytest.raises(ChainError, match="no checkpoint"):
            verify(wrong)
    with pytest.raises(ChainError):
        follow(Head("other"), links[0])


# in the database


def test_no_statement_of_ours_changes_or_deletes_an_entry(house: House) -> None:
    house.network()
    house.token()
    for statement in (
        "UPDATE audit SET actor = 'nobody' WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit",
    ):
        with (
            house.registry.connection.begin() as transaction,
            pytest.raises(IntegrityError, match="only added to"),
        ):
            house.registry.connection.exec_driver_sql(statement)
        transaction.close()

    assert len(house.notes()) == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'local nobody' WHERE seq = 2500",
        "UPDATE audit SET time = time + 1 WHERE seq = 1",
        "UPDATE audit SET detail = detail || ' ' WHERE seq = 4000",
        "DELETE FROM audit WHERE seq = 2000",
        "DELETE FROM audit WHERE seq <= 2100",
        "DELETE FROM audit WHERE seq > 4990",
        "DELETE FROM audit",
    ],
)
def test_verify_goes_through_all_of_it_and_finds_what_was_changed(
    house: House, change: str
) -> None:
    """O4: over the socket, in pieces."""
    fill(house, 5000)
    sound = verified(house)
    assert isinstance(sound, dict)
    assert (sound["entries"], sound["last"]) == (5000, 5000)
    assert sound["hash"] == house.registry.audit_head.hash.hex()
    whole(house)
    with house.registry.connection.begin():
        house.registry.connection.exec_driver_sql(change)

    found = verified(house)
    assert isinstance(found, Failed)
    assert found.code == Exit.VERIFICATION
    assert found.message.startswith("cannot verify the audit log: ")


def test_entries_that_come_while_it_is_verified_are_verified_too(house: House) -> None:
    fill(house, verbs.VERIFY + 1)
    first = house.call("audit.verify")
    fill(house, 10)
    assert isinstance(first, Result)
    second = house.call("audit.verify", after=first.next)

    assert isinstance(second, Result)
    assert (first.items[0]["entries"], second.items[0]["entries"]) == (verbs.VERIFY, 11)


def test_deeds_of_nodes_and_operators_are_all_there(house: House) -> None:
    """O4: admitting, joining (which signs), leaving, and what an operator does."""
    network = house.network()
    guest = house.enrol(network, house.token())
    house.leave(guest, network)
    node = house.do("member.list", network="home")[0]["address"]
    token = house.do("token.list")[0]["token"]
    home = f"{network}/{node}"

    assert [(n.actor, n.action, n.object) for n in house.notes()] == [
        ("local", "network.create", network),
        ("local", "token.create", network),
        (f"token {token}", "node.admit", home),
        (f"node {node}", "member.join", home),
        (f"node {node}", "member.leave", home),
    ]


_WRITES = re.compile(r'(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) "?(\w+)')


def written(statements: Iterable[str]) -> list[set[str]]:
    """Of each transaction that was committed and wrote something, into which tables."""
    found: list[set[str]] = [set()]
    for sql in statements:
        if match := _WRITES.match(sql):
            found[-1].add(match[1])
        elif sql in ("COMMIT", "ROLLBACK"):
            found[-1:] = [found[-1], set()] if sql == "COMMIT" else [set()]
    return [tables for tables in found[:-1] if tables]


def test_what_a_node_does_and_its_entry_are_one_transaction(house: House) -> None:
    """O4: neither is there without the other, whenever the controller ends."""
    network = house.network()
    guest, token, key = house.guest(), house.token(), bytes(new_curve_pair()[0])
    after = Guest(key, guest.wireguard, b"after")
    deeds: dict[str, Callable[[], object]] = {
        "node.admit": lambda: house.admit(token, guest),
        "member.join": lambda: house.join(guest, network),
        "node.rotate": lambda: house.ask(guest, Rotate(house.number(), key)),
        "node.rotated": lambda: house.hello(after),
        "member.leave": lambda: house.leave(after, network),
    }
    for action, do in deeds.items():
        with statements(house) as seen:
            do()
        (tables,) = written(seen)
        assert tables > {"audit"}, action
        assert house.notes()[-1].action == action


def test_transactions_are_told_apart_by_their_ends() -> None:
    """The control of the test above."""
    two = ["BEGIN", 'UPDATE "member" SET x = 1', "COMMIT", "BEGIN", "INSERT INTO audit", "COMMIT"]
    undone = ["BEGIN", "DELETE FROM node", "ROLLBACK", "BEGIN", "SELECT 1", "COMMIT"]

    assert written(two) == [{"member"}, {"audit"}]
    assert written(undone) == []


def test_a_keyset_that_is_signed_at_the_start_has_an_entry(house: House) -> None:
    """O4: what the root key signs."""
    house.network()
    before = len(house.notes())
    house.reopen()
    assert len(house.notes()) == before
    house.config = msgspec.structs.replace(house.config, endpoints=("tcp://192.0.2.9:9930",))
    house.reopen()
    house.token()
    fresh = house.notes()[before:]

    assert [(n.actor, n.action, n.object) for n in fresh[:-1]] == [
        ("controller", "key.sign", "keyset 2")
    ]
    assert "tcp://192.0.2.9:9930" in fresh[0].detail
    assert isinstance(verified(house), dict)


def test_what_failed_has_no_entry(house: House) -> None:
    house.network()
    token = house.token(ttl=60)
    before = house.notes()
    assert isinstance(house.call("network.create", id="x", name="home"), Failed)
    assert isinstance(house.hello(house.guest()), Refused)
    house.later(60)
    assert isinstance(house.admit(token, house.guest()), Refused)

    assert house.notes() == before


# list


def test_the_newest_come_first_and_filters_choose(house: House) -> None:
    network = house.network()
    house.enrol(network)
    house.later(3600)
    house.do("network.set", network="home", desc="x_y%")

    assert [e["seq"] for e in listed(house)] == [5, 4, 3, 2, 1]
    assert [e["action"] for e in listed(house, action="token.*")] == ["token.create"]
    assert [e["action"] for e in listed(house, actor="node ??????????")] == ["member.join"]
    assert [e["seq"] for e in listed(house, object=f"{network}/*")] == [4, 3]
    assert [e["seq"] for e in listed(house, ago=60)] == [5]
    assert [e["seq"] for e in listed(house, since=house.now_ms)] == [5]
    assert listed(house, actor="%") == listed(house, actor="_____") == []
    assert listed(house, controller="ffffffffff") == []


def test_pages_show_each_entry_once_however_few_fit(house: House) -> None:
    fill(house, 2 * verbs.SCAN + 500)
    every = listed(house, limit=1000)
    seldom = listed(house, object="net/7", limit=10)
    oldest = house.call("audit.list", object="net/7", limit=10)

    assert [e["seq"] for e in every] == list(range(2 * verbs.SCAN + 500, 0, -1))
    assert [e["seq"] for e in seldom] == [8]
    assert isinstance(oldest, Result)
    assert (oldest.items, oldest.next) == ([], str(verbs.SCAN + 501))  # no page looks at all of it
    assert isinstance(house.call("audit.list", after="x"), Failed)


def test_an_export_in_pages_is_all_of_it_in_order_and_verifies(house: House) -> None:
    fill(house, 450)
    house.network()
    links, after = [], ""
    while True:
        reply = house.call("audit.export", limit=200, after=after)
        assert isinstance(reply, Result), reply
        links += [msgspec.convert(with_bytes(item), Link) for item in reply.items]
        after = reply.next
        if not after:
            break

    assert [link.seq for link in links] == list(range(1, 452))
    assert verify(links)[house.registry.audit_head.controller] == house.registry.audit_head


def with_bytes(item: dict[str, Any]) -> dict[str, Any]:
    return item | {name: bytes.fromhex(item[name]) for name in ("prev", "hash")}


# how long


@pytest.fixture
def server(house: House, tmp_path: Path) -> Iterator[Server]:
    config = msgspec.structs.replace(
        house.config,
        listen=(f"tcp://127.0.0.1:{free_port()}",),
        socket=str(tmp_path / "admin.sock"),
        audit=msgspec.structs.replace(house.config.audit, keep_days=30),
    )
    one = Server(config, house.registry)
    yield one
    one.close()


def test_old_entries_go_in_pieces_and_the_rest_still_verifies(house: House, server: Server) -> None:
    fill(house, AUDIT_BATCH + 100)
    house.later(20 * 86_400)
    fill(house, 50)
    house.later(11 * 86_400)  # the first ones are 31 days old, the others 11
    server.turn(house.now_ms, 1000.0)
    half = house.count("audit")
    server.turn(house.now_ms, 1001.5)
    left = house.count("audit")
    server.turn(house.now_ms, 1003.0)
    house.network()

    assert (half, left) == (100 + 50 + 1, 50 + 2)
    assert house.count("audit") == left + 1
    sound = verified(house)
    assert isinstance(sound, dict), sound
    assert sound["entries"] == left + 1
    with house.registry.connection.begin():
        assert audit.verify(house.registry.connection) is None
    prunes = [n for n in house.notes() if n.action == "audit.prune"]
    assert {n.actor for n in prunes} == {"controller"}
    house.reopen()
    assert isinstance(verified(house), dict)


def test_more_than_the_checkpoint_says_can_not_be_taken_away(house: House, server: Server) -> None:
    fill(house, 10)
    house.later(31 * 86_400)
    fill(house, 10)
    server.turn(house.now_ms, 1000.0)
    with (
        house.registry.connection.begin() as transaction,
        pytest.raises(IntegrityError, match="only added to"),
    ):
        house.registry.connection.exec_driver_sql("DELETE FROM audit WHERE seq = 11")
    transaction.close()
    whole(house)
    with house.registry.connection.begin():
        house.registry.connection.exec_driver_sql("DELETE FROM audit WHERE seq = 11")

    found = verified(house)
    assert isinstance(found, Failed)
    assert "no checkpoint" in found.message


def test_a_verification_goes_on_though_its_place_was_taken_away(
    house: House, server: Server
) -> None:
    fill(house, verbs.VERIFY + 5)
    first = house.call("audit.verify", after="")
    house.later(31 * 86_400)
    fill(house, 20)
    server.turn(house.now_ms, 1000.0)
    server.turn(house.now_ms, 1001.5)
    assert isinstance(first, Result)

    rest = house.call("audit.verify", after=first.next)
    assert isinstance(rest, Result), rest
    assert rest.items[0]["last"] == house.registry.audit_head.seq


def test_with_zero_days_all_is_kept(house: House, tmp_path: Path) -> None:
    config = msgspec.structs.replace(
        house.config,
        listen=(f"tcp://127.0.0.1:{free_port()}",),
        socket=str(tmp_path / "admin.sock"),
        audit=msgspec.structs.replace(house.config.audit, keep_days=0),
    )
    fill(house, 10)
    house.later(400 * DAY_MS // 1000)
    server = Server(config, house.registry)
    server.turn(house.now_ms, 1000.0)
    server.close()

    assert house.count("audit") == 10


# the whole program


def test_an_export_verifies_on_another_machine_and_a_changed_one_does_not(tmp_path: Path) -> None:
    from controller.admin.audit import _verify_file

    with running(tmp_path) as one:
        one.network()
        for _ in range(3):
            one.token()
        exported = one.ncadm("audit", "export")
        here = one.ncadm("audit", "verify", "-o", "json")
        listed_here = one.ncadm("audit", "list", "--action", "token.*", "-o", "json")
    path = tmp_path / "log.jsonl"
    path.write_text(exported.stdout)

    assert exported.returncode == here.returncode == 0
    item = json.loads(here.stdout)["items"][0]
    assert _verify_file(path) == item
    assert item["entries"] == 4
    assert len(json.loads(listed_here.stdout)["items"]) == 3
    path.write_text(exported.stdout.replace("token.create", "token.revoke", 1))
    with pytest.raises(CannotError, match="entry 2 of controller") as changed:
        _verify_file(path)
    assert changed.value.code == Exit.VERIFICATION
    path.write_text("{}\n")
    with pytest.raises(CannotError, match="line 1 is no entry"):
        _verify_file(path)

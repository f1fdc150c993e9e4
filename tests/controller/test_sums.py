"""Whoever can write into the database and has no key makes the controller sign nothing."""
# ruff: noqa: S608  # statements of our own

import logging
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from controller.front.actors import admin_actor
from controller.store.database import DatabaseError
from controller.store.records import Assignment, Floor, Member, Network, Pool, Token
from controller.store.sums import NO_FLOORS, SIZE, Sums
from protocol.admin import Failed
from protocol.keys import new_curve_pair
from protocol.messages import Code, Done, Joined, Refused, Rotate, Rows, Unchanged, Welcome
from protocol.signed import read_unverified
from protocol.statements import Membership
from runtime.failure import Exit
from tests.controller.house import Frame, Guest, House

STOLEN = bytes(new_curve_pair()[0])
BAD = "(SELECT node FROM member WHERE name = 'bad')"
GOOD = "(SELECT node FROM member WHERE name = 'good')"
SET = "UPDATE member SET {} WHERE name = 'bad'"
OWN = "FROM assignment AS a WHERE a.node = " + BAD
EDITS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "wireguard": (SET.format("wireguard = ?"), (STOLEN,)),
    "no wireguard": (SET.format("wireguard = NULL"), ()),
    "roles": (SET.format("roles = 'mint,transit'"), ()),
    "prefixes": (SET.format("prefixes = '10.44.0.0/16'"), ()),
    "serial": (SET.format("serial = serial + 7"), ()),
    "a serial that is taken back": (SET.format("serial = 0"), ()),
    "issued_at": (SET.format("issued_at = issued_at - 1"), ()),
    "not_after": (SET.format("not_after = 9999999999999"), ()),
    "via": (SET.format("via = ?"), (STOLEN,)),
    "endpoints": (SET.format("endpoints = '203.0.113.66:51820'"), ()),
    "state": (SET.format("state = 'deauthorized'"), ()),
    "tombstone": (SET.format("removed_at = 1"), ()),
    "node key": (f"UPDATE node SET key = ? WHERE id = {BAD}", (STOLEN,)),
    "next key": (f"UPDATE node SET next_key = ? WHERE id = {BAD}", (STOLEN,)),
    "address": (
        f"UPDATE assignment SET address = ? WHERE node = {BAD}",
        (bytes(10) + b"\xff\xff\x0a\x09\x63\x63",),
    ),
    "length": (f"UPDATE assignment SET length = 8 WHERE node = {BAD}", ()),
    "kind": (f"UPDATE assignment SET kind = 'manual' WHERE node = {BAD}", ()),
    "an address more": (
        f"INSERT INTO assignment SELECT network, ?, family, length, node, kind, 0 {OWN}",
        (bytes(10) + b"\xff\xff\x0a\x09\x63\x63",),
    ),
    "an address that rests": (f"UPDATE assignment SET released_at = 1 WHERE node = {BAD}", ()),
    "an address less": (f"DELETE FROM assignment WHERE node = {BAD}", ()),
    "the address of another": (
        f"UPDATE assignment SET node = {BAD} WHERE node = {GOOD}",
        (),
    ),
    "the sum of another": (
        "UPDATE member SET sum = (SELECT sum FROM member WHERE name = 'good') WHERE name = 'bad'",
        (),
    ),
    "no sum": (SET.format("sum = x''"), ()),
}


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    return reply.code


def seen(house: House, guest: Guest, network: str) -> set[bytes]:
    """Whom it finds in the netmap."""
    house.hello(guest)
    rows = house.fetch(guest, network)
    assert isinstance(rows, Rows), rows
    return {read_unverified(row.membership, Membership).node for row in rows.rows}


@pytest.mark.parametrize("name", EDITS)
def test_a_member_that_was_edited_by_hand_is_refused_and_named_and_left_out(
    house: House, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    network = house.network()
    good, bad = house.enrol(network, name="good"), house.enrol(network, name="bad")
    third = house.enrol(network, name="third")
    joined = house.join(third, network)
    assert isinstance(joined, Joined)
    assert seen(house, third, network) == {good.key, bad.key, third.key}
    assert house.do("status")[0]["damaged"] == 0
    house.spoil(*EDITS[name][:1], *EDITS[name][1])
    caplog.clear()
    replies = [house.join(bad, network), house.join(bad, network), house.hello(bad)]
    changed = house.call("member.set", network="home", member="bad", roles=["transit"])
    found = seen(house, third, network)

    both = name == "the address of another"
    assert found == {third.key} | (set() if both else {good.key})
    expected = {"denied"} if name == "node key" else {"damaged"}  # nobody has its own any more
    assert {code(reply) for reply in replies} == expected
    assert isinstance(changed, Failed)
    assert changed.code in (Exit.PROBLEMS, Exit.NOT_FOUND)
    assert isinstance(house.refresh(third, network, joined), Joined | Unchanged)
    errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert {one.getMessage() for one in errors} == {"damaged member left out"}
    assert len(errors) == len(house.misfits()) == house.do("status")[0]["damaged"]


def test_a_member_row_of_nobody_is_let_into_nothing(house: House) -> None:
    """The control is its twin whom an operator has let in."""
    home, farm = house.network(), house.network("farm", ipv4="10.8.0.0/16")
    bad, good = house.enrol(home, name="bad"), house.enrol(home, name="good")
    house.do("member.add", network="farm", key=good.key.hex())
    columns = ", ".join(f'"{name}"' for name in Member.__struct_fields__ if name != "network")
    house.spoil(f"INSERT INTO member (network, {columns}) SELECT 2, {columns} FROM member WHERE name = 'bad'")  # fmt: skip

    assert code(house.join(bad, farm)) == Code.DAMAGED
    assert isinstance(house.join(bad, home), Joined)
    assert isinstance(house.join(good, farm), Joined)


def test_two_members_whose_rows_were_swapped_are_both_damaged(house: House) -> None:
    network = house.network()
    good, bad = house.enrol(network, name="good"), house.enrol(network, name="bad")
    house.spoil("UPDATE member SET node = -node")  # foreign keys are off there
    house.spoil("UPDATE member SET node = (SELECT sum(id) FROM node) + node")

    assert {code(house.join(one, network)) for one in (good, bad)} == {Code.DAMAGED}


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("network.set", {"member_prefix": 24, "renumber": True}),
        ("network.set", {"rfc4193": True}),
        ("network.set", {"topology": "hub"}),
        ("network.set", {"life": 86400}),
        ("pool.set", {"range": "10.9.0.0/16", "first": "10.9.200.0", "renumber": True}),
        ("pool.add", {"range": "fd00:9::/64"}),
        ("member.set", {"member": "good", "roles": ["transit"]}),
        ("member.ban", {"member": "good"}),
        ("member.forget", {"member": "good"}),
    ],
    ids=str,
)
def test_what_is_done_to_a_whole_network_is_done_to_all_but_the_damaged(
    house: House, verb: str, arguments: dict[str, Any]
) -> None:
    network = house.network()
    good, third = (house.enrol(network, name=name) for name in ("good", "third"))
    bad = house.enrol(network, name="bad")
    house.spoil(SET.format("roles = 'hub'"))
    before = house.registry.networks[1].revision
    house.do(verb, network="home", **arguments)
    house.later(1)

    assert house.registry.networks[1].revision > before
    assert isinstance(house.join(third, network), Joined)
    assert code(house.join(bad, network)) == Code.DAMAGED
    assert [what.split()[-1] for what in house.misfits()] == ["bad"]
    assert seen(house, third, network) <= {good.key, third.key}


def test_a_next_key_that_somebody_wrote_takes_over_nothing(house: House) -> None:
    network = house.network()
    guest, robbed = house.enrol(network, name="good"), house.enrol(network, name="bad")
    thief, heir = house.guest(), house.guest()
    house.spoil(f"UPDATE node SET next_key = ? WHERE id = {BAD}", thief.key)
    assert isinstance(house.ask(guest, Rotate(house.number(), heir.key)), Done)

    assert code(house.hello(thief)) == Code.DAMAGED
    assert code(house.ask(robbed, Rotate(house.number(), heir.key))) == Code.DAMAGED
    assert isinstance(house.hello(heir), Welcome)


def test_an_older_row_that_is_put_back_with_its_own_sum_is_not_found_out(house: House) -> None:
    """A limit, said in docs/decisions/0025: only a row of an earlier time, whole, with all it had then."""
    network = house.network()
    guest = house.enrol(network, name="bad")
    with closing(sqlite3.connect(house.config.database)) as other:
        older = other.execute(
            "SELECT roles, serial, sum, revision, issued_at FROM member"
        ).fetchone()
    house.do("member.set", network="home", member="bad", roles=["transit"])
    house.spoil(
        "UPDATE member SET roles = ?, serial = ?, sum = ?, revision = ?, issued_at = ?", *older
    )

    assert house.misfits() == []
    assert isinstance(house.join(guest, network), Joined)
    house.spoil("UPDATE member SET serial = serial + 1")
    assert code(house.join(guest, network)) == Code.DAMAGED


NETWORK_EDITS = {
    "fold": "UPDATE network SET fold = 999 WHERE number = 1",
    "least": "UPDATE network SET least = 999 WHERE number = 1",
    "epoch": "UPDATE network SET epoch = epoch + 1 WHERE number = 1",
    "routes": "UPDATE network SET routes = '10.50.0.0/24 via 0000000001' WHERE number = 1",
    "topology": "UPDATE network SET topology = 'hub' WHERE number = 1",
    "life": "UPDATE network SET life = 0 + 86400000 WHERE number = 1",
    "member_prefix": "UPDATE network SET member_prefix = 24 WHERE number = 1",
    "rfc4193": "UPDATE network SET rfc4193 = 1 WHERE number = 1",
    "private": "UPDATE network SET private = 0 WHERE number = 1",
    "closed": "UPDATE network SET closed_at = 1 WHERE number = 1",
    "a pool": "UPDATE pool SET prefix = '10.0.0.0/8' WHERE network = 1",
    "a pool less": "DELETE FROM pool WHERE network = 1",
    "a pool more": "INSERT INTO pool SELECT 1, '10.77.0.0/16', family, first, last FROM pool WHERE network = 2",
    "a prefix pool": "UPDATE prefix_pool SET prefix = '2001:db8:6::/48'",
    "a floor": "UPDATE revocation SET serial = 1",
    "a floor less": "DELETE FROM revocation",
    "the sum of another": "UPDATE network SET sum = (SELECT sum FROM network WHERE number = 2) WHERE number = 1",
}


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("name", NETWORK_EDITS)
def test_a_network_that_was_edited_by_hand_is_left_out_and_the_others_go_on(
    house: House, name: str, running: bool
) -> None:
    home, farm = house.network(), house.network("farm", ipv4="10.8.0.0/16")
    house.do("prefix.add", network="home", prefix="2001:db8:5::/48")
    one, other = house.enrol(home, name="one"), house.enrol(farm, name="other")
    house.enrol(home, name="revoked")
    house.do("member.ban", network="home", member="revoked")
    tokens = [house.token("home"), house.token("farm")]
    assert isinstance(house.join(one, home), Joined)
    house.spoil(NETWORK_EDITS[name])
    if not running:
        house.reopen()
        house.hello(one)
        house.hello(other)

    assert code(house.join(one, home)) == Code.DAMAGED
    assert code(house.admit(tokens[0], house.guest())) == Code.DAMAGED
    shown = house.call("network.show", network="home")
    assert isinstance(shown, Failed)
    assert shown.code == Exit.PROBLEMS
    assert "network home" in shown.message
    assert isinstance(house.join(other, farm), Joined)
    assert isinstance(house.admit(tokens[1], house.guest()), Done)
    assert [network["name"] for network in house.do("network.list")] == ["farm"]
    assert [found.partition(":")[0] for found in house.misfits()] == ["network home"]


@pytest.mark.parametrize(
    "edit",
    ["roles = 'hub'", "uses_left = 9", "expires_at = 9999999999999", "ask = 0", "network = 2"],
)
def test_a_token_that_was_edited_by_hand_lets_nobody_in(house: House, edit: str) -> None:
    house.network()
    house.network("farm", ipv4="10.8.0.0/16")
    sound = house.token(uses=2)
    token = house.token(ask=True)
    house.spoil(f"UPDATE join_token SET {edit} WHERE key = ?", token)

    assert code(house.admit(token, house.guest())) == Code.DAMAGED
    assert isinstance(house.admit(sound, house.guest()), Done)


def test_an_admin_key_that_somebody_wrote_is_nobodys(house: House) -> None:
    house.do("key.admin.add", name="alice", key="ab" * 32)
    house.spoil(
        "INSERT INTO admin_key SELECT ?, 'eve', created_at, created_by, sum FROM admin_key", STOLEN
    )
    connection, sums = house.registry.connection, house.registry.seals.sums

    assert admin_actor(connection, sums, Frame(b"", f"a:{'ab' * 32}")) == "admin alice"
    assert admin_actor(connection, sums, Frame(b"", f"a:{STOLEN.hex()}")) is None


@pytest.mark.parametrize("key", ["incarnation", "keyset", "keyset wanted", "rotation", "signing"])
def test_what_the_controller_keeps_of_itself_is_not_believed_when_it_was_edited(
    house: House, key: str
) -> None:
    house.do("key.rotate", now=True)
    house.spoil("INSERT OR REPLACE INTO meta VALUES (?, x'39', x'00')", key)
    house.close()

    with pytest.raises(DatabaseError, match=f"'{key}': it was changed by somebody else"):
        house.open()


# -- what a sum is of


def test_a_sum_is_of_each_field(house: House) -> None:
    """Its own column is the last one of each row."""
    sums = Sums(bytes(32))
    network = house.network()
    house.enrol(network)
    work = house.registry.work(house.now_ms)
    node = work.node_by_id(int(house.do("member.list", network="home")[0]["address"], 16))
    assert node is not None
    member, held = work.member(1, node.id), work.addresses(1, node.id)
    assert member is not None
    house.registry.connection.rollback()

    for kind in (Member, Network, Token):
        assert kind.__struct_fields__[-1] == "sum"
    here = sums.member(member, (node.key, None), held)
    assert len(here) == SIZE
    assert here != sums.member(member, (node.key, node.key), held)
    assert here != sums.member(member, (node.key, None), [])
    assert here != Sums(bytes([1]) * 32).member(member, (node.key, None), held)
    rested = Assignment(1, bytes(16), 4, 16, node.id, "auto", 5)
    assert here == sums.member(member, (node.key, None), [rested, *reversed(held)])


def test_floors_come_and_go_in_any_order() -> None:
    sums = Sums(bytes(32))
    floors = [Floor(1, bytes([n]) * 32, n, 1, 0) for n in range(3)]
    every = sums.floors(NO_FLOORS, *floors)

    assert every == sums.floors(NO_FLOORS, *reversed(floors))
    assert sums.floors(every, floors[1]) == sums.floors(NO_FLOORS, floors[0], floors[2])
    assert sums.floors(every, *floors) == NO_FLOORS


def test_the_order_of_pools_is_nothing() -> None:
    sums = Sums(bytes(32))
    network = Network(1, "n", "", True, 0, "mesh", 0, "", 0, 0, 0, 0, 0, 0, "r")
    pools = [Pool(1, f"10.{n}.0.0/16", 4, bytes(16), bytes(16)) for n in range(2)]

    assert sums.network(network, pools, []) == sums.network(network, pools[::-1], [])
    assert sums.network(network, pools, []) != sums.network(network, pools[:1], [])
    assert sums.network(network, pools, []) != sums.network(network, pools, [("fd00::/48", 64)])

"""A network that is deleted: its members are told, now or when they come, and nothing of it is left."""

import msgspec
import pytest

from controller.members.tombstones import KEEP_MS, purge
from controller.store import model
from protocol.keys import new_curve_pair
from protocol.messages import (
    Code,
    Done,
    Joined,
    Ping,
    Pong,
    Refused,
    Rotate,
    Rows,
    Unchanged,
    Waiting,
    Welcome,
)
from protocol.signed import read_unverified
from protocol.statements import CLOSED, Membership
from tests.controller.house import DAY_MS, Guest, House


def farewells(house: House, guest: Guest) -> list[Rows]:
    return [rows for rows in house.pushed_rows(guest) if rows.state is not None]


def held(house: House, guest: Guest, network: str) -> Joined:
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    return joined


def test_connected_members_get_a_signed_state_that_nobody_is_valid_in(house: House) -> None:
    network = house.network()
    guests = [house.enrol(network, name=name) for name in ("n1", "n2")]
    before = house.state(held(house, guests[0], network))
    for guest in guests:
        house.pushed(guest)
    deleted = house.do("network.delete", network="home")[0]

    assert {key: deleted[key] for key in ("members", "told", "tokens", "addresses")} == {
        "members": 2,
        "told": 2,
        "tokens": 2,
        "addresses": 2,
    }
    for guest in guests:
        (last,) = farewells(house, guest)
        state = house.state(last)
        assert (state.network, state.least, state.is_closed) == (network, CLOSED, True)
        assert (state.incarnation, state.epoch) == (before.incarnation, before.epoch + 1)
        assert last.gone == (guest.key,)
    house.later(60)
    house.push.run(house.now)  # and nothing after it
    assert [house.pushed(guest) for guest in guests] == [[], []]


def one_of_two_is_deleted(house: House) -> Guest:
    """A node in two networks, of which one goes while it is away."""
    house.network("other", ipv4="10.10.0.0/16")
    guest = house.enrol(house.network(), generation=5)
    house.admit(house.token("other"), guest)
    held(house, guest, house.network("other", ipv4="10.10.0.0/16"))
    house.do("network.delete", network="other")
    return guest


def test_a_key_gives_way_to_another_though_a_network_of_its_node_was_deleted(house: House) -> None:
    guest = one_of_two_is_deleted(house)
    key = bytes(new_curve_pair()[0])
    assert isinstance(house.ask(guest, Rotate(house.number(), key)), Done)
    guest.key, guest.routing = key, b"another"

    assert isinstance(house.hello(guest), Welcome)
    assert house.membership(house.join(guest, house.network())).node == key


def test_a_copy_is_marked_though_a_network_of_its_node_was_deleted(house: House) -> None:
    """An older disk, and two at once: both are told from a fault of ours."""
    guest = one_of_two_is_deleted(house)
    copy = Guest(guest.key, guest.wireguard, b"copy", generation=3)
    assert isinstance(house.hello(copy), Welcome)
    (number,) = [r.id for to, r in house.sent if to == guest.routing and isinstance(r, Ping)]
    house.say(guest, Pong(number, 0))

    assert [r.code for r in house.pushed(guest) if isinstance(r, Refused)] == [Code.CLONED]
    assert len(house.audit("node.cloned")) == 1


def test_a_member_that_was_away_is_told_when_it_refreshes(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    joined = held(house, guest, network)
    house.sessions.end(guest.key)
    assert house.do("network.delete", network="home")[0]["told"] == 0
    house.reopen()
    house.later(29 * 24 * 3600)
    welcome = house.hello(guest)
    told = house.refresh(guest, network, joined)

    assert isinstance(welcome, Welcome)
    assert welcome.networks == ()
    assert isinstance(told, Rows)
    assert house.state(told).is_closed
    assert isinstance(house.join(guest, network), Refused)
    assert isinstance(house.leave(guest, network), Refused)


def test_whoever_was_no_member_is_not_told_that_there_was_a_network(house: House) -> None:
    network = house.network()
    other = house.network("other", ipv4="10.1.0.0/16")
    stranger = house.enrol(other, house.token("other"))
    joined = held(house, stranger, other)
    house.do("network.delete", network="home")
    never = network[:10] + "0000ff"
    replies = [house.refresh(stranger, name, joined) for name in (network, never)]

    assert [reply.message.replace(never, network) for reply in replies] == [  # type: ignore[union-attr]
        f"cannot join network {network}: this node is no member of such a network"
    ] * 2


def test_a_member_of_another_network_keeps_that(house: House) -> None:
    home, other = house.network(), house.network("other", ipv4="10.9.0.0/16")
    guest = house.enrol(home)
    house.admit(house.token("other"), guest)
    joined = held(house, guest, other)
    addresses = house.addresses(joined)
    house.do("network.delete", network="home")
    house.reopen()
    house.hello(guest)
    again = house.join(guest, other)

    assert house.addresses(again) == addresses
    assert isinstance(house.refresh(guest, other, held(house, guest, other)), Unchanged)


def test_nothing_of_it_is_left_but_who_is_to_be_told(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    house.enrol(network, name="n1")
    house.do("prefix.add", network="home", prefix="2001:db8:5::/48")
    house.do("prefix.lease", network="home", member="n1")
    house.do("member.deauthorize", network="home", member="n1")
    before = {table: house.count(table) for table in ("pool", "assignment", "join_token")}
    assert all(before.values())
    house.do("network.delete", network="home")

    for table in (model.POOL, model.ASSIGNMENT, model.TOKEN, model.PREFIX_LEASE, model.FLOOR):
        assert house.count(table.name) == 0
    assert house.do("network.list") == []
    assert (house.count("network"), house.count("member"), house.count("node")) == (1, 1, 1)
    house.reopen()
    house.later(1)
    purge(house.registry, house.now_ms + KEEP_MS - DAY_MS)
    assert house.count("member") == 1
    purge(house.registry, house.now_ms + KEEP_MS + DAY_MS)
    assert (house.count("network"), house.count("member"), house.count("node")) == (1, 0, 0)


def test_its_number_is_never_lent_again_and_its_name_is_free(house: House) -> None:
    network = house.network()
    house.do("network.delete", network="home")
    house.reopen()
    again = house.network()
    house.do("network.delete", network="home")
    third = house.network()
    document = {
        "zt1": "1",
        f"zt1:network:{network}:~": {"id": network, "name": "imported"},
    }
    refused = house.call("import", id="import-0001", part=document, number=0, last=True)

    assert [n[10:] for n in (network, again, third)] == ["000001", "000002", "000003"]
    assert "of a network that was deleted" in refused.message  # type: ignore[union-attr]


def test_a_number_beside_the_order_is_not_lent_either(house: House) -> None:
    network = house.registry.controller + "000002"
    document = {"zt1": "1", f"zt1:network:{network}:~": {"id": network, "name": "imported"}}
    house.do("import", id="import-0001", part=document, number=0, last=True)
    house.do("network.delete", network="imported")
    house.reopen()
    made = [house.network(name, ipv4="10.1.0.0/16") for name in ("one", "two")]

    assert [n[10:] for n in made] == ["000001", "000003"]


def test_tokens_and_waiting_members_of_it_come_to_nothing(house: House) -> None:
    network = house.network()
    token = house.token("home")
    asking = house.guest(name="n3")
    house.admit(house.token("home", ask=True), asking)
    house.hello(asking)
    assert isinstance(house.join(asking, network), Waiting)
    house.do("network.delete", network="home")
    late = house.admit(token, house.guest())

    assert isinstance(late, Refused)
    assert isinstance(house.join(asking, network), Refused)


def test_deleting_ten_thousand_members_is_one_change(house: House) -> None:
    house.spoilt = True  # nobody reads these members to change them
    network = house.network(ipv4="10.0.0.0/8")
    house.enrol(network)
    connection = house.registry.connection
    with connection.begin():
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
            " INSERT INTO node SELECT i, randomblob(32), '', 0, 0, '', '', '', 0, NULL FROM n"
        )
        columns = ", ".join(
            {"node": "n.id", "wireguard": "randomblob(32)"}.get(name, f"m.{name}")
            for name in model.MEMBER.c.keys()  # noqa: SIM118  # a collection of columns
        )
        connection.exec_driver_sql(
            f"INSERT INTO member SELECT {columns} FROM node n, member m WHERE n.id <= 10000"  # noqa: S608
        )
    house.reopen()
    audits = house.count("audit")
    deleted = house.do("network.delete", network="home")[0]

    assert deleted["members"] == 10_001
    assert house.count("audit") == audits + 1
    assert house.count("revocation") == 0


# -- members of different networks


def said_to(house: House, guest: Guest) -> bytes:
    """All frames that this node ever got."""
    return b"".join(msgspec.msgpack.encode(r) for to, r in house.sent if to == guest.routing)


def test_members_of_different_networks_never_learn_of_each_other(house: House) -> None:
    home, other = house.network("home"), house.network("other", ipv4="10.9.0.0/16")
    inside = house.enrol(home, name="inside", endpoints=("192.0.2.1:5",))
    outside = house.enrol(other, house.token("other"), name="outside", endpoints=("192.0.2.77:5",))
    both = house.enrol(home, name="both", endpoints=("192.0.2.3:5",))
    house.admit(house.token("other"), both)
    house.join(both, other)
    house.fetch(both, other)
    joined = held(house, inside, home)
    for ask in (house.join, house.fetch, house.leave):
        assert isinstance(ask(inside, other), Refused)
    assert isinstance(house.refresh(inside, other, joined), Refused)
    for network in ("home", "other"):
        house.do("network.set", network=network, mtu=1400)
    house.do("member.set", network="other", member="outside", name="outsider", roles=["transit"])
    house.do("member.ban", network="other", member="outsider")
    house.fetch(inside, home)
    house.later(1)
    house.push.run(house.now)
    house.do("network.delete", network="other")

    theirs = said_to(house, inside)
    assert inside.key in theirs
    assert b"both" in theirs
    for secret in (outside.key, outside.wireguard, b"outside", b"192.0.2.77", b"other"):
        assert secret not in theirs
    for secret in (outside.key, outside.wireguard, b"192.0.2.77"):
        assert secret in said_to(house, both)


@pytest.mark.parametrize("verb", ["join", "refresh", "fetch", "leave"])
def test_a_node_cannot_tell_a_network_of_others_from_none(house: House, verb: str) -> None:
    home, other = house.network("home"), house.network("other", ipv4="10.9.0.0/16")
    inside = house.enrol(home)
    joined = held(house, inside, home)
    never = home[:10] + "0000ff"

    def ask(network: str) -> Refused:
        if verb == "refresh":
            reply = house.refresh(inside, network, joined)
        else:
            reply = getattr(house, verb)(inside, network)
        assert isinstance(reply, Refused), reply
        return msgspec.structs.replace(reply, id=0, message=reply.message.replace(network, "N"))

    assert ask(other) == ask(never)


def test_certificates_of_one_network_are_none_in_another(house: House) -> None:
    home, other = house.network("home"), house.network("other", ipv4="10.9.0.0/16")
    guest = house.enrol(home)
    house.admit(house.token("other"), guest)
    memberships = [
        read_unverified(held(house, guest, network).membership, Membership)
        for network in (home, other)
    ]

    assert [m.network for m in memberships] == [home, other]

"""S6: a node's key gives way to another: everything of the node stays, the old key is worth nothing."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from controller.front.zap import user_id
from controller.store.database import open_reader
from protocol.keys import new_curve_pair
from protocol.messages import (
    Code,
    Done,
    Joined,
    Refused,
    Reply,
    Rotate,
    Row,
    Rows,
    Unchanged,
    Welcome,
)
from protocol.signed import read_unverified
from protocol.statements import Membership
from tests.controller.farm import Controller, running
from tests.controller.house import Guest, House
from tests.controller.node import RefusalError


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    assert reply.message.startswith("cannot ")
    return reply.code


def name(house: House, guest: Guest, key: bytes) -> Reply:
    return house.ask(guest, Rotate(house.number(), key))


def successor(house: House, guest: Guest) -> Guest:
    """The same node with its next key, over a connection of its own."""
    return replace(guest, key=bytes(new_curve_pair()[0]), routing=guest.routing + b"'")


def rotated(house: House, guest: Guest) -> Guest:
    after = successor(house, guest)
    assert isinstance(name(house, guest, after.key), Done)
    house.later(1)
    assert isinstance(house.hello(after), Welcome)
    return after


def fetched(house: House, guest: Guest, network: str, revision: int = 0) -> Rows:
    rows = house.fetch(guest, network, revision)
    assert isinstance(rows, Rows), rows
    return rows


def let_in(house: House, key: bytes) -> str:
    reader = open_reader(house.config.database)
    try:
        return user_id(reader, key, house.now_ms)
    finally:
        reader.close()
        reader.engine.dispose()


def test_both_keys_are_let_in_until_the_next_is_used_and_then_only_that(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    after = successor(house, guest)
    assert let_in(house, after.key) == ""
    assert isinstance(name(house, guest, after.key), Done)
    assert [let_in(house, g.key)[:2] for g in (guest, after)] == ["n:", "n:"]
    assert isinstance(house.join(guest, network), Joined)  # the old one is as good as ever
    assert isinstance(house.hello(after), Welcome)

    assert [let_in(house, g.key)[:2] for g in (guest, after)] == ["", "n:"]
    assert code(house.join(guest, network)) == Code.DENIED


def test_everything_of_the_node_stays(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network, endpoints=("192.0.2.1:5",))
    house.do("member.set", network="home", member="n1", notes="rack 7", roles=["transit"])
    shown = house.do("member.show", network="home", member="n1")[0]
    before = house.membership(house.join(guest, network))
    after = rotated(house, guest)
    now = house.membership(house.join(after, network))
    kept = house.do("member.show", network="home", member="n1")[0]

    same = ("address", "name", "ip", "notes", "roles", "state", "created", "authorized_by")
    assert {key: kept[key] for key in same} == {key: shown[key] for key in same}
    assert kept["key"] == after.key.hex()
    assert (now.node, now.wireguard, now.addresses) == (
        after.key,
        before.wireguard,
        before.addresses,
    )
    assert now.serial > before.serial
    assert house.count("node") == house.count("member") == 1
    assert [row.action for row in house.audit("node.rotated")] == ["node.rotated"]


def test_peers_learn_the_new_key_at_once_and_that_the_old_is_void(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    before = house.membership(house.join(guest, network))
    house.pushed(peer)
    house.later(3)
    after = rotated(house, guest)
    (rows,) = house.pushed_rows(peer)

    assert rows.gone == (guest.key,)
    told = read_unverified(rows.rows[0].membership, Membership)
    assert (told.node, told.wireguard) == (after.key, guest.wireguard)
    floors = {floor.node: floor.serial for floor in house.state(rows).floors}
    assert floors[guest.key] > before.serial
    assert after.key not in floors


def test_whoever_was_away_and_a_controller_that_started_anew_know_only_the_new_key(
    house: House,
) -> None:
    network = house.network()
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    held = house.registry.networks[1].revision
    after = rotated(house, guest)
    house.reopen()
    house.hello(peer)
    rows = fetched(house, peer, network, held)

    nodes = [read_unverified(row.membership, Membership).node for row in rows.rows]
    assert nodes == [after.key]
    assert (
        rows.rows[0].address == house.do("member.show", network="home", member="n1")[0]["address"]
    )
    full = fetched(house, peer, network)
    assert {read_unverified(r.membership, Membership).node for r in full.rows} == {
        after.key,
        peer.key,
    }


def test_a_lost_answer_is_asked_for_again_by_either_key(house: House) -> None:
    house.network()
    guest = house.enrol(house.network("other", ipv4="10.10.0.0/16"))
    after = successor(house, guest)
    for _ in range(2):
        assert isinstance(name(house, guest, after.key), Done)
    assert len(house.audit("node.rotate")) == 1
    house.reopen()
    house.hello(after)
    house.hello(after)

    assert isinstance(name(house, after, after.key), Done)
    assert len(house.audit("node.rotate")) == len(house.audit("node.rotated")) == 1


def test_a_key_that_was_named_and_never_used_can_be_replaced(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    first, second = successor(house, guest), successor(house, guest)
    name(house, guest, first.key)
    name(house, guest, second.key)

    assert [let_in(house, g.key)[:2] for g in (first, second)] == ["", "n:"]
    assert code(house.hello(first)) == Code.DENIED


def test_nobody_names_a_key_that_is_anothers(house: House) -> None:
    network = house.network()
    guest, other = house.enrol(network), house.enrol(network, name="n2")
    token, next_of_other = house.token(), successor(house, other)
    name(house, other, next_of_other.key)

    for key in (other.key, token, next_of_other.key):
        assert code(name(house, guest, key)) == Code.CONFLICT
    assert isinstance(house.hello(next_of_other), Welcome)
    assert isinstance(house.hello(guest), Welcome)


def test_nobody_names_a_key_of_low_order(house: House) -> None:
    guest = house.enrol(house.network())
    refused = name(house, guest, bytes(32))

    assert code(refused) == Code.BAD_REQUEST
    assert "cannot use this node key: " in str(refused)
    assert let_in(house, bytes(32)) == ""
    assert house.audit("node.rotate") == []


def test_a_banned_node_gets_in_by_no_next_key(house: House) -> None:
    guest = house.enrol(house.network())
    after = successor(house, guest)
    name(house, guest, after.key)
    house.do("member.ban", network="home", member="n1")

    assert let_in(house, after.key) == ""
    assert code(house.hello(after)) == Code.BANNED
    house.do("member.unban", network="home", member="n1")
    assert isinstance(house.hello(after), Welcome)


def test_the_old_connection_is_ended_and_a_copy_of_the_old_disk_is_out(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.pushed(guest)
    after = rotated(house, guest)
    told = [r for r in house.pushed(guest) if isinstance(r, Refused)]

    assert [r.code for r in told] == [Code.DENIED]
    assert house.sessions.get(guest.key) is None
    assert house.sessions.get(after.key) is not None
    assert code(house.hello(guest)) == Code.DENIED


def test_a_transit_member_carries_on_under_its_new_key(house: House) -> None:
    network = house.network()
    transit = house.enrol(
        network, house.token(roles=["transit"]), name="t", endpoints=("192.0.2.1:5",)
    )
    hidden = house.enrol(network, name="h")
    assert house.membership(house.join(hidden, network)).via == transit.key
    after = transit
    for _ in range(6):  # which of two keys a choice falls on must not matter
        after = rotated(house, after)
        entry = house.registry.netmap(1).entry(hidden.key)
        assert entry is not None
        assert entry.member.via == after.key  # without a word of the hidden one
    house.reopen()
    assert house.membership(house.join(hidden, network)).via == after.key


def test_a_hub_keeps_its_view_under_its_new_key(house: House) -> None:
    network = house.network()
    house.do("network.set", network="home", topology="hub")
    hub = house.enrol(network, house.token(roles=["hub"]), name="hub")
    spoke = house.enrol(network, name="spoke")
    house.pushed(spoke)
    house.later(3)
    held = house.registry.networks[1].revision
    after = rotated(house, hub)
    rows = house.pushed_rows(spoke)
    house.join(after, network)

    nodes = [read_unverified(r.membership, Membership).node for piece in rows for r in piece.rows]
    assert after.key in nodes
    assert hub.key not in nodes
    full = fetched(house, after, network)
    assert len(full.rows) == 2
    assert not fetched(house, after, network, held).full  # what it held is good


def test_rotation_and_a_join_in_one_batch(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    after = successor(house, guest)
    name(house, guest, after.key)
    from protocol.messages import WIRE_VERSION, Hello, Join

    user = f"n:{after.key.hex()}"
    hello = Hello(house.number(), WIRE_VERSION, "n1", "0.1.0", "linux", 1, 0)
    join = Join(house.number(), network, after.wireguard, (), (4,), 51820)
    house.sent.clear()
    house.take(user, after.routing, hello)
    house.take(user, after.routing, join)
    house.work()

    assert [type(r).__name__ for to, r in house.sent if to == after.routing and r.id] == [
        "Welcome",
        "Joined",
    ]


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("controller")) as one:
        yield one


def test_over_real_connections_with_a_kill_between_the_steps(controller: Controller) -> None:
    network = controller.network("turn", ipv4="10.9.0.0/24")
    node = controller.node(network, "n1").enrol(network)
    peer = controller.node(network, "n2").enrol(network)
    before, old = node.membership, (node.key, node.secret)
    assert before is not None
    public, secret = new_curve_pair()
    line = node.connect()
    assert isinstance(line.ask(Rotate(line.id(), bytes(public))), Done)
    controller.kill()
    controller.start()
    node.close()
    node.key, node.secret = public, secret
    assert isinstance(node.hello(), Welcome)
    controller.kill()
    controller.start()
    node.close()
    assert isinstance(node.hello(), Welcome)
    assert isinstance(node.join(network), Joined)
    peer.close()
    peer.hello()
    peer.fetch(network)

    assert node.membership is not None
    assert (node.membership.node, node.membership.wireguard) == (bytes(public), before.wireguard)
    assert node.membership.addresses == before.addresses
    assert set(peer.peers) == {bytes(public), bytes(peer.key)}
    node.close()
    node.key, node.secret = old
    with pytest.raises(RefusalError):
        node.hello()
    node.close()
    node.key, node.secret = public, secret
    node.hello()
    assert isinstance(node.refresh(network), Unchanged | Joined)


def test_a_replaced_key_that_comes_again_as_another_node_is_believed(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network), house.enrol(network, name="peer")
    rotated(house, guest)
    again = replace(guest, routing=b"again", wireguard=bytes(new_curve_pair()[0]))
    assert isinstance(house.admit(house.token(), again), Done)
    assert isinstance(house.hello(again), Welcome)
    joined = house.join(again, network)
    assert isinstance(joined, Joined)
    floors = {floor.node: floor.serial for floor in house.state(joined).floors}
    seen = {
        read_unverified(row.membership, Membership).node for row in rows_of(house, peer, network)
    }

    assert house.membership(joined).serial >= floors[guest.key]
    assert guest.key in seen


def rows_of(house: House, guest: Guest, network: str) -> tuple[Row, ...]:
    return fetched(house, guest, network).rows

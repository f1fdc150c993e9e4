"""Members behind the head are told, in order, once, and never more than they can take."""

from protocol.messages import Ack, FetchRows, Joined, Rows, encode
from protocol.signed import read_unverified
from protocol.statements import Membership
from tests.controller.house import Guest, House


def acknowledge(house: House, guest: Guest, network: str) -> list[Rows]:
    rows = house.pushed_rows(guest)
    if rows:
        house.say(guest, Ack(network, rows[-1].revision))
    return rows


def test_a_newcomer_is_pushed_to_those_who_are_there(house: House) -> None:
    """D1: at once, to whoever is connected."""
    network = house.network()
    first = house.enrol(network)
    house.pushed(first)
    house.later(1)
    second = house.enrol(network, name="n2")
    pushed = house.pushed_rows(first)

    assert [row.name for rows in pushed for row in rows.rows] == ["n2"]
    assert pushed[-1].revision == house.registry.networks[1].revision
    assert house.pushed_rows(second) == []


def test_a_join_is_as_many_bytes_to_each_however_many_there_are(house: House) -> None:
    """D2: the row of the newcomer, hidden and relayed as all of them are, and nothing beside it."""
    network = house.network()
    house.enrol(
        network,
        house.token(roles=["transit"]),
        name="transit",
        endpoints=("192.0.2.1:51820", "[2001:db8::1]:51820"),
        families=(4, 6),
    )
    first = house.enrol(network, name="hidden")
    sizes = []
    for count in (1, 40):
        for number in range(count):
            house.enrol(network, name=f"m{count}{number}")
        house.say(first, Ack(network, house.registry.networks[1].revision))
        house.pushed(first)
        house.later(1)
        house.enrol(network, name=f"newcomer{count:02}")
        house.later(0.05)
        house.work()
        (told,) = house.pushed_rows(first)
        assert [row.name for row in told.rows] == [f"newcomer{count:02}"]
        assert house.pushed(first) == []
        sizes.append(len(encode(told)))

    assert abs(sizes[1] - sizes[0]) < 8  # numbers that have grown
    assert sizes[1] < 512


def test_a_newcomer_gets_its_netmap_only_after_its_peers_were_told(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.enrol(network, name="n2")  # so that the push for the next is put off a little
    acknowledge(house, first, network)
    late = house.guest("late")
    house.admit(house.token(), late)
    house.hello(late)
    assert isinstance(house.join(late, network), Joined)
    acknowledge(house, first, network)
    late.endpoints = ("192.0.2.1:1",)
    assert isinstance(house.join(late, network), Joined)  # within the time that changes gather
    house.sent.clear()
    house.say(late, FetchRows(house.number(), network, 0))
    assert house.sent == []
    house.later(0.05)
    house.work()

    order = [routing for routing, _ in house.sent]
    assert order.index(first.routing) < order.index(late.routing)


def test_changes_while_a_push_is_under_way_gather_and_come_together(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.pushed(first)
    for number in range(5):
        house.later(0.1)
        house.enrol(network, name=f"m{number}")
    one = house.pushed_rows(first)
    house.say(first, Ack(network, one[-1].revision))
    rest = house.pushed_rows(first)

    assert [row.name for row in one[0].rows] == ["m0"]
    assert len(one) == 1
    assert [row.name for rows in rest for row in rows.rows] == ["m1", "m2", "m3", "m4"]


def test_a_push_that_nobody_acknowledged_is_repeated(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.pushed(first)
    house.later(1)
    house.enrol(network, name="n2")
    assert len(house.pushed_rows(first)) == 1
    house.later(1)
    house.work()
    assert house.pushed_rows(first) == []
    house.later(2.5)
    house.work()

    assert [row.name for rows in house.pushed_rows(first) for row in rows.rows] == ["n2"]


def test_who_takes_nothing_is_left_behind_and_catches_up(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.deaf.add(first.routing)
    house.later(1)
    house.enrol(network, name="n2")
    house.enrol(network, name="n3")
    assert house.pushed_rows(first) == []
    house.deaf.clear()
    house.later(3)
    house.work()

    assert [row.name for rows in house.pushed_rows(first) for row in rows.rows] == ["n2", "n3"]


def test_pushes_go_to_the_newest_connection_of_a_node(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    old = first.routing
    first.routing = b"new"
    house.hello(first)
    house.fetch(first, network)
    house.say(first, Ack(network, house.registry.networks[1].revision))
    house.sent.clear()
    house.later(1)
    house.enrol(network, name="n2")
    to = [routing for routing, reply in house.sent if isinstance(reply, Rows)]

    assert set(to) == {b"new"}
    assert old not in to


def test_the_old_connection_of_a_node_moves_nothing(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    head = house.registry.networks[1].revision
    first.routing = b"new"
    house.hello(first)
    house.take(f"n:{first.key.hex()}", b"route1", Ack(network, head))
    house.work()
    session = house.sessions.get(first.key)

    assert session is not None
    assert session.watches == {}


def test_an_unacknowledged_snapshot_is_not_pushed_beside(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.fetch(first, network)
    house.later(0.1)
    house.enrol(network, name="n2")

    assert house.pushed_rows(first) == []
    house.say(first, Ack(network, 1))
    assert len(house.pushed_rows(first)) == 1


def test_a_fetch_that_brought_nothing_holds_no_push_back(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.fetch(first, network, revision=house.registry.networks[1].revision)
    house.later(0.1)
    house.enrol(network, name="n2")

    assert len(house.pushed_rows(first)) == 1


def test_hidden_members_are_relayed_as_soon_as_a_transit_is_there(house: House) -> None:
    network = house.network()
    hidden = house.enrol(network, name="hidden")
    assert house.membership(house.join(hidden, network)).via == b""
    house.pushed(hidden)
    house.later(1)
    transit = house.enrol(
        network,
        house.token(roles=["transit"]),
        name="transit",
        endpoints=("192.0.2.1:51820", "[2001:db8::1]:51820"),
        families=(4, 6),
    )
    rows = house.pushed_rows(hidden)[0]
    told = [read_unverified(row.membership, Membership) for row in rows.rows]

    assert {one.node: one.via for one in told} == {hidden.key: transit.key, transit.key: b""}
    assert rows.state is None
    house.reopen()
    house.hello(hidden)
    again = house.membership(house.join(hidden, network))
    assert again == next(one for one in told if one.node == hidden.key)


def test_a_change_of_settings_is_pushed_to_all(house: House) -> None:
    network = house.network()
    first = house.enrol(network)
    house.pushed(first)
    house.do("network.set", network="home", dns=["192.0.2.53"])
    told = [m for m in house.pushed(first) if isinstance(m, Joined)]

    assert told[0].settings.dns == ("192.0.2.53",)
    assert told[0].network == network


def test_whoever_lost_its_place_is_told_of_no_peer_any_more(house: House) -> None:
    network = house.network()
    house.enrol(network)
    outcast = house.enrol(network, name="outcast")
    house.do("member.deauthorize", network="home", member="outcast")
    house.pushed(outcast)
    house.later(1)
    house.enrol(network, name="secret")
    house.say(outcast, Ack(network, 1))
    house.later(5)
    house.work()

    assert house.pushed(outcast) == []


def test_somebody_who_holds_more_than_there_is_gets_all_anew(house: House) -> None:
    """The database was restored from a backup."""
    network = house.network()
    house.enrol(network)
    ahead = house.enrol(network, name="ahead")
    house.pushed(ahead)
    house.say(ahead, Ack(network, 1_000_000))
    told = house.pushed_rows(ahead)

    assert told[0].full
    assert len(told[0].rows) == 2

"""Topologies: a mesh has a limit, a hub network shows each member what it may see."""

from protocol.messages import Ack, Code, Joined, Refused, Rows, Unchanged
from protocol.signed import read_unverified
from protocol.statements import Membership
from tests.controller.house import Guest, House


def names(rows: list[Rows]) -> list[str]:
    return [row.name for one in rows for row in one.rows]


def everything(house: House, guest: Guest, network: str, revision: int = 0) -> Rows:
    rows = house.fetch(guest, network, revision)
    assert isinstance(rows, Rows)
    assert not rows.more
    house.say(guest, Ack(network, rows.revision))
    return rows


def settle(house: House, *guests: Guest) -> None:
    """They hold everything, and what they were told is forgotten."""
    head = house.registry.networks[1].revision
    for guest in guests:
        house.say(guest, Ack(house.registry.network_id(1), head))
        house.pushed(guest)
    house.later(1)


def hub_network(house: House) -> str:
    return house.network(topology="hub")


def test_a_mesh_refuses_one_member_too_many_and_says_what_to_do(house: House) -> None:
    network = house.network(mesh_max=2)
    first = house.enrol(network)
    house.enrol(network, name="n2")
    third = house.guest("n3")
    house.admit(house.token(), third)
    house.hello(third)
    refused = house.join(third, network)

    assert isinstance(refused, Refused)
    assert refused.code == Code.MESH_FULL
    assert "--topology hub" in refused.hint
    assert "--mesh-max" in refused.hint
    assert len(house.registry.netmap(1).everybody or ()) == 2
    first.endpoints = ("192.0.2.1:1",)
    assert isinstance(house.join(first, network), Joined)  # who is in may change
    house.leave(first, network)
    assert isinstance(house.join(third, network), Joined)
    house.reopen()
    house.hello(first)
    assert isinstance(house.join(first, network), Refused)
    house.do("network.set", network="home", mesh_max=3)
    assert isinstance(house.join(first, network), Joined)


def test_a_mesh_counts_those_who_join_in_one_batch(house: House) -> None:
    network = house.network(mesh_max=3)
    guests = [house.guest(f"n{i}") for i in range(5)]
    for guest in guests:
        house.admit(house.token(), guest)
        house.hello(guest)
    house.sent.clear()
    for guest in guests:
        house.take(f"n:{guest.key.hex()}", guest.routing, house.joining(guest, network))
    house.work()
    answers = [reply for _, reply in house.sent if reply.id]

    assert sum(isinstance(reply, Joined) for reply in answers) == 3
    assert sum(isinstance(reply, Refused) for reply in answers) == 2


def test_a_hub_network_has_no_such_limit(house: House) -> None:
    network = house.network(topology="hub", mesh_max=2)
    for number in range(4):
        house.enrol(network, name=f"n{number}")

    assert house.count("member") == 4


def test_a_hub_may_carry_the_ranges_of_the_network_and_nobody_else_may(house: House) -> None:
    network = house.network(topology="hub", ipv6="fd09::/64")
    hub = house.enrol(network, house.token(roles=["hub"]), name="hub")
    spoke = house.enrol(network, name="spoke")
    carried = house.membership(house.join(hub, network)).relayed

    assert [str(prefix) for prefix in carried] == ["10.9.0.0/16", "fd09::/64"]
    assert house.membership(house.join(spoke, network)).relays == ()

    mesh = house.network("mesh", ipv4="10.8.0.0/16")
    in_mesh = house.enrol(mesh, house.token("mesh", roles=["hub"]), name="hub")
    assert house.membership(house.join(in_mesh, mesh)).relays == ()


def test_a_spoke_is_told_of_hubs_only_and_a_hub_of_everybody(house: House) -> None:
    """D1, D2: what a spoke does is pushed to the hubs, and to no other spoke."""
    network = hub_network(house)
    hub = house.enrol(network, house.token(roles=["hub"]), name="hub")
    first = house.enrol(network, name="first")
    assert names([everything(house, first, network)]) == ["hub", "first"]
    settle(house, hub)
    second = house.enrol(network, name="second")
    house.later(3)
    house.work()

    assert set(names(house.pushed_rows(hub))) == {"second"}
    assert house.pushed_rows(first) == []
    assert names([everything(house, second, network)]) == ["hub", "second"]
    hub.endpoints = ("192.0.2.1:1",)
    house.join(hub, network)
    house.later(1)
    house.work()
    assert names(house.pushed_rows(first)) == ["hub"]
    assert names(house.pushed_rows(second)) == ["hub"]


def test_a_change_of_the_role_changes_the_view(house: House) -> None:
    network = hub_network(house)
    house.enrol(network, house.token(roles=["hub"]), name="hub")
    spoke = house.enrol(network, name="spoke")
    other = house.enrol(network, name="other")
    held = everything(house, spoke, network).revision
    house.later(1)
    house.do("member.set", network="home", member="spoke", roles=["hub"])
    told = house.pushed_rows(spoke)
    house.say(spoke, Ack(network, told[-1].revision))

    assert told[0].full
    assert set(names(told)) == {"hub", "spoke", "other"}
    assert set(names(house.pushed_rows(other))) == {"hub", "spoke"}
    assert everything(house, spoke, network, held).full  # as if it had been away
    house.reopen()
    house.hello(spoke)
    assert everything(house, spoke, network, held).full
    assert not everything(house, spoke, network, told[-1].revision).full

    settle(house, spoke)
    house.do("member.set", network="home", member="spoke", roles=[])
    back = house.pushed_rows(spoke)
    assert back[-1].full
    assert names(back) == ["hub", "spoke"]


def test_an_old_certificate_of_a_hub_is_void_when_it_is_none_any_more(house: House) -> None:
    network = hub_network(house)
    hub = house.enrol(network, house.token(roles=["hub"]), name="hub")
    spoke = house.enrol(network, name="spoke")
    old = house.membership(house.join(hub, network))
    settle(house, spoke)
    house.do("member.set", network="home", member="hub", roles=[])
    state = house.state(house.pushed_rows(spoke)[-1])

    assert [(f.node, f.serial > old.serial) for f in state.floors] == [(hub.key, True)]
    new = house.join(hub, network)
    assert house.membership(new).serial == state.floors[0].serial
    assert house.membership(new).relays == ()


def test_a_floor_of_a_spoke_is_no_news_to_the_others(house: House) -> None:
    network = hub_network(house)
    hub = house.enrol(network, house.token(roles=["hub"]), name="hub")
    first, second = house.enrol(network, name="first"), house.enrol(network, name="second")
    joined = house.join(first, network)
    assert isinstance(joined, Joined)
    for guest in (hub, first, second):
        house.pushed(guest)
    house.do("member.ban", network="home", member="second")
    house.later(3)
    house.work()

    assert house.pushed(first) == []
    assert isinstance(house.refresh(first, network, joined), Unchanged)
    farewell = house.pushed_rows(second)[-1]
    assert farewell.gone == (second.key,)
    assert [f.node for f in house.state(farewell).floors] == [second.key]
    assert [f.node for f in house.state(house.pushed_rows(hub)[-1]).floors] == [second.key]


def test_who_was_away_from_a_spokes_place_finds_a_state_that_is_not_older(house: House) -> None:
    network = hub_network(house)
    house.enrol(network, house.token(roles=["hub"]), name="hub")
    spoke = house.enrol(network, name="spoke")
    house.do("member.deauthorize", network="home", member="spoke")
    farewell = house.state(house.pushed_rows(spoke)[-1])
    house.do("member.authorize", network="home", member="spoke")
    back = house.join(spoke, network)
    assert isinstance(back, Joined)
    state = house.state(back)

    ages = [(s.incarnation, s.epoch, s.issued_at) for s in (farewell, state)]
    assert ages == sorted(ages)
    assert house.membership(back).serial >= farewell.floors[0].serial
    assert isinstance(house.refresh(spoke, network, back), Unchanged)


def test_a_network_that_becomes_a_hub_tells_everybody_anew(house: House) -> None:
    network = house.network()
    hub = house.enrol(network, house.token(roles=["hub"]), name="hub")
    spokes = [house.enrol(network, name=f"s{i}") for i in range(2)]
    settle(house, hub, *spokes)
    house.do("network.set", network="home", topology="hub")
    told = house.pushed_rows(spokes[0])
    certificates = [
        read_unverified(row.membership, Membership)
        for rows in house.pushed_rows(hub)
        for row in rows.rows
    ]

    assert told[-1].full
    assert names(told) == ["hub"]
    assert len(certificates) == 3
    assert [bool(c.relays) for c in certificates if c.node == hub.key] == [True]
    settle(house, spokes[0])
    house.do("network.set", network="home", topology="mesh")
    again = house.pushed_rows(spokes[0])
    assert again[-1].full
    assert sorted(names(again)) == ["hub", "s0", "s1"]


def test_hidden_members_get_their_transit_back_when_a_network_is_a_mesh_again(
    house: House,
) -> None:
    network = house.network()
    transit = house.enrol(
        network,
        house.token(roles=["transit"]),
        name="transit",
        endpoints=("192.0.2.1:1", "[2001:db8::1]:1"),
        families=(4, 6),
    )
    hidden = house.enrol(network, name="hidden")
    for topology, via in (("hub", b""), ("mesh", transit.key)):
        house.do("network.set", network="home", topology=topology)

        assert house.membership(house.join(hidden, network)).via == via

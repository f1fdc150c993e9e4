"""A full pool: the address of who was silent longest goes to the newcomer, and no other."""

from ipaddress import ip_address

import pytest

from controller.addresses.fixed import change_fixed
from controller.store.model import NODE
from controller.store.records import sixteen
from protocol.messages import Code, Joined, Refused, Reply
from tests.controller.house import Guest, House

AWAY = 31 * 24 * 3600.0  # seconds


def fill(house: House, *names: str) -> list[Guest]:
    """A /29 has five addresses: its members came a second after each other."""
    guests = []
    for name in names:
        house.later(1)
        guests.append(house.enrol(house.network(ipv4="10.9.0.0/29"), name=name))
    return guests


def go_away(house: House, *guests: Guest) -> None:
    """All sessions end and the last word of each is written, as the loop does."""
    for guest in guests:
        house.sessions.end(guest.key)
    keep_seen(house)
    house.later(AWAY)


def keep_seen(house: House) -> None:
    connection = house.registry.connection
    for node, (at, _) in house.desk.seen.items():
        connection.execute(NODE.update().where(NODE.c.id == node).values(last_seen=at))
    connection.commit()
    house.desk.seen.clear()


def knock(house: House, name: str = "late") -> tuple[Guest, Reply]:
    late = house.guest(name)
    house.admit(house.token(ttl=3 * 86400), late)
    house.hello(late)
    return late, house.join(late, house.network())


def code(reply: Reply) -> str:
    return reply.code if isinstance(reply, Refused) else "joined"


def test_the_longest_silent_give_way_one_after_the_other(house: House) -> None:
    """I10: least recently used first, audited, the identity kept."""
    guests = fill(house, "a", "b", "c", "d", "e")
    network = house.network()
    before = [house.addresses(house.join(guest, network)) for guest in guests]
    go_away(house, *guests)
    late, reply = knock(house, "late")
    later, second = knock(house, "later")
    house.check_addresses()

    assert house.addresses(reply) == before[0]
    assert house.addresses(second) == before[1]
    said = [e for e in house.notes() if e.action == "address.reclaim"]
    nodes = [item["address"] for item in house.do("member.list", network="home")]
    assert len(nodes) == 7
    first = before[0][0].partition("/")[0]
    assert said[0].actor == "controller"
    assert said[0].detail.startswith(f"{first} goes to ")
    assert "last seen 20" in said[0].detail
    assert len(said) == 2
    for guest in (late, later):
        house.sessions.end(guest.key)


def test_who_lost_its_address_is_a_member_still_and_comes_back_with_another(house: House) -> None:
    """I10: identity kept; its old certificate is void."""
    guests = fill(house, "a", "b", "c", "d", "e")
    network = house.network()
    old = house.membership(house.join(guests[0], network))
    go_away(house, *guests)
    _, reply = knock(house)
    assert isinstance(reply, Joined)
    floors = {floor.node: floor.serial for floor in house.state(reply).floors}
    house.do("member.forget", network="home", member="e")
    house.later(24 * 3600 + 1)
    house.hello(guests[0])
    back = house.membership(house.join(guests[0], network))

    assert floors == {guests[0].key: old.serial + 1}
    assert back.addresses != old.addresses
    assert back.serial > floors[guests[0].key]
    house.check_addresses()


def test_no_address_of_a_node_that_is_connected_goes(house: House) -> None:
    """I10: never an online node's, be its last word only in memory."""
    guests = fill(house, "a", "b", "c", "d", "e")
    network = house.network()
    last = house.addresses(house.join(guests[-1], network))
    go_away(house, *guests)
    for guest in guests[:-1]:
        house.hello(guest)  # a session each; on the disk they are silent for a month
    house.sessions.end(guests[0].key)  # gone again: its last word is in memory only
    _, reply = knock(house)
    _, refused = knock(house, "one more")

    assert house.addresses(reply) == last
    assert len([e for e in house.notes() if e.action == "address.reclaim"]) == 1
    assert code(refused) == Code.POOL_EXHAUSTED
    house.check_addresses()


def test_only_those_who_got_it_by_themselves_lose_their_address(house: House) -> None:
    """I10: a fixed one stays, however long its holder is silent; the next in line goes."""
    guests = fill(house, "a", "b", "c", "d", "e")
    network = house.network()
    before = [house.addresses(house.join(guest, network)) for guest in guests]
    go_away(house, *guests)
    for number, kind in ((0, "manual"), (1, "reserved")):
        address = sixteen(ip_address(before[number][0].partition("/")[0]))
        house.edit("UPDATE assignment SET kind = ? WHERE address = ?", kind, address)
    _, reply = knock(house)

    assert house.addresses(reply) == before[2]
    house.check_addresses()


def test_an_address_that_was_fixed_since_it_was_found_idle_stays(house: House) -> None:
    guests = fill(house, "a", "b", "c", "d", "e")
    network = house.network()
    before = [house.addresses(house.join(guest, network)) for guest in guests]
    go_away(house, *guests)
    first, _ = knock(house)  # from here on it is known who is idle
    address = before[1][0].partition("/")[0]
    house.edit(
        "UPDATE assignment SET kind = 'manual' WHERE address = ?", sixteen(ip_address(address))
    )
    _, reply = knock(house, "later")

    assert house.addresses(house.join(first, network)) == before[0]
    assert house.addresses(reply) == before[2]


@pytest.mark.parametrize("case", ["young", "never", "manual", "management", "just started"])
def test_what_is_not_to_go_stays(house: House, case: str) -> None:
    """I10: only past the grace; not what somebody fixed, not the management member's."""
    guests = fill(house, "a", "b", "c", "d", "e")
    go_away(house, *guests)
    match case:
        case "young":
            house.do("network.set", network="home", reclaim_after=40 * 86400)
        case "never":
            house.do("network.set", network="home", reclaim_after=0)
        case "manual":
            house.edit("UPDATE assignment SET kind = 'manual'")
        case "management":
            house.do("member.set", network="home", member="a", roles=["management"])
            for guest in guests[1:]:
                house.hello(guest)  # none of the others is silent
        case "just started":
            house.reopen()
        case _:
            raise AssertionError(case)
    _, refused = knock(house)

    assert code(refused) == Code.POOL_EXHAUSTED
    assert [e for e in house.notes() if e.action == "address.reclaim"] == []
    house.check_addresses()
    if case == "just started":
        house.later(3601)
        assert code(knock(house, "in an hour")[1]) == "joined"  # the others would have come back


def test_a_pool_where_nobody_is_idle_is_looked_through_once_a_minute(house: House) -> None:
    guests = fill(house, "a", "b", "c", "d", "e")
    house.later(3601)
    looks = []
    house.registry.connection.connection.driver_connection.set_trace_callback(  # type: ignore[union-attr]
        lambda sql: looks.append(sql) if "last_seen <=" in sql else None
    )
    for number in range(5):
        assert code(knock(house, f"late {number}")[1]) == Code.POOL_EXHAUSTED
    house.later(61)
    knock(house, "a minute later")

    assert len(looks) == 2
    assert len(guests) == 5


def test_both_families_or_no_loser(house: House) -> None:
    """Nobody loses an IPv4 address to a newcomer who finds no IPv6 one."""
    network = house.network(ipv4="10.9.0.0/30", ipv6="fd00::/126")
    first = house.enrol(network, name="first")
    second = house.guest("second")
    with house.registry.connection.begin():
        node = house.registry.work(house.now_ms).node(first.key)
    assert node is not None
    wanted = [ip_address("fd00::2"), ip_address("fd00::3")]
    house.desk.transact(
        lambda work: change_fixed(house.registry.book, work, 1, node.id, wanted),
        house.now_ms,
        house.now,
    )
    go_away(house, first)
    house.admit(house.token(ttl=3 * 86400), second)
    house.hello(second)
    refused = house.join(second, network)

    assert code(refused) == Code.POOL_EXHAUSTED
    assert [e for e in house.notes() if e.action == "address.reclaim"] == []
    house.check_addresses()

"""Join, refresh and leave: addresses stick, the serial rises only with the content."""

from typing import Any

import msgspec
import pytest

from controller.members.certificate import clean_endpoints
from controller.refusal import RefusedError
from protocol.messages import (
    Code,
    Done,
    Hello,
    Join,
    Joined,
    Leave,
    Refused,
    Rows,
    Unchanged,
    Waiting,
    Welcome,
)
from tests.controller.house import DAY_MS, House


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    return reply.code


def test_joining_twice_gives_the_same_certificate(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network)
    first, second = house.join(guest, network), house.join(guest, network)

    assert house.membership(first) == house.membership(second)
    assert len(house.addresses(first)) == 2
    assert house.count("assignment") == 2


def test_the_certificate_is_the_same_after_a_restart(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network)
    before = house.join(guest, network)
    house.reopen()
    house.hello(guest)
    after = house.join(guest, network)

    assert isinstance(before, Joined)
    assert isinstance(after, Joined)
    assert after.membership == before.membership
    assert after.state == before.state


def test_a_new_wireguard_key_raises_the_serial_and_keeps_the_addresses(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    before = house.membership(house.join(guest, network))
    guest.wireguard = b"k" * 32
    after = house.membership(house.join(guest, network))

    assert after.serial == before.serial + 1
    assert after.addresses == before.addresses
    assert after.wireguard == b"k" * 32


def test_new_endpoints_change_the_row_and_not_the_certificate(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network), house.enrol(network)
    before = house.membership(house.join(guest, network))
    house.pushed(peer)
    house.later(1)
    guest.endpoints = ("192.0.2.1:51820", "[2001:db8::1]:51820")
    after = house.membership(house.join(guest, network))

    assert after == before
    assert house.pushed_rows(peer)[0].rows[0].endpoints == guest.endpoints


def test_the_wireguard_key_of_another_member_is_a_conflict(house: House) -> None:
    network = house.network()
    first, second = house.enrol(network), house.guest("n2")
    house.admit(house.token(), second)
    house.hello(second)
    second.wireguard = first.wireguard

    assert code(house.join(second, network)) == Code.CONFLICT
    second.wireguard = b"o" * 32
    assert isinstance(house.join(second, network), Joined)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(30) + b"\x80"])
def test_a_wireguard_key_of_low_order_is_refused_in_join_and_refresh(
    house: House, key: bytes
) -> None:
    network = house.network()
    guest = house.enrol(network)
    joined, own = house.join(guest, network), guest.wireguard
    assert isinstance(joined, Joined)
    guest.wireguard = key
    answers = [house.join(guest, network), house.refresh(guest, network, joined)]

    for refused in answers:
        assert code(refused) == Code.BAD_REQUEST
        assert "cannot use this WireGuard key: " in str(refused)
    guest.wireguard = own
    assert house.membership(house.join(guest, network)) == house.membership(joined)


def test_who_walks_into_a_public_network_with_a_key_of_low_order_leaves_no_trace(
    house: House,
) -> None:
    guest = house.enrol(house.network())
    other = house.network("other", ipv4="10.10.0.0/16")
    house.do("network.set", network="other", private=False)
    own, guest.wireguard = guest.wireguard, bytes(32)

    assert code(house.join(guest, other)) == Code.BAD_REQUEST
    assert house.count("member") == 1
    guest.wireguard = own
    assert isinstance(house.join(guest, other), Joined)
    assert house.count("member") == 2


def test_a_refresh_without_change_looks_into_no_database(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    assert isinstance(house.refresh(guest, network, joined), Unchanged)
    house.registry.connection.close()  # from here on a look would raise

    assert isinstance(house.refresh(guest, network, joined), Unchanged)
    house.reopen()


def test_a_refresh_from_behind_is_told_what_is(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    house.do("member.set", network="home", member="n1", roles=["transit"])
    again = house.refresh(guest, network, joined)

    assert house.membership(again).roles == ("transit",)
    assert house.membership(again).serial == house.membership(joined).serial + 1


def test_a_certificate_with_a_life_is_renewed_at_half_of_it_with_the_same_serial(
    house: House,
) -> None:
    network = house.network()
    house.do("network.set", network="home", life=2 * 24 * 3600)
    guest = house.enrol(network)
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    first = house.membership(joined)
    assert first.not_after == first.issued_at + 2 * DAY_MS
    house.later(23 * 3600)
    assert isinstance(house.refresh(guest, network, joined), Unchanged)
    house.later(2 * 3600)
    renewed = house.membership(house.refresh(guest, network, joined))

    assert renewed.serial == first.serial
    assert renewed.not_after == house.now_ms + 2 * DAY_MS


def test_a_network_of_another_controller_is_not_found(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)

    assert code(house.join(guest, "0123456789" + network[10:])) == Code.NOT_FOUND
    assert code(house.join(guest, network[:10] + "ffffff")) == Code.NOT_FOUND


def test_a_node_joins_only_where_it_was_admitted_unless_the_network_is_public(
    house: House,
) -> None:
    house.network("home")
    other = house.network("other", ipv4="10.10.0.0/16")
    guest = house.enrol(house.network("home"))
    assert code(house.join(guest, other)) == Code.NOT_FOUND
    house.do("network.set", network="other", private=False)

    assert isinstance(house.join(guest, other), Joined)


def test_a_node_that_finds_no_place_in_a_public_network_is_no_member_of_it(house: House) -> None:
    """Not even one that an operator could see, or that would be welcomed there."""
    house.network("home")
    guest = house.enrol(house.network("home"))
    other = house.network("other", ipv4="10.10.0.0/16", private=False, mesh_max=2)
    for name in ("a", "b"):
        house.enrol(other, house.token("other"), name=name)
    refused = house.join(guest, other)
    welcome = house.hello(guest)

    assert code(refused) == Code.MESH_FULL
    assert isinstance(welcome, Welcome)
    assert other not in welcome.networks
    assert {m["name"] for m in house.do("member.list", network="other")} == {"a", "b"}
    house.do("network.set", network="other", mesh_max=3)
    assert isinstance(house.join(guest, other), Joined)


def test_who_leaves_is_gone_for_the_others_and_may_come_back_to_its_address(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    before = house.membership(house.join(guest, network))
    house.pushed(peer)
    house.later(1)
    assert isinstance(house.leave(guest, network), Done)
    pushed = house.pushed_rows(peer)
    welcome = house.hello(guest)

    assert pushed[0].gone == (guest.key,)
    floors = {floor.node: floor.serial for floor in house.state(pushed[0]).floors}
    assert floors == {guest.key: before.serial + 1}
    assert isinstance(welcome, Welcome)
    assert welcome.networks == ()
    after = house.membership(house.join(guest, network))
    assert after.addresses == before.addresses
    assert after.serial > floors[guest.key]


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_refresh_that_comes_after_the_leave_brings_nobody_back(
    house: House, private: bool, together: bool
) -> None:
    """It was on its way, or is a copy's; only who joins wants to be in."""
    network = house.network(private=private)
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    if together:
        house.take(f"n:{guest.key.hex()}", guest.routing, Leave(house.number(), network))
    else:
        assert isinstance(house.leave(guest, network), Done)
    refused = house.refresh(guest, network, joined)
    house.later(1)
    house.push.run(house.now)
    gone = house.pushed_rows(peer)[-1]

    assert code(refused) == Code.NOT_FOUND
    assert "has left it" in str(refused)
    assert gone.gone == (guest.key,)
    assert [m["joined"] for m in house.do("member.list", network="home", name="n1")] == [False]
    assert code(house.refresh(guest, network, joined)) == Code.NOT_FOUND
    house.hello(guest)
    assert house.addresses(house.join(guest, network)) == house.addresses(joined)
    assert isinstance(house.refresh(guest, network, joined), Joined)


def test_who_left_while_it_may_not_be_in_is_told_that(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    house.do("member.deauthorize", network="home", member="n1")
    house.leave(guest, network)
    waiting = house.refresh(guest, network, joined)

    assert isinstance(waiting, Waiting)
    assert waiting.state == "deauthorized"


def test_leaving_twice_is_done_once(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    assert isinstance(house.leave(guest, network), Done)
    head = house.registry.networks[1].revision

    assert isinstance(house.leave(guest, network), Done)
    assert house.registry.networks[1].revision == head


def test_a_full_pool_says_so_and_stores_nothing(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/29", ipv6="fd00::/64")
    for number in range(5):
        house.enrol(network, name=f"n{number}")
    assert house.count("assignment") == 10
    late = house.guest("late")
    house.admit(house.token(), late)
    house.hello(late)
    refused = house.join(late, network)

    assert isinstance(refused, Refused)
    assert refused.code == Code.POOL_EXHAUSTED
    assert refused.message == ("cannot assign an address: pool 10.9.0.0/29 of network home is full")
    assert refused.hint.startswith(
        "add a range (ncadm pool add home RANGE), or forget members that are gone"
    )
    assert refused.retry_after > 0
    assert house.count("assignment") == 10


@pytest.mark.parametrize("way", ["forgotten", "left"])
def test_an_address_given_free_rests_a_day_and_then_serves_the_next(house: House, way: str) -> None:
    """I4: not reused within the quarantine, reused after it."""
    network = house.network(ipv4="10.9.0.0/30")
    first = house.enrol(network, name="first")
    if way == "left":
        house.leave(first, network)
    else:
        house.do("member.forget", network="home", member="first")
    late = house.guest("late")
    house.admit(house.token(ttl=3 * 86400), late)
    house.hello(late)
    refused = house.join(late, network)
    assert code(refused) == Code.POOL_EXHAUSTED
    assert isinstance(refused, Refused)
    assert "the next address is free at 20" in refused.hint
    house.later(24 * 3600 - 1)
    assert code(house.join(late, network)) == Code.POOL_EXHAUSTED
    house.later(2)
    joined = house.join(late, network)

    assert house.addresses(joined) == ["10.9.0.2/30"]
    house.reopen()
    house.hello(late)
    assert house.addresses(house.join(late, network)) == ["10.9.0.2/30"]


def test_a_ban_bites_on_the_next_message_of_an_open_connection(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.do("member.ban", network="home", member="n1")

    assert code(house.join(guest, network)) == Code.BANNED
    assert code(house.hello(guest)) == Code.BANNED
    assert code(house.fetch(guest, network)) == Code.DENIED


def test_somebody_deauthorized_is_told_so_and_comes_back_when_authorized(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    before = house.membership(house.join(guest, network))
    house.do("member.deauthorize", network="home", member="n1")
    waiting = house.join(guest, network)
    told = house.pushed(guest)
    house.do("member.authorize", network="home", member="n1")
    asked_again = house.pushed(guest)

    assert isinstance(waiting, Waiting)
    assert waiting.state == "deauthorized"
    rows = [m for m in told if isinstance(m, Rows)]
    assert rows[0].gone == (guest.key,)
    assert house.state(rows[0]).floors[0].serial == before.serial + 1
    assert [m.state for m in told if isinstance(m, Waiting)] == ["deauthorized"]
    assert [m.state for m in asked_again if isinstance(m, Waiting)] == ["authorized"]
    assert house.membership(house.join(guest, network)).addresses == before.addresses


def test_another_wire_version_is_told_which_is_older(house: House) -> None:
    guest = house.enrol(house.network())
    reply = house.ask(guest, Hello(house.number(), 2, "n1", "9", "linux", 1, 0))

    assert code(reply) == Code.BAD_REQUEST


def test_families_that_do_not_exist_are_refused_and_store_nothing(house: House) -> None:
    network = house.network()
    guest = house.guest()
    house.admit(house.token(), guest)
    house.hello(guest)
    wrong = Join(house.number(), network, guest.wireguard, (), (5,), 51820)

    assert code(house.ask(guest, wrong)) == Code.BAD_REQUEST
    assert house.count("assignment") == 0
    right = msgspec.structs.replace(wrong, families=(4, 6))
    assert isinstance(house.ask(guest, right), Joined)


@pytest.mark.parametrize("wrong", [{"families": (5,)}, {"endpoints": ("example.org:5",)}])
def test_a_refresh_that_makes_no_sense_is_refused_and_costs_only_itself(
    house: House, wrong: dict[str, Any]
) -> None:
    """By somebody who holds all that there is: it is looked at before the others of its batch."""
    network = house.network()
    guest, other = house.enrol(network), house.enrol(network, name="n2")
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    right = {"families": guest.families, "endpoints": guest.endpoints}
    house.take(f"n:{other.key.hex()}", other.routing, house.joining(other, network))
    for name, value in wrong.items():
        setattr(guest, name, value)
    refused = house.refresh(guest, network, joined)
    for name in wrong:
        setattr(guest, name, right[name])

    assert code(refused) == Code.BAD_REQUEST
    assert any(to == other.routing and isinstance(r, Joined) for to, r in house.sent[-2:])
    assert isinstance(house.refresh(guest, network, joined), Unchanged)


def test_endpoints_that_lead_nowhere_are_left_out_and_nonsense_is_refused() -> None:
    kept = clean_endpoints(
        (
            *("192.0.2.1:5", "127.0.0.1:5", "[ff02::1]:5", "0.0.0.0:5", "[fe80::1]:5"),
            *("255.255.255.255:5", "[::ffff:127.0.0.1]:5"),
        )
    )

    assert kept == "192.0.2.1:5"
    with pytest.raises(RefusedError):
        clean_endpoints(("example.org:5",))
    with pytest.raises(RefusedError):
        clean_endpoints(("[2001:db8::1%a b]:5",))  # a blank would make two of it


def test_rows_are_for_members_that_have_joined(house: House) -> None:
    network = house.network()
    house.enrol(network)
    guest = house.guest()
    house.admit(house.token(), guest)
    house.hello(guest)

    assert code(house.fetch(guest, network)) == Code.DENIED
    house.join(guest, network)
    rows = house.fetch(guest, network)
    assert isinstance(rows, Rows)
    assert len(rows.rows) == 2
    assert code(house.fetch(guest, network, after=b"xx")) == Code.BAD_REQUEST

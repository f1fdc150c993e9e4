"""A token lets in as many nodes as it says, once each, and no answer that was lost costs a use."""

import pytest

from protocol.ids import first_address_try
from protocol.keys import CurvePublic
from protocol.messages import Code, Done, Joined, Refused, Waiting, Welcome
from tests.controller.house import House


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    assert reply.message.startswith("cannot ")
    return reply.code


def test_an_admitted_node_is_known_and_reserved(house: House) -> None:
    network = house.network()
    guest = house.guest("berlin-1")
    assert isinstance(house.admit(house.token(), guest), Done)
    welcome = house.hello(guest)

    assert isinstance(welcome, Welcome)
    assert welcome.networks == (network,)
    assert int(welcome.address, 16) == first_address_try(CurvePublic(guest.key))
    assert welcome.observed == "198.51.100.7"
    listed = house.do("member.list", network="home")[0]
    assert (listed["name"], listed["state"], listed["joined"]) == ("berlin-1", "authorized", False)


def test_the_same_node_again_is_done_and_costs_no_use(house: House) -> None:
    house.network()
    token, guest = house.token(uses=2), house.guest()
    assert isinstance(house.admit(token, guest), Done)
    assert isinstance(house.admit(token, guest), Done)

    assert house.do("token.list")[0]["uses_left"] == 1
    assert house.count("node") == 1


def test_a_used_token_lets_the_same_node_ask_again_but_no_other(house: House) -> None:
    house.network()
    token, guest = house.token(), house.guest()
    assert isinstance(house.admit(token, guest), Done)

    assert isinstance(house.admit(token, guest), Done)
    assert code(house.admit(token, house.guest())) == Code.TOKEN_USED_UP
    assert house.count("node") == 1


def test_an_expired_token_admits_nobody_and_keeps_its_use(house: House) -> None:
    house.network()
    token = house.token(ttl=60)
    house.later(60)

    assert code(house.admit(token, house.guest())) == Code.TOKEN_EXPIRED
    assert house.count("node") == 0
    assert house.do("token.list")[0]["uses_left"] == 1


def test_a_revoked_token_admits_nobody(house: House) -> None:
    house.network()
    token = house.token(uses=5)
    assert isinstance(house.admit(token, house.guest()), Done)
    house.do("token.revoke", token=token[:6].hex())

    assert code(house.admit(token, house.guest())) == Code.DENIED


def test_a_banned_node_is_not_admitted_by_a_fresh_token(house: House) -> None:
    house.network()
    guest = house.guest()
    house.admit(house.token(), guest)
    house.do("member.ban", network="home", member="n1")
    token = house.token()

    assert code(house.admit(token, guest)) == Code.BANNED
    assert [t["uses_left"] for t in house.do("token.list")] == [0, 1]


def test_a_token_that_asks_makes_a_member_that_waits(house: House) -> None:
    network = house.network()
    guest = house.guest()
    assert isinstance(house.admit(house.token(ask=True), guest), Done)
    house.hello(guest)
    waiting = house.join(guest, network)

    assert isinstance(waiting, Waiting)
    assert waiting.state == "pending"
    house.do("member.authorize", network="home", member="n1")
    assert isinstance(house.join(guest, network), Joined)


def test_a_token_with_an_address_gives_it(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network, house.token(address="10.9.7.7"))

    assert house.addresses(house.join(guest, network))[0] == "10.9.7.7/16"
    taken = house.call("token.create", network="home", key="ab" * 32, address="10.9.7.7")
    assert "belongs to member" in str(taken)


def test_an_address_that_was_taken_meanwhile_is_a_conflict_and_costs_no_use(house: House) -> None:
    network = house.network()
    first, second = house.token(address="10.9.7.7"), house.token(address="10.9.7.7")
    house.enrol(network, first)

    refused = house.admit(second, house.guest())
    assert code(refused) == Code.CONFLICT
    assert "another member has it" in str(refused)
    assert house.count("node") == 1
    assert [t["uses_left"] for t in house.do("token.list")] == [0, 1]


def test_roles_of_the_token_are_the_members(house: House) -> None:
    network = house.network()
    guest = house.enrol(network, house.token(roles=["transit"]))

    assert house.membership(house.join(guest, network)).roles == ("transit",)


def test_two_nodes_whose_keys_hash_to_one_address_get_two(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from controller import admission

    monkeypatch.setattr(admission, "first_address_try", lambda _key: 0xFFFFFFFFFF)
    house.network()
    guests = [house.guest(), house.guest()]
    for guest in guests:
        house.admit(house.token(), guest)
    welcomes = [house.hello(guest) for guest in guests]

    assert [w.address for w in welcomes if isinstance(w, Welcome)] == ["ffffffffff", "0000000001"]


def test_a_name_with_control_characters_is_made_harmless(house: House) -> None:
    house.network()
    house.admit(house.token(), house.guest("evil\x1b[31m\n"))

    assert house.do("member.list", network="home")[0]["name"] == "evil[31m"


def test_somebody_forgotten_needs_a_token_and_gets_the_old_address_back(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    before = house.membership(house.join(guest, network))
    house.do("member.forget", network="home", member="n1")
    assert code(house.hello(guest)) == Code.DENIED
    house.admit(house.token(), guest)
    house.hello(guest)
    after = house.membership(house.join(guest, network))

    assert after.addresses == before.addresses
    assert after.serial > before.serial

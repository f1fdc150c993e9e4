"""A token lets in as many nodes as it says, once each, and no answer that was lost costs a use."""

import pytest

from controller.addresses import numbering
from controller.config import PendingConfig
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
    """J3: an answer that was lost is asked for again: one row, one use."""
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


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(30) + b"\x80"])
def test_a_node_key_of_low_order_is_refused_and_costs_no_use(house: House, key: bytes) -> None:
    house.network()
    token, guest = house.token(), house.guest()
    own, guest.key = guest.key, key
    refused = house.admit(token, guest)

    assert code(refused) == Code.BAD_REQUEST
    assert "cannot use this node key: " in str(refused)
    assert house.count("node") == 0
    assert house.do("token.list")[0]["uses_left"] == 1
    guest.key = own
    assert isinstance(house.admit(token, guest), Done)


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
    assert "has it" in str(taken)


def test_an_address_that_was_taken_meanwhile_is_a_conflict_and_costs_no_use(house: House) -> None:
    network = house.network()
    first, second = (house.old_token(address="10.9.7.7") for _ in range(2))
    house.enrol(network, first)

    refused = house.admit(second, house.guest())
    assert code(refused) == Code.CONFLICT
    assert "has it" in str(refused)
    assert house.count("node") == 1
    left = {t["token"]: t["uses_left"] for t in house.do("token.list")}
    assert left == {first[:6].hex(): 0, second[:6].hex(): 1}


def test_a_token_for_a_seat_that_is_taken_leaves_its_address_free(house: House) -> None:
    network, other = house.network(), house.network("other", "10.8.0.0/16")
    house.enrol(network, house.token(roles=["management"]))
    known = house.enrol(other, house.token("other"))
    both = house.token(roles=["management"], address="10.9.7.7")

    for guest in (known, house.guest()):
        refused = house.admit(both, guest)
        assert code(refused) == Code.CONFLICT
        assert "management member" in str(refused)
    assert (house.count("node"), house.count("assignment")) == (2, 2)
    house.check_addresses()
    house.do("token.revoke", token=both[:6].hex())
    last = house.enrol(network, house.token(address="10.9.7.7"))
    assert house.addresses(house.join(last, network)) == ["10.9.7.7/16"]


def test_who_is_refused_an_address_takes_no_place_among_those_who_wait(house: House) -> None:
    network = house.network()
    house.registry.pending = PendingConfig(per_network=2)
    tokens = [house.old_token(address="10.9.7.7", ask=True) for _ in range(3)]
    house.enrol(network, house.old_token(address="10.9.7.7"))
    plain = house.token(ask=True, uses=3)
    frames = [house.admit_frame(token, house.guest()) for token in (*tokens, plain, plain, plain)]
    for frame in frames:
        house.take(*frame)
    before = len(house.sent)
    house.work()

    answers = [reply.code if isinstance(reply, Refused) else "" for _, reply in house.sent[before:]]
    assert answers == [Code.CONFLICT] * 3 + ["", "", Code.FULL]


def test_roles_of_the_token_are_the_members(house: House) -> None:
    network = house.network()
    guest = house.enrol(network, house.token(roles=["transit"]))

    assert house.membership(house.join(guest, network)).roles == ("transit",)


def test_two_nodes_whose_keys_hash_to_one_address_get_two(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "first_address_try", lambda _key: 0xFFFFFFFFFF)
    house.network()
    guests = [house.guest(), house.guest()]
    for guest in guests:
        house.admit(house.token(), guest)
    welcomes = [house.hello(guest) for guest in guests]

    assert [w.address for w in welcomes if isinstance(w, Welcome)] == ["ffffffffff", "0000000001"]


def test_above_many_nodes_addresses_follow_each_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "SCATTER_MAX", 2)
    house.network()

    def admitted() -> int:
        guest = house.guest()
        house.admit(house.token(), guest)
        welcome = house.hello(guest)
        assert isinstance(welcome, Welcome)
        return int(welcome.address, 16)

    scattered = [admitted() for _ in range(3)]
    followers = [admitted() for _ in range(3)]
    assert [after - scattered[-1] for after in followers] == [1, 2, 3]
    assert len({address >> 20 for address in scattered}) == 3
    house.reopen()
    elsewhere = admitted()
    assert elsewhere >> 20 != followers[-1] >> 20
    assert admitted() == elsewhere + 1


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

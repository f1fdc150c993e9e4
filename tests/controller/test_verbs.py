"""What the admin socket can do, and what it says when it cannot."""

import pytest

from controller.addresses.ranges import default_ranges
from controller.verbs.dispatch import VERBS, answer
from protocol.admin import Failed, decode_answer
from protocol.messages import Done, Joined, Refused, Waiting
from runtime.failure import Exit
from tests.controller.house import House


def failed(reply: object) -> Failed:
    assert isinstance(reply, Failed), reply
    assert reply.message.startswith("cannot ")
    return reply


def test_creating_twice_with_one_id_makes_one_network(house: House) -> None:
    first = house.do("network.create", id="request-1", name="home", ipv4="10.9.0.0/16")
    again = house.do("network.create", id="request-1", name="home", ipv4="10.9.0.0/16")
    other = failed(house.call("network.create", id="request-2", name="home"))

    assert first == again
    assert first[0]["id"] == house.registry.controller + "000001"
    assert other.code == Exit.CONFLICT
    assert house.count("network") == 1


def test_a_network_without_ranges_gets_a_pair_of_its_own(house: House) -> None:
    made = [house.do("network.create", id=f"request-{n}", name=n)[0] for n in ("one", "two")]
    ranges = [r for network in made for r in network["ranges"]]

    assert len(set(ranges)) == 4
    assert ranges[0] == "10.100.0.0/16"
    assert str(default_ranges("00112233ff", 258)[1]) == "fd00:1122:33ff:102::/64"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "no blank"}, "cannot call a network"),
        ({"name": ""}, "cannot call a network"),
        ({"name": "x", "ipv4": "10.9.0.1/16"}, "it is an address in a range"),
        ({"name": "x", "ipv4": "10.9.0.0/31"}, "no address for a member"),
        ({"name": "x", "ipv4": "224.0.0.0/16"}, "not one for an overlay"),
        ({"name": "x", "ipv4": "fd00::/64"}, "it is IPv6"),
        ({"name": "x", "ipv6": "10.9.0.0/16"}, "it is IPv4"),
        ({"name": "x", "ipv4": "10.9.0.0/33"}, "it is no range of addresses"),
        ({"name": "x", "mtu": "big"}, "mtu: 'big' is not a whole number"),
        ({"name": "x", "life": 60}, "a day is the least"),
        ({"name": "x", "mtu": 100}, "1280 to 9000"),
        ({"name": "x", "dns": ["ns.example"]}, "DNS server"),
        ({"name": 7}, "name: 7 is not text"),
        ({"name": "x", "colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_network_is_refused_and_none_is_made(
    house: House, arguments: dict[str, object], said: str
) -> None:
    reply = failed(house.call("network.create", id="request-1", **arguments))

    assert said in reply.message
    assert reply.code == Exit.USAGE
    assert house.count("network") == house.count("pool") == 0


def test_a_near_name_is_offered(house: House) -> None:
    house.enrol(house.network(), name="berlin-1")

    assert failed(house.call("network.show", network="hom")).hint == "did you mean 'home'?"
    unknown = failed(house.call("member.show", network="home", member="berlin-2"))
    assert (unknown.code, unknown.hint) == (Exit.NOT_FOUND, "did you mean 'berlin-1'?")
    assert failed(house.call("network.shwo")).hint == "did you mean 'network.show'?"
    nobody = {"token": "zzz"}
    assert failed(house.call("token.show", **nobody)).hint == "see: ncadm token list"


def test_networks_are_found_by_name_and_by_id(house: House) -> None:
    network = house.network()
    by_name = house.do("network.show", network="home")

    assert by_name == house.do("network.show", network=network) == house.do("network.list")


def test_a_renamed_network_keeps_its_id_and_no_two_have_one_name(house: House) -> None:
    network = house.network()
    house.network("other", ipv4="10.10.0.0/16")
    renamed = house.do("network.set", network="home", name="farm")[0]

    assert (renamed["name"], renamed["id"]) == ("farm", network)
    assert failed(house.call("network.set", network="farm", name="other")).code == Exit.CONFLICT


def test_members_show_what_is_true_of_them(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network, name="berlin-1", endpoints=("192.0.2.1:5",))
    item = house.do("member.show", network="home", member="berlin-1")[0]
    joined = house.join(guest, network)

    assert item["ip"] == house.addresses(joined)
    assert item["online"]
    assert item["joined"]
    assert item["endpoints"] == ["192.0.2.1:5"]
    assert item["last_at"] == "198.51.100.7"
    assert item["key"] == guest.key.hex()
    assert house.do("member.show", network="home", member=item["address"]) == [item]


def test_two_members_of_one_name_are_told_apart_by_address(house: House) -> None:
    network = house.network()
    house.enrol(network, name="twin")
    house.enrol(network, name="twin")
    reply = failed(house.call("member.show", network="home", member="twin"))

    assert reply.code == Exit.CONFLICT
    assert all(m["address"] in reply.hint for m in house.do("member.list", network="home"))


def test_hidden_members_are_listed_on_request(house: House) -> None:
    house.enrol(house.network())
    house.do("member.set", network="home", member="n1", hidden=True)

    assert house.do("member.list", network="home") == []
    assert len(house.do("member.list", network="home", hidden=True)) == 1


def test_roles_and_name_reach_the_member_and_its_peers(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    house.pushed(peer)
    house.pushed(guest)
    house.later(3)
    house.do("member.set", network="home", member="n1", name="berlin", roles=["transit"])
    told = [m for m in house.pushed(guest) if isinstance(m, Joined)]
    rows = house.pushed_rows(peer)

    assert house.membership(told[0]).roles == ("transit",)
    assert rows[0].rows[0].name == "berlin"
    refused = failed(house.call("member.set", network="home", member="berlin", roles=["king"]))
    assert "transit" in refused.hint


def test_authorizing_who_is_authorized_changes_nothing(house: House) -> None:
    guest = house.enrol(house.network())
    house.pushed(guest)
    before = house.count("audit")
    house.do("member.authorize", network="home", member="n1")

    assert house.pushed(guest) == []
    assert house.count("audit") == before


def test_a_banned_member_comes_back_when_unbanned_and_authorized(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.do("member.ban", network="home", member="n1")
    assert isinstance(house.join(guest, network), Refused)
    named = {"network": "home", "member": "n1"}
    for verb in ("member.authorize", "member.deauthorize"):  # neither lifts a ban in passing
        reply = failed(house.call(verb, **named))
        assert (reply.code, "member unban" in reply.hint) == (Exit.CONFLICT, True)
    assert house.do("member.unban", **named)[0]["state"] == "deauthorized"
    assert isinstance(house.join(guest, network), Waiting)
    house.do("member.authorize", **named)

    assert isinstance(house.join(guest, network), Joined)


def test_a_ban_in_one_network_leaves_the_other(house: House) -> None:
    home, other = house.network(), house.network("other", ipv4="10.10.0.0/16")
    guest = house.enrol(home)
    assert isinstance(house.admit(house.token("other"), guest), Done)
    house.do("member.ban", network="home", member="n1")

    waiting = house.join(guest, home)
    assert isinstance(waiting, Waiting)
    assert waiting.state == "banned"
    assert isinstance(house.join(guest, other), Joined)


def test_tokens_show_their_state(house: House) -> None:
    house.network()
    used, old, live = house.token(), house.token(ttl=60), house.token(uses=3, ttl=3600)
    house.admit(used, house.guest())
    house.later(120)
    states = {item["token"]: item["state"] for item in house.do("token.list", network="home")}

    assert states == {
        used[:6].hex(): "used up",
        old[:6].hex(): "expired",
        live[:6].hex(): "live",
    }
    assert house.do("token.show", token=live[:6].hex())[0]["uses_left"] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {"uses": 0},
        {"uses": 10_001},
        {"ttl": 0},
        {"roles": ["king"]},
        {"address": "10.9.0.x"},
        {"address": "192.0.2.1"},
        {"address": "10.9.0.7", "uses": 2},
        {"key": "zz" * 32},
        {"network": "none"},
    ],
)
def test_a_wrong_token_is_refused_and_none_is_made(
    house: House, arguments: dict[str, object]
) -> None:
    house.network()
    failed(house.call("token.create", **({"network": "home", "key": "ab" * 32} | arguments)))

    assert house.count("join_token") == 0


def test_the_same_token_key_again_makes_one(house: House) -> None:
    house.network()
    for _ in range(2):
        house.do("token.create", network="home", key="ab" * 32)

    assert house.count("join_token") == 1


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x94\xa4call\x01\xa6status\x07", b"x" * 50])
def test_nonsense_gets_an_answer_and_harms_nothing(house: House, frame: bytes) -> None:
    reply = failed(decode_answer(answer(house.office, frame, house.now_ms, house.now)))

    assert reply.code == Exit.USAGE


def test_no_verb_leaves_a_transaction_open(house: House) -> None:
    house.enrol(house.network())
    for verb in VERBS:
        house.call(verb)
        house.call(verb, network="home")
        house.call(verb, network="home", member="n1")

        assert not house.registry.connection.in_transaction(), verb


def test_a_request_nested_without_end_is_a_usage_error(house: House) -> None:
    frame = b"\x94\xa4call\x01\xa4x.yz\x81\xa1a" + b"\x91" * 100_000 + b"\x01"

    assert failed(decode_answer(answer(house.office, frame, 0, 0.0))).code == Exit.USAGE

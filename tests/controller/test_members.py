"""Members by an operator's word: added before they come, set, and the one that manages."""

from typing import Any

import pytest

from protocol.messages import Code, Done, Joined, Refused, Rows, Waiting, Welcome
from runtime.failure import Exit
from tests.controller.house import DAY_MS, Guest, House


def failed(reply: object) -> Any:
    assert type(reply).__name__ == "Failed", reply
    assert reply.message.startswith("cannot ")  # type: ignore[attr-defined]
    return reply


def home(house: House, **more: Any) -> str:
    return house.network(ipv4="10.9.0.0/24", ipv6="fd00:9::/64", **more)


def ips(item: dict[str, Any]) -> list[str]:
    return [str(ip).partition("/")[0] for ip in item["ip"]]


def add(house: House, guest: Guest, **more: Any) -> dict[str, Any]:
    return house.do("member.add", network="home", key=guest.key.hex(), **more)[0]


def show(house: House, name: str = "n1") -> dict[str, Any]:
    return house.do("member.show", network="home", member=name)[0]


# before they come


def test_a_key_that_was_added_is_let_in_and_has_what_was_reserved(house: House) -> None:
    """I3: an address reserved for a node that has never come."""
    network = home(house)
    guest = house.guest("host-7")
    added = add(house, guest, name="seven", addresses=["10.9.0.77"], roles=["transit"], notes="x")
    assert (added["connection"], added["first_seen"], added["joined"]) == ("expected", "", False)
    welcome = house.hello(guest)
    joined = house.join(guest, network)

    assert isinstance(welcome, Welcome)
    assert welcome.networks == (network,)
    assert house.addresses(joined) == ["10.9.0.77/24", added["ip"][1]]
    assert house.membership(joined).roles == ("transit",)
    item = show(house, "seven")
    assert (item["connection"], item["notes"]) == ("connected", "x")
    assert item["first_seen"] == item["last_seen"]
    assert house.count("join_token") == 0


def test_one_that_is_added_without_address_has_one_from_then_on(house: House) -> None:
    network = home(house)
    guest = house.guest("host-7")
    added = add(house, guest)
    house.reopen()
    house.later(400 * DAY_MS / 1000)
    house.hello(guest)

    assert len(added["ip"]) == 2
    assert house.addresses(house.join(guest, network)) == added["ip"]
    assert show(house, "host-7")["address"] == added["address"]  # it brings its own name


def test_adding_again_makes_nothing_new_and_adding_somebody_who_waits_says_so(house: House) -> None:
    home(house)
    guest = house.guest()
    first = add(house, guest, name="n1")
    again = add(house, guest, name="n1")
    assert (first["address"], house.count("member")) == (again["address"], 1)
    house.do("member.ban", network="home", member="n1")
    banned = failed(house.call("member.add", network="home", key=guest.key.hex()))

    assert (banned.code, "member unban" in banned.hint) == (Exit.CONFLICT, True)


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"addresses": ["10.9.0.5"]}, Exit.CONFLICT, "member holder"),
        ({"addresses": ["10.9.0.1"]}, Exit.CONFLICT, "kept for the management member"),
        ({"addresses": ["192.0.2.1"]}, Exit.CONFLICT, "in no range"),
        ({"addresses": ["10.9.0.7/24"]}, Exit.USAGE, "is no address"),
        ({"key": "ab" * 31}, Exit.USAGE, "key"),
        ({"roles": ["king"]}, Exit.USAGE, "king"),
        ({"prefixes": ["10.9.0.64/26"]}, Exit.CONFLICT, "overlaps the pool"),
        ({"prefixes": ["192.168.5.0/24"]}, Exit.CONFLICT, "of member holder"),
        ({"prefixes": ["192.168.5.1/24"]}, Exit.USAGE, "address in a range"),
        ({"prefixes": ["0.0.0.0/0"]}, Exit.USAGE, "not one for an overlay"),
        ({"prefixes": ["10.9.0.0/16"]}, Exit.CONFLICT, "10.9.0.5 of member holder"),
    ],
)
def test_a_wrong_addition_is_refused_with_the_holder_and_leaves_nothing(
    house: House, more: dict[str, Any], code: Exit, said: str
) -> None:
    home(house)
    add(house, house.guest(), name="holder", addresses=["10.9.0.5"], prefixes=["192.168.0.0/16"])
    reply = failed(house.call("member.add", **({"network": "home", "key": "ab" * 32} | more)))

    assert reply.code == code
    assert said in reply.message
    assert house.count("member") == house.count("node") == 1
    house.check_addresses()


def test_a_node_that_is_connected_takes_the_place_it_is_given_at_once(house: House) -> None:
    guest = house.enrol(home(house))
    other = house.network("other", ipv4="10.10.0.0/16")
    house.pushed(guest)
    house.do("member.add", network="other", key=guest.key.hex())
    told = [(m.network, m.state) for m in house.pushed(guest) if isinstance(m, Waiting)]

    assert told == [(other, "authorized")]
    assert isinstance(house.join(guest, other), Joined)
    assert house.count("node") == 1


def test_one_that_was_added_loses_no_token_of_somebody_else(house: House) -> None:
    network = home(house)
    token, guest = house.token(), house.guest()
    add(house, guest)
    assert isinstance(house.admit(token, guest), Done)  # a join string with a token does as well

    assert house.do("token.list")[0]["uses_left"] == 1
    house.hello(guest)
    assert isinstance(house.join(guest, network), Joined)


# set


def test_an_address_is_changed_by_hand_told_to_all_and_the_old_one_rests(house: House) -> None:
    network = home(house)
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    before = house.membership(house.join(guest, network))
    house.pushed(guest)
    house.pushed(peer)
    house.later(3)
    house.do("member.set", network="home", member="n1", addresses=["10.9.0.200"])
    told = [m for m in house.pushed(guest) if isinstance(m, Joined)]
    rows = house.pushed_rows(peer)
    now = house.membership(told[0])

    assert house.addresses(told[0])[0] == "10.9.0.200/24"
    assert now.serial == before.serial + 1
    assert rows[0].rows[0].membership == told[0].membership
    house.check_addresses()
    house.later(1)
    house.do("member.set", network="home", member="n1", addresses=[])
    assert house.membership(house.join(guest, network)) == now  # it keeps it, as one of its own


def test_an_address_that_another_has_is_refused_with_its_name(house: House) -> None:
    """I3: conflict refused."""
    network = home(house)
    house.enrol(network)
    house.enrol(network, name="n2")
    house.do("member.set", network="home", member="n1", addresses=["10.9.0.200"])
    reply = failed(house.call("member.set", network="home", member="n2", addresses=["10.9.0.200"]))

    assert reply.code == Exit.CONFLICT
    assert "member n1" in reply.message
    assert ips(show(house))[0] == "10.9.0.200"


def test_a_prefix_stands_in_the_certificate_and_raises_the_serial(house: House) -> None:
    network = home(house)
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    before = house.membership(house.join(guest, network))
    house.pushed(peer)
    house.later(3)
    prefixes = ["192.168.5.0/24", "2001:db8:5::/48"]
    house.do("member.set", network="home", member="n1", prefixes=prefixes)
    row = house.pushed_rows(peer)[0].rows[0]
    now = house.membership(house.join(guest, network))

    assert {str(prefix) for prefix in now.networks} == set(prefixes)
    settings = house.join(peer, network).settings  # type: ignore[union-attr]
    assert len(settings.routes) == 2  # everybody has the way to it
    assert now.serial > before.serial
    assert row.membership == house.join(guest, network).membership  # type: ignore[union-attr]
    reply = failed(
        house.call("member.set", network="home", member="n2", prefixes=["192.168.0.0/16"])
    )
    assert "overlaps 192.168.5.0/24 of member n1" in reply.message
    house.do("member.set", network="home", member="n1", prefixes=[])
    house.do("member.set", network="home", member="n2", prefixes=["192.168.0.0/16"])
    assert show(house, "n2")["prefixes"] == ["192.168.0.0/16"]


def test_a_prefix_by_hand_and_a_leased_one_stand_side_by_side(house: House) -> None:
    house.enrol(home(house))
    house.do("prefix.add", network="home", prefix="2001:db8:7::/48")
    house.do("prefix.lease", network="home", member="n1")
    house.do("member.set", network="home", member="n1", prefixes=["192.168.5.0/24"])
    both = show(house)["prefixes"]
    house.do("member.set", network="home", member="n1", prefixes=[])

    assert both == ["192.168.5.0/24", "2001:db8:7::/64"]
    assert show(house)["prefixes"] == ["2001:db8:7::/64"]
    house.do("member.set", network="home", member="n1", prefixes=["2001:db8:8:1::/64"])
    pool = failed(house.call("prefix.add", network="home", prefix="2001:db8:8::/48"))
    assert "of member n1" in pool.message


def test_notes_and_hiding_are_no_matter_of_certificates(house: House) -> None:
    network = home(house)
    guest = house.enrol(network)
    before = house.join(guest, network)
    house.do("member.set", network="home", member="n1", notes="rack 7", hidden=True)
    after = house.join(guest, network)

    assert isinstance(before, Joined)
    assert isinstance(after, Joined)
    assert after.membership == before.membership
    assert show(house)["notes"] == "rack 7"


# the management member


def test_the_management_member_has_the_first_address_and_is_the_first_that_comes(
    house: House,
) -> None:
    network = home(house)
    token, late = house.token(roles=["management"]), house.token(roles=["management"])
    guest = house.enrol(network, token, name="boss")
    second = house.guest("second")
    refused = house.admit(late, second)
    joined = house.join(guest, network)

    assert house.addresses(joined) == ["10.9.0.1/24", "fd00:9::1/64"]
    assert house.membership(joined).roles == ("management",)
    assert isinstance(refused, Refused)
    assert (refused.code, "--force" in refused.hint) == (Code.CONFLICT, True)
    assert [t["uses_left"] for t in house.do("token.list")] == [0, 1]
    assert house.count("node") == 1


def test_nobody_else_gets_the_first_address(house: House) -> None:
    home(house)
    house.enrol(house.do("network.show", network="home")[0]["id"], name="plain")
    for address in ("10.9.0.1", "fd00:9::1"):
        reply = failed(
            house.call("member.set", network="home", member="plain", addresses=[address])
        )
        assert "kept for the management member" in reply.message


def test_the_management_member_is_not_forgotten_without_force(house: House) -> None:
    network = home(house)
    guest = house.enrol(network, house.token(roles=["management"]), name="boss")
    reply = failed(house.call("member.forget", network="home", member="boss"))
    assert (reply.code, "--force" in reply.hint) == (Exit.CONFLICT, True)
    assert isinstance(house.leave(guest, network), Done)
    assert ips(show(house, "boss")) == ["10.9.0.1", "fd00:9::1"]  # its seat is kept
    house.do("member.forget", network="home", member="boss", force=True)
    house.later(0.001)
    heir = house.enrol(network, house.token(roles=["management"]), name="heir")

    assert house.addresses(house.join(heir, network)) == ["10.9.0.1/24", "fd00:9::1/64"]
    house.check_addresses()


def test_the_role_brings_the_seat_and_goes_with_it(house: House) -> None:
    network = home(house)
    guest = house.enrol(network)
    house.enrol(network, name="n2")
    before = house.addresses(house.join(guest, network))
    house.do("member.set", network="home", member="n1", roles=["management", "transit"])
    seated = house.addresses(house.join(guest, network))
    other = failed(house.call("member.set", network="home", member="n2", roles=["management"]))
    house.do("member.set", network="home", member="n1", roles=["transit"])
    after = house.addresses(house.join(guest, network))
    house.do("member.set", network="home", member="n2", roles=["management"])

    assert seated == ["10.9.0.1/24", "fd00:9::1/64"]
    assert other.code == Exit.CONFLICT
    assert after == before
    assert ips(show(house, "n2")) == ["10.9.0.1", "fd00:9::1"]
    house.check_addresses()


# out


def test_who_leaves_frees_its_address_and_its_session_ends(house: House) -> None:
    network = home(house)
    guest = house.enrol(network)
    assert show(house)["online"]
    assert isinstance(house.leave(guest, network), Done)
    item = show(house)

    assert (item["ip"], item["online"], item["joined"]) == ([], False, False)
    assert house.sessions.get(guest.key) is None
    house.check_addresses()


def test_who_leaves_one_of_two_networks_stays_connected(house: House) -> None:
    network = home(house)
    house.network("other", ipv4="10.10.0.0/16")
    guest = house.enrol(network)
    house.do("member.add", network="other", key=guest.key.hex())
    house.leave(guest, network)

    assert house.sessions.get(guest.key) is not None


@pytest.mark.parametrize(
    ("verb", "code"), [("forget", Code.DENIED), ("ban", Code.BANNED), ("deauthorize", None)]
)
def test_who_is_put_out_is_told_at_once_and_stays_connected_only_if_it_may_speak(
    house: House, verb: str, code: str | None
) -> None:
    network = home(house)
    guest, peer = house.enrol(network), house.enrol(network, name="n2")
    house.pushed(guest)
    house.pushed(peer)
    house.later(3)
    house.do(f"member.{verb}", network="home", member="n1")
    told = house.pushed(guest)
    rows = house.pushed_rows(peer)

    assert rows[0].gone == (guest.key,)
    assert [m.gone for m in told if isinstance(m, Rows)] == [
        (guest.key,)
    ]  # with the state: it is out
    assert [m.code for m in told if isinstance(m, Refused)] == ([code] if code else [])
    assert [m.state for m in told if isinstance(m, Waiting)] == ([] if code else ["deauthorized"])
    assert (house.sessions.get(guest.key) is None) == (code is not None)
    assert bool(show(house)["ip"]) if verb != "forget" else house.count("member") == 2

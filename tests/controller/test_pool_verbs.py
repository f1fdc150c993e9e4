"""Editing a network's ranges: who would be stranded is said; who is renumbered keeps nothing old."""

from ipaddress import IPv4Address, ip_address

import pytest

from controller.members import renumber
from controller.store.model import ASSIGNMENT
from protocol.admin import Failed, Result
from protocol.messages import Code, Joined, Refused
from runtime.failure import Exit
from tests.controller.house import Guest, House


def fail(house: House, verb: str, **arguments: object) -> Failed:
    reply = house.call(verb, network="home", **arguments)
    assert isinstance(reply, Failed), reply
    house.check_addresses()
    return reply


def do(house: House, verb: str, **arguments: object) -> Result:
    reply = house.call(verb, network="home", **arguments)
    assert isinstance(reply, Result), reply
    house.check_addresses()
    return reply


def ip(house: House) -> dict[str, list[str]]:
    return {item["name"]: item["ip"] for item in house.do("member.list", network="home")}


def ranges(house: House) -> list[str]:
    return [item["prefix"] for item in house.do("pool.list", network="home")]


@pytest.fixture
def three(house: House) -> tuple[House, str, list[Guest]]:
    """Two got an address by themselves, one has a fixed one."""
    network = house.network(ipv4="10.9.0.0/24")
    fixed = house.enrol(
        network, house.token(address="10.9.0.200"), name="fixed"
    )  # while it is free
    guests = [house.enrol(network, name="a"), house.enrol(network, name="b"), fixed]
    return house, network, guests


def test_a_network_with_two_ranges_gives_out_both(house: House) -> None:
    """I5: a full /30 and what was added to it."""
    network = house.network(ipv4="10.9.0.0/30")
    house.enrol(network, name="first")
    do(house, "pool.add", range="10.10.0.0/30")
    house.enrol(network, name="second")

    assert ranges(house) == ["10.9.0.0/30", "10.10.0.0/30"]
    assert ip(house) == {"first": ["10.9.0.2/30"], "second": ["10.10.0.2/30"]}
    house.reopen()
    assert ranges(house) == ["10.9.0.0/30", "10.10.0.0/30"]


def test_adding_the_same_range_twice_is_done_once(house: House) -> None:
    house.network()
    for _ in range(2):
        do(house, "pool.add", range="10.10.0.0/24", first="10.10.0.10", last="10.10.0.19")

    assert ranges(house) == ["10.9.0.0/16", "10.10.0.0/24"]
    assert len([e for e in house.notes() if e.action == "pool.add"]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"range": "10.9.0.0/24"}, "it overlaps 10.9.0.0/16"),
        ({"range": "10.8.0.0/15"}, "it overlaps 10.9.0.0/16"),
        ({"range": "10.9.0.0/16", "first": "10.9.0.7"}, "the network has 10.9.0.2 to"),
        ({"range": "10.10.0.0/31"}, "it has no address for a member"),
        ({"range": "10.10.0.0/24", "first": "10.11.0.1"}, "it is not in 10.10.0.0/24"),
        ({"range": "10.10.0.0/24", "last": "10.10.0.255"}, "from 10.10.0.2 to 10.10.0.254"),
        (
            {"range": "10.10.0.0/24", "first": "10.10.0.9", "last": "10.10.0.8"},
            "cannot use the range 10.10.0.9 to 10.10.0.8",
        ),
        ({"range": "10.10.0.0/24", "first": "nine"}, "'nine'"),
        ({"range": "nine"}, "it is no range of addresses"),
        ({"range": "127.0.0.0/16"}, "it is not one for an overlay"),
    ],
)
def test_a_range_that_cannot_be_is_refused(
    house: House, arguments: dict[str, str], reason: str
) -> None:
    house.network()
    failed = fail(house, "pool.add", **arguments)

    assert reason in f"{failed.message} {failed.hint}"
    assert ranges(house) == ["10.9.0.0/16"]


def test_parts_of_one_prefix_are_named_by_their_ends(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/24")
    do(house, "pool.set", range="10.9.0.0/24", first="10.9.0.10", last="10.9.0.11")
    do(house, "pool.add", range="10.9.0.0/24", first="10.9.0.20", last="10.9.0.20")
    for number in range(3):
        house.enrol(network, name=f"n{number}")
    failed = fail(house, "pool.remove", range="10.9.0.0/24")
    used = {
        item["first"]: (item["used"], item["free"])
        for item in house.do("pool.usage", network="home")
    }

    assert failed.hint == "write one as 10.9.0.10-10.9.0.11 or 10.9.0.20-10.9.0.20"
    assert used == {"10.9.0.10": (2, 0), "10.9.0.20": (1, 0)}
    stranded = fail(house, "pool.remove", range="10.9.0.20-10.9.0.20")
    assert "10.9.0.20 (n2)" in stranded.message


def test_usage_counts_what_is_used_and_what_rests(
    three: tuple[House, str, list[Guest]],
) -> None:
    house, network, guests = three
    house.leave(guests[0], network)
    (item,) = house.do("pool.usage", network="home")

    assert (item["size"], item["used"], item["resting"], item["free"]) == (253, 2, 1, 250)
    assert (item["auto"], item["manual"], item["reserved"]) == (1, 0, 1)
    house.later(24 * 3600 + 1)
    assert house.do("pool.usage", network="home")[0]["free"] == 251
    do(house, "pool.add", range="fd00::/48")
    assert house.do("pool.usage", network="home")[1]["free"] == 2**53


def test_removing_a_range_is_refused_with_the_names_of_those_it_strands(
    three: tuple[House, str, list[Guest]],
) -> None:
    house, _, _ = three
    before = ip(house)
    failed = fail(house, "pool.remove", range="10.9.0.0/24")

    assert failed.code == Exit.CONFLICT
    assert failed.message.startswith("cannot remove range 10.9.0.0/24 of network home: members")
    for name, addresses in before.items():
        assert f"{addresses[0].partition('/')[0]} ({name})" in failed.message
    assert "--renumber" in failed.hint
    assert "--force" in failed.hint
    assert ip(house) == before
    assert ranges(house) == ["10.9.0.0/24"]


def test_renumbered_members_have_nothing_old_and_are_told_at_once(
    three: tuple[House, str, list[Guest]],
) -> None:
    """I9: change pool; the nodes renumber, no old address left."""
    house, network, guests = three
    before = [house.membership(house.join(guest, network)) for guest in guests]
    do(house, "pool.add", range="10.10.0.0/24")
    for guest in guests:
        house.pushed(guest)
    house.later(3)
    reply = do(house, "pool.remove", range="10.9.0.0/24", renumber=True)

    assert reply.note == "3 addresses of members did not fit; they have other addresses now"
    assert all(a[0].startswith("10.10.0.") for a in ip(house).values())
    for guest, old in zip(guests, before, strict=True):
        pushes = house.pushed(guest)
        (place,) = [m for m in pushes if isinstance(m, Joined)]
        now = house.membership(place)
        assert [str(i.network) for i in now.interfaces] == ["10.10.0.0/24"]
        assert now.serial > old.serial
        assert place.settings.ranges == (ip_address("10.10.0.0").packed + b"\x18",)
    rows = house.fetch(guests[0], network)
    assert len(rows.rows) == 3  # type: ignore[union-attr]
    notes = [e for e in house.notes() if e.action == "member.renumber"]
    assert len(notes) == 3
    assert all("10.9.0." in e.detail.split(" → ")[0] for e in notes)
    assert all("10.10.0." in e.detail.split(" → ")[1] for e in notes)
    house.reopen()
    assert all(a[0].startswith("10.10.0.") for a in ip(house).values())
    with house.registry.connection.begin():
        live = house.registry.connection.execute(
            ASSIGNMENT.select().where(ASSIGNMENT.c.released_at == 0)
        ).all()
    assert len(live) == 3


def test_who_is_away_while_it_is_renumbered_gets_the_new_address_when_it_comes(
    three: tuple[House, str, list[Guest]],
) -> None:
    house, network, guests = three
    joined = house.join(guests[0], network)
    assert isinstance(joined, Joined)
    house.sessions.end(guests[0].key)
    do(house, "pool.add", range="10.10.0.0/24")
    do(house, "pool.remove", range="10.9.0.0/24", renumber=True)
    house.hello(guests[0])
    back = house.refresh(guests[0], network, joined)

    assert house.addresses(back)[0].startswith("10.10.0.")


def test_with_force_members_keep_their_addresses_until_somebody_renumbers(
    three: tuple[House, str, list[Guest]],
) -> None:
    house, network, guests = three
    do(house, "pool.add", range="10.10.0.0/24")
    before = ip(house)
    reply = do(house, "pool.remove", range="10.9.0.0/24", force=True)
    assert reply.note == "3 addresses of members did not fit; they were kept"
    for guest in guests:
        house.join(guest, network)
    assert ip(house) == before
    do(house, "pool.set", range="10.10.0.0/24", renumber=True)

    assert all(a[0].startswith("10.10.0.") for a in ip(house).values())


def test_a_smaller_range_strands_only_what_is_outside(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/24")
    house.enrol(network, house.token(address="10.9.0.200"), name="fixed")  # while nobody has it
    for number in range(40):
        house.enrol(network, name=f"n{number}")
    before = ip(house)
    middle = sorted(IPv4Address(a[0].partition("/")[0]) for a in before.values())[20]
    said = fail(house, "pool.set", range="10.9.0.0/24", last=str(middle))
    do(house, "pool.set", range="10.9.0.0/24", last=str(middle), renumber=True)
    after = ip(house)

    assert said.message.endswith(" and 14 more")
    assert after["fixed"] == ["10.9.0.200/24"]  # of the prefix still
    for name, addresses in before.items():
        if name != "fixed" and IPv4Address(addresses[0].partition("/")[0]) <= middle:
            assert after[name] == addresses
    inside = [a for name, a in after.items() if name != "fixed"]
    assert all(IPv4Address(a[0].partition("/")[0]) <= middle for a in inside)


def test_a_larger_prefix_keeps_addresses_and_tells_their_new_length(
    three: tuple[House, str, list[Guest]],
) -> None:
    house, network, guests = three
    before = ip(house)
    do(house, "pool.set", range="10.9.0.0/24", prefix="10.9.0.0/22")

    after = ip(house)
    assert after == {n: [a[0].replace("/24", "/22")] for n, a in before.items()}
    assert house.addresses(house.join(guests[0], network)) == after["a"]


def test_members_that_do_not_all_fit_into_the_rest_are_not_moved_at_all(
    three: tuple[House, str, list[Guest]],
) -> None:
    house, _, _ = three
    before = ip(house)
    do(house, "pool.add", range="10.10.0.0/30")
    failed = fail(house, "pool.remove", range="10.9.0.0/24", renumber=True)
    assert failed.code == Exit.EXHAUSTED
    assert ip(house) == before
    do(house, "pool.remove", range="10.10.0.0/30")
    failed = fail(house, "pool.remove", range="10.9.0.0/24", renumber=True)

    assert "it would have no IPv4 range" in failed.message
    assert ip(house) == before
    assert ranges(house) == ["10.9.0.0/24"]


def test_a_family_that_is_new_comes_to_everybody(three: tuple[House, str, list[Guest]]) -> None:
    house, network, guests = three
    do(house, "pool.add", range="fd00:9::/64")

    assert {len(a) for a in ip(house).values()} == {2}
    assert len(house.addresses(house.join(guests[0], network))) == 2
    assert fail(house, "pool.add", range="fd00:9::/64", first="fd00:9::7").code == Exit.CONFLICT


def test_an_address_that_was_renumbered_away_rests(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/30")
    house.enrol(network, name="a")
    do(house, "pool.add", range="10.10.0.0/30")
    do(house, "pool.remove", range="10.9.0.0/30", renumber=True)
    do(house, "pool.add", range="10.9.0.0/30")
    late = house.guest("late")
    house.admit(house.token(ttl=3 * 86400), late)
    house.hello(late)
    refused = house.join(late, network)
    assert isinstance(refused, Refused)
    assert refused.code == Code.POOL_EXHAUSTED
    house.later(24 * 3600 + 1)

    assert house.addresses(house.join(late, network)) == ["10.9.0.2/30"]


def test_more_members_than_one_transaction_moves_are_refused(
    three: tuple[House, str, list[Guest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, _, _ = three
    do(house, "pool.add", range="10.10.0.0/24")
    monkeypatch.setattr(renumber, "MEMBERS_MAX", 2)
    failed = fail(house, "pool.remove", range="10.9.0.0/24", renumber=True)

    assert "more than 2 members at once" in failed.message
    monkeypatch.setattr(renumber, "MEMBERS_MAX", 3)
    do(house, "pool.remove", range="10.9.0.0/24", renumber=True)


def test_a_range_that_is_none_is_named_with_the_nearest(house: House) -> None:
    house.network()
    failed = fail(house, "pool.remove", range="10.9.0.0/15")

    assert failed.code == Exit.NOT_FOUND
    assert "did you mean '10.9.0.0/16'?" in failed.hint
    assert fail(house, "pool.set", range="10.9.0.0/16", prefix="fd00::/64").code == Exit.USAGE
    both = fail(house, "pool.remove", range="10.9.0.0/16", force=True, renumber=True)
    assert both.code == Exit.USAGE

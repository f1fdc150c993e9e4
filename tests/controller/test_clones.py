"""J9, J10: a node that comes again is one node; one of which there are two is noticed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.front.clones import ASKED_MAX, PATIENCE, Clones
from protocol.admin import Result
from protocol.messages import Code, Joined, Ping, Pong, Refused, Unchanged, Welcome
from tests.controller.farm import Controller, running
from tests.controller.house import Guest, House

HOME = {"network": "home", "member": "n1"}


def again(house: House, guest: Guest, *, starts: int = 1) -> None:
    """The node comes over a new connection, after so many starts."""
    house.later(1)
    guest.routing += b"'"
    guest.generation += starts
    assert isinstance(house.hello(guest), Welcome)


def pings(house: House, routing: bytes) -> list[int]:
    return [r.id for to, r in house.sent if to == routing and isinstance(r, Ping) and r.id]


def cloned(house: House) -> str:
    return str(house.do("member.show", **HOME)[0]["cloned"])


def two(house: House) -> tuple[str, Guest, Guest]:
    """A node and its copy, which came later."""
    network = house.network()
    first = house.enrol(network)
    copy = Guest(first.key, first.wireguard, b"copy", name="n1")
    house.later(1)
    house.hello(copy)
    return network, first, copy


def test_twenty_restarts_are_one_node_with_one_address_also_after_the_tokens_end(
    house: House,
) -> None:
    """J9."""
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network)
    before = house.join(guest, network)
    shown = house.do("member.show", **HOME)[0]
    for number in range(20):
        again(house, guest)
        if number == 10:
            house.later(3600)  # the token has long expired
            house.reopen()
            house.hello(guest)
        assert house.addresses(house.join(guest, network)) == house.addresses(before)
    after = house.do("member.show", **HOME)[0]

    assert after["address"] == shown["address"]
    assert after["generation"] == shown["generation"] + 20
    assert house.count("member") == house.count("node") == 1
    assert house.membership(house.join(guest, network)) == house.membership(before)
    assert (after["cloned"], house.audit("node.cloned")) == ("", [])


def test_an_answer_on_the_older_connection_shows_that_there_are_two_and_the_newer_goes_on(
    house: House,
) -> None:
    """J10."""
    network, first, copy = two(house)
    (number,) = pings(house, first.routing)
    assert (pings(house, copy.routing), cloned(house)) == ([], "")
    now = house.call("watch", after="")
    house.say(first, Pong(number, 0))
    told = [r for r in house.pushed(first) if isinstance(r, Refused)]
    house.say(first, Pong(number, 0))  # answered once

    assert [r.code for r in told] == [Code.CLONED]
    assert house.pushed(copy) == []
    assert cloned(house)
    audited = house.audit("node.cloned")
    assert [row.object for row in audited] == [
        f"{network}/{house.do('member.show', **HOME)[0]['address']}"
    ]
    assert "two at once" in audited[0].detail
    assert isinstance(now, Result)
    events = house.do("watch", after=now.next)
    assert [(e["event"], e["detail"]) for e in events] == [("node.cloned", audited[0].detail)]
    session = house.sessions.get(first.key)
    assert session is not None
    assert session.routing == copy.routing
    assert isinstance(house.join(copy, network), Joined)


def test_it_stays_marked_until_somebody_says_that_the_copy_is_gone(house: House) -> None:
    _, first, _ = two(house)
    house.say(first, Pong(pings(house, first.routing)[0], 0))
    house.reopen()
    assert cloned(house)
    house.do("member.set", **HOME, cloned=False)

    assert cloned(house) == ""


def test_two_that_take_turns_are_noted_once_an_hour(house: House) -> None:
    _, first, copy = two(house)

    def turn(older: Guest) -> None:
        """The older answers, is sent away, and comes back as the newer."""
        house.say(older, Pong(pings(house, older.routing)[-1], 0))
        house.later(1)
        older.routing += b"'"
        house.hello(older)

    for older in (first, copy, first, copy):
        turn(older)
    assert len(house.audit("node.cloned")) == 1
    house.later(3600)
    turn(first)

    assert len(house.audit("node.cloned")) == 2


def test_an_old_copy_of_the_disk_shows_by_its_starts(house: House) -> None:
    """J10: two that never meet."""
    network = house.network()
    guest = house.enrol(network)
    again(house, guest, starts=6)
    house.sessions.end(guest.key)  # it is off
    assert cloned(house) == ""
    again(house, guest, starts=-3)
    assert cloned(house)
    again(house, guest)  # which is then what it is

    assert [row.detail for row in house.audit("node.cloned")] == [
        "an older copy of its disk came: start 4 after start 7, from 198.51.100.7"
    ]


@pytest.mark.parametrize("number", [0, 77])
def test_a_pong_that_nobody_asked_for_means_nothing(house: House, number: int) -> None:
    network, first, copy = two(house)
    house.say(copy, Pong(pings(house, first.routing)[0], 0))  # nor one from the newer connection
    house.say(first, Pong(number, 0))
    stranger = house.enrol(network, name="n2")
    house.say(stranger, Pong(pings(house, first.routing)[0], 0))

    assert (cloned(house), house.audit("node.cloned")) == ("", [])


def test_what_was_asked_is_forgotten_and_bounded() -> None:
    clones = Clones()
    old = clones.question(b"k", b"old", "", 0.0)
    for index in range(ASKED_MAX + 10):
        clones.question(b"k", b"%d" % index, "", PATIENCE)

    assert clones.answered(b"k", b"old", old) is None
    assert len(clones._asked) <= ASKED_MAX


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("controller")) as one:
        yield one


def test_a_copied_node_over_real_connections(controller: Controller, tmp_path: Path) -> None:
    """J10, over sockets: the first still answers when the copy comes."""
    network = controller.network("copied", ipv4="10.9.0.0/24")
    first = controller.node(network, "n1").enrol(network)
    copy = controller.node(network, "n1")
    copy.key, copy.secret, copy.wireguard = first.key, first.secret, first.wireguard
    assert isinstance(copy.hello(), Welcome)
    assert isinstance(copy.join(network), Joined)
    line = first.connect()
    reply = line.receive(5.0)  # it answers the question meanwhile, as any node does
    while not isinstance(reply, Refused):
        reply = line.receive(5.0)
    shown = controller.ask("member.show", network=network, member="n1")[0]

    assert reply.code == Code.CLONED
    assert shown["cloned"]
    assert isinstance(copy.refresh(network), Unchanged | Joined)

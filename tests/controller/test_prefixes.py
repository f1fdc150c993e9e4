"""Prefix pools: a part for who asks, its own alone, back when it is released."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store.work import QUARANTINE_MS
from protocol.admin import Failed, Result
from protocol.messages import Ack, Joined
from runtime.failure import Exit
from tests.controller.house import Guest, House

POOL = "2001:db8:5::/48"


class Home(House):
    """One network, a pool of two prefixes, members by name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.id = self.network("home", ipv4="10.9.0.0/24", ipv6="fd00:9::/64")
        self.do("prefix.add", network="home", prefix="2001:db8:5::/63")
        self.members = {name: self.enrol(self.id, self.token(), name=name) for name in "abc"}

    def __getitem__(self, name: str) -> Guest:
        return self.members[name]

    def lease(self, member: str, **more: str) -> list[str]:
        return list(self.do("prefix.lease", network="home", member=member, **more)[0]["prefixes"])

    def release(self, prefix: str) -> list[str]:
        return list(self.do("prefix.release", network="home", prefix=prefix)[0]["prefixes"])

    def certified(self, name: str) -> list[str]:
        """The prefixes in its certificate."""
        return [str(p) for p in self.membership(self.join(self[name], self.id)).networks]

    def serial(self, name: str) -> int:
        return self.membership(self.join(self[name], self.id)).serial

    def refusal(self, verb: str, **arguments: object) -> tuple[int, str]:
        reply = self.call(f"prefix.{verb}", network="home", **arguments)
        assert isinstance(reply, Failed), reply
        return reply.code, reply.message

    def listed(self, state: str) -> dict[str, str]:
        items = self.do("prefix.list", network="home")
        return {item["prefix"]: item["name"] for item in items if item["state"] == state}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    house = Home(tmp_path)
    yield house
    house.close()


FIRST, SECOND = "2001:db8:5::/64", "2001:db8:5:1::/64"


def test_i7_a_prefix_is_leased_signed_released_rests_and_is_leased_again(home: Home) -> None:
    """I7."""
    before = home.serial("a")
    given = home.lease("a"), home.lease("b")
    certified = home.certified("a"), home.certified("b")
    full = home.refusal("lease", member="c")
    home.release(FIRST)
    gone, resting = home.certified("a"), home.refusal("lease", member="c")
    rests = home.listed("resting")
    home.later(QUARANTINE_MS / 1000 + 1)

    assert given == certified == ([FIRST], [SECOND])
    assert gone == []
    assert rests == {FIRST: "a"}
    assert (full[0], resting[0]) == (Exit.EXHAUSTED, Exit.EXHAUSTED)
    assert home.lease("c") == home.certified("c") == [FIRST]
    assert home.listed("leased") == {FIRST: "c", SECOND: "b"}
    assert home.serial("a") == before + 2


def test_a_lease_is_kept_over_restarts_and_asked_for_again_it_is_the_same(home: Home) -> None:
    home.lease("a")
    serial = home.serial("a")
    home.reopen()

    assert home.lease("a") == home.certified("a") == [FIRST]
    assert home.serial("a") == serial


def test_who_had_a_prefix_has_it_back_while_it_rests(home: Home) -> None:
    home.lease("a")
    home.lease("b")
    home.release(SECOND)
    home.release(FIRST)

    assert home.lease("b") == [SECOND]
    assert home.lease("a") == [FIRST]


@pytest.mark.parametrize("verb", ["leave", "forget"])
def test_who_goes_leaves_its_prefix_to_others(home: Home, verb: str) -> None:
    home.lease("a")
    if verb == "leave":
        home.leave(home["a"], home.id)
    else:
        home.do("member.forget", network="home", member="a")
    home.lease("b")

    assert home.listed("leased") == {SECOND: "b"}
    assert list(home.listed("resting")) == [FIRST]


def test_a_member_that_is_connected_gets_its_new_certificate_at_once(home: Home) -> None:
    home.pushed(home["a"])
    home.lease("a")
    pushed = [reply for reply in home.pushed(home["a"]) if isinstance(reply, Joined)]

    assert [str(p) for p in home.membership(pushed[-1]).networks] == [FIRST]


def test_the_others_are_told_of_the_prefix(home: Home) -> None:
    home.later(1)
    home.push.run(home.now)
    known = home.pushed_rows(home["b"])[-1].revision
    home.say(home["b"], Ack(home.id, known))
    home.lease("a")
    home.later(1)
    home.push.run(home.now)

    assert [len(rows.rows) for rows in home.pushed_rows(home["b"])] == [1]


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("10.9.0.0/16", "no IPv6 prefix"),
        ("2001:db8:5::1/48", "no IPv6 prefix"),
        ("fd00:9::/48", "overlaps fd00:9::/64"),
        ("2001:db8:5:1::/64", "overlaps 2001:db8:5::/63"),
        ("2001:db8:6::/80", "no part of it"),
        ("2000::/8", "too small"),
    ],
)
def test_a_pool_that_makes_no_sense_is_refused(home: Home, prefix: str, reason: str) -> None:
    assert reason in home.refusal("add", prefix=prefix)[1]


def test_a_pool_is_removed_when_nothing_is_leased_out_of_it(home: Home) -> None:
    home.lease("a")
    held = home.refusal("remove", prefix="2001:db8:5::/63")
    home.release(FIRST)
    home.do("prefix.remove", network="home", prefix="2001:db8:5::/63")

    assert held == (
        Exit.CONFLICT,
        "cannot remove 2001:db8:5::/63: 1 of its prefixes are leased",
    )
    assert home.do("prefix.show", network="home") == []


def test_what_is_not_there_is_named(home: Home) -> None:
    assert home.refusal("release", prefix=FIRST)[0] == Exit.NOT_FOUND
    assert home.refusal("lease", member="a", pool=POOL)[0] == Exit.NOT_FOUND


def test_each_change_is_in_the_audit_log(home: Home) -> None:
    home.lease("a")
    home.release(FIRST)
    home.do("prefix.remove", network="home", prefix="2001:db8:5::/63")
    deeds = [note.action for note in home.notes() if note.action.startswith("prefix.")]

    assert deeds == ["prefix.add", "prefix.lease", "prefix.release", "prefix.remove"]


def test_pools_say_how_much_is_left_and_leases_come_in_pages(home: Home) -> None:
    for name in "ab":
        home.lease(name)
    first = home.call("prefix.list", network="home", limit=1)
    assert isinstance(first, Result)
    second = home.call("prefix.list", network="home", limit=1, after=first.next)
    assert isinstance(second, Result)

    assert home.do("prefix.show", network="home") == [
        {"prefix": "2001:db8:5::/63", "length": 64, "leased": 2, "size": 2}
    ]
    assert [item["name"] for item in (*first.items, *second.items)] == ["a", "b"]
    assert second.next == ""

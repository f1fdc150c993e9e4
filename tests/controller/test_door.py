"""The open door: who uses a token that asks waits, in sight or hidden, until somebody decides."""

import pytest
from msgspec.structs import replace

from controller.config import PendingConfig
from controller.members.door import expire
from controller.members.tombstones import KEEP_MS, purge
from protocol.messages import Code, Done, Joined, Refused, Waiting
from tests.controller.house import DAY_MS, Guest, House

HOME = {"network": "home", "member": "n1"}


def knock(house: House, token: bytes, name: str = "n1") -> Guest:
    guest = house.guest(name)
    assert isinstance(house.admit(token, guest), Done)
    house.hello(guest)
    return guest


def limit(house: House, **limits: int) -> None:
    house.registry.pending = replace(PendingConfig(), **limits)


def after_days(house: House, days: float) -> int:
    """How many are forgotten then."""
    house.later(days * DAY_MS / 1000)
    return house.desk.transact(lambda w: expire(house.registry, w), house.now_ms, house.now)


def refused(reply: object) -> Refused:
    assert isinstance(reply, Refused), reply
    assert reply.message.startswith("cannot ")
    return reply


def test_who_uses_an_ask_token_waits_until_authorized_and_is_told_at_once(house: House) -> None:
    """J7: approve."""
    network = house.network()
    token = house.token(ask=True, uses=10)
    guest, other = knock(house, token), knock(house, token, "n2")
    waiting = house.join(guest, network)
    listed = house.do("member.list", network="home", states=["pending"])
    house.later(60)
    shown = house.do("member.show", **HOME)[0]
    house.pushed(guest)
    house.do("member.authorize", **HOME)
    told = [m.state for m in house.pushed(guest) if isinstance(m, Waiting)]

    assert isinstance(waiting, Waiting)
    assert sorted((m["name"], m["authorized"]) for m in listed) == [("n1", False), ("n2", False)]
    assert (shown["connection"], shown["age"]) == ("pending", 60)
    assert told == ["authorized"]
    assert isinstance(house.join(guest, network), Joined)
    assert isinstance(house.join(other, network), Waiting)


def test_one_that_is_rejected_waits_on_and_has_no_place(house: House) -> None:
    """J7: reject; by deauthorize it is told so, by ban its key is refused, by forget it is no more."""
    network = house.network()
    token = house.token(ask=True, uses=10)
    guests = {verb: knock(house, token, verb) for verb in ("deauthorize", "ban", "forget")}
    told = {}
    for verb, guest in guests.items():
        house.pushed(guest)
        house.do(f"member.{verb}", network="home", member=verb)
        told[verb] = [getattr(m, "state", getattr(m, "code", "")) for m in house.pushed(guest)]

    assert told == {"deauthorize": ["deauthorized"], "ban": [Code.BANNED], "forget": [Code.DENIED]}
    assert isinstance(house.join(guests["deauthorize"], network), Waiting)
    assert refused(house.join(guests["ban"], network)).code == Code.BANNED
    assert refused(house.join(guests["forget"], network)).code == Code.DENIED
    assert isinstance(house.admit(token, guests["forget"]), Done)
    assert refused(house.admit(token, guests["ban"])).code == Code.BANNED


@pytest.mark.parametrize("limits", [{"per_network": 3}, {"in_all": 3}])
def test_a_door_that_is_full_says_so_and_costs_no_use(house: House, limits: dict[str, int]) -> None:
    house.network()
    limit(house, **limits)
    token = house.token(ask=True, uses=10)
    for number in range(3):
        knock(house, token, f"n{number}")
    full = refused(house.admit(token, house.guest("late")))

    assert full.code == Code.FULL
    assert full.retry_after > 0
    assert "--state pending" in full.hint
    assert house.do("token.list")[0]["uses_left"] == 7
    assert isinstance(house.admit(house.token(), house.guest("sure")), Done)  # no waiting, no bound
    house.do("member.authorize", network="home", member="n0")
    assert isinstance(house.admit(token, house.guest("late")), Done)


def test_a_full_network_leaves_the_doors_of_others_open(house: House) -> None:
    house.network()
    house.network("other", ipv4="10.10.0.0/16")
    limit(house, per_network=1)
    knock(house, house.token(ask=True))
    refused(house.admit(house.token(ask=True), house.guest()))

    assert isinstance(house.admit(house.token("other", ask=True), house.guest()), Done)


def test_how_many_wait_and_for_how_long_is_what_the_config_says(house: House) -> None:
    bounds = PendingConfig(per_network=2, in_all=9, days=3)
    house.config = replace(house.config, pending=bounds)
    house.reopen()
    house.network()
    token = house.token(ask=True, uses=10)
    for number in range(2):
        knock(house, token, f"n{number}")

    assert refused(house.admit(token, house.guest("late"))).code == Code.FULL
    assert after_days(house, 2.9) == 0
    assert after_days(house, 0.2) == 2


def test_the_bound_holds_within_one_batch(house: House) -> None:
    house.network()
    limit(house, per_network=5)
    token = house.token(ask=True, uses=100)
    for number in range(20):
        house.take(*house.admit_frame(token, house.guest(f"n{number}")))
    house.work()
    replies = [reply for _, reply in house.sent]

    assert sum(isinstance(r, Done) for r in replies) == 5
    assert [r.code for r in replies if isinstance(r, Refused)] == [Code.FULL] * 15


def test_whom_nobody_lets_in_for_a_week_is_forgotten_and_audited(house: House) -> None:
    network = house.network()
    token = house.token(ask=True, uses=10, ttl=300 * 24 * 3600)
    guest, kept = knock(house, token), knock(house, token, "kept")
    house.do("member.authorize", network="home", member="kept")
    assert after_days(house, 6.9) == 0
    house.pushed(guest)
    assert after_days(house, 0.2) == 1
    told = [m for m in house.pushed(guest) if isinstance(m, Refused)]
    audited = house.audit("member.expire")

    assert [m["name"] for m in house.do("member.list", network="home")] == ["kept"]
    assert "nobody let it in for 7 days" in told[0].message
    assert [row.actor for row in audited] == ["controller"]
    assert refused(house.join(guest, network)).code == Code.DENIED
    assert isinstance(house.join(kept, network), Joined)
    assert isinstance(house.admit(token, guest), Done)  # with a token that lives it may ask anew
    assert after_days(house, 6.9) == 0


def test_one_that_was_hidden_asks_again_and_stays_hidden_and_single(house: House) -> None:
    network = house.network()
    token = house.token(ask=True, uses=10, ttl=300 * 24 * 3600)
    guest = knock(house, token)
    house.do("member.set", **HOME, hidden=True)
    for _ in range(3):
        assert isinstance(house.admit(token, guest), Done)
        house.hello(guest)
        assert isinstance(house.join(guest, network), Waiting)
    assert house.do("member.list", network="home") == []
    assert len(house.do("member.list", network="home", hidden=True)) == 1
    house.do("member.forget", **HOME)  # and come again it is still hidden
    assert isinstance(house.admit(token, guest), Done)

    assert house.do("member.list", network="home") == []
    assert house.count("member") == house.count("node") == 1
    house.do("member.authorize", **HOME)  # whoever is let in is in sight
    assert len(house.do("member.list", network="home")) == 1


def test_one_that_is_hidden_waits_for_as_long_as_it_asks(house: House) -> None:
    house.network()
    token = house.token(ask=True, uses=10)
    guest = knock(house, token)
    house.do("member.set", **HOME, hidden=True)
    for _ in range(3):
        assert after_days(house, 6) == 0
        house.hello(guest)
        house.keep_seen()
    assert after_days(house, 8) == 1

    assert house.do("member.list", network="home", hidden=True) == []


def test_a_node_that_only_waited_leaves_nothing_behind_a_month_later(house: House) -> None:
    network = house.network()
    member = house.enrol(network, name="member")
    knock(house, house.token(ask=True))
    held = house.registry.networks[1].revision
    house.do("member.forget", **HOME)
    house.later(KEEP_MS / 1000 + 1)
    purged = house.registry.networks[1].purged
    assert purge(house.registry, house.now_ms) == 1

    assert house.registry.networks[1].purged == purged  # nobody needs a snapshot for it
    assert house.count("node") == house.count("member") == 1
    rows = house.fetch(member, network, revision=held)
    assert not getattr(rows, "full", True)

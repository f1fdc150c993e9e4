"""Which transit carries whom: deterministic, spread, and only where it can."""

from hypothesis import given
from hypothesis import strategies as st

from controller.relays import Reach, choose_relays, choose_transit, needs_relay, reach_of

PUBLIC = reach_of(roles=["transit"], endpoints=["192.0.2.1:1", "[2001:db8::1]:1"], families=[4, 6])
IPV4_TRANSIT = reach_of(roles=["transit"], endpoints=["192.0.2.1:1"], families=[4])
BEHIND_NAT = reach_of(roles=[], endpoints=["[2001:db8::2]:1"], families=[4, 6])
HIDDEN = reach_of(roles=[], endpoints=[], families=[4])
HIDDEN6 = reach_of(roles=[], endpoints=[], families=[6])
OPEN = reach_of(roles=[], endpoints=["192.0.2.1:1", "[2001:db8::1]:1"], families=[4, 6])


def test_who_is_not_reachable_in_both_families_gets_the_transit() -> None:
    members = {b"n1": PUBLIC, b"n2": BEHIND_NAT, b"n3": HIDDEN, b"n4": OPEN}

    assert choose_relays(members) == {b"n2": b"n1", b"n3": b"n1"}


def test_without_a_transit_nobody_is_relayed() -> None:
    assert choose_relays({b"n2": BEHIND_NAT, b"n3": HIDDEN}) == {}


def test_a_transit_that_the_member_cannot_reach_is_none() -> None:
    assert choose_transit(b"n3", HIDDEN, [(b"t", IPV4_TRANSIT)]) == b"t"
    assert choose_transit(b"n3", HIDDEN6, [(b"t", IPV4_TRANSIT)]) is None


def test_a_transit_in_both_families_is_preferred() -> None:
    transits = [(b"a", IPV4_TRANSIT), (b"b", PUBLIC), (b"c", IPV4_TRANSIT)]

    assert {choose_transit(b"%d" % i, HIDDEN, transits) for i in range(20)} == {b"b"}


def test_transits_and_open_members_need_none() -> None:
    assert not needs_relay(PUBLIC)
    assert not needs_relay(IPV4_TRANSIT)
    assert not needs_relay(OPEN)
    assert needs_relay(HIDDEN)


def test_members_spread_over_equal_transits_and_a_new_one_takes_only_its_share() -> None:
    members: dict[bytes, Reach] = {b"m%d" % i: HIDDEN for i in range(300)}
    two = choose_relays(members | {b"t1": PUBLIC, b"t2": PUBLIC})
    three = choose_relays(members | {b"t1": PUBLIC, b"t2": PUBLIC, b"t3": PUBLIC})
    moved = {member for member in two if two[member] != three[member]}

    assert 100 < list(two.values()).count(b"t1") < 200
    assert {three[member] for member in moved} == {b"t3"}


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.sampled_from([PUBLIC, HIDDEN, OPEN])))
def test_the_order_of_members_does_not_matter(members: dict[bytes, Reach]) -> None:
    backwards = dict(reversed(members.items()))

    assert choose_relays(members) == choose_relays(backwards)

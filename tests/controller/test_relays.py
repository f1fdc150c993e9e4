"""Which transit carries whom: deterministic, the same for all, and only where it can."""

from hypothesis import given
from hypothesis import strategies as st

from controller.netmap.relays import Reach, choose_transit, needs_relay, reach_of

PUBLIC = reach_of(roles=["transit"], endpoints=["192.0.2.1:1", "[2001:db8::1]:1"], families=[4, 6])
IPV4_TRANSIT = reach_of(roles=["transit"], endpoints=["192.0.2.1:1"], families=[4])
BEHIND_NAT = reach_of(roles=[], endpoints=["[2001:db8::2]:1"], families=[4, 6])
HIDDEN = reach_of(roles=[], endpoints=[], families=[4])
HIDDEN6 = reach_of(roles=[], endpoints=[], families=[6])
OPEN = reach_of(roles=[], endpoints=["192.0.2.1:1", "[2001:db8::1]:1"], families=[4, 6])


def choose_all(members: dict[bytes, Reach]) -> dict[bytes, bytes]:
    transits = [(key, reach) for key, reach in members.items() if reach.transit]
    chosen = {key: choose_transit(reach, transits) for key, reach in members.items()}
    return {key: transit for key, transit in chosen.items() if transit is not None}


def test_who_is_not_reachable_in_both_families_gets_the_transit() -> None:
    members = {b"n1": PUBLIC, b"n2": BEHIND_NAT, b"n3": HIDDEN, b"n4": OPEN}

    assert choose_all(members) == {b"n2": b"n1", b"n3": b"n1"}


def test_without_a_transit_nobody_is_relayed() -> None:
    assert choose_all({b"n2": BEHIND_NAT, b"n3": HIDDEN}) == {}


def test_a_transit_that_the_member_cannot_reach_is_none() -> None:
    assert choose_transit(HIDDEN, [(b"t", IPV4_TRANSIT)]) == b"t"
    assert choose_transit(HIDDEN6, [(b"t", IPV4_TRANSIT)]) is None


def test_a_transit_in_both_families_is_preferred() -> None:
    transits = [(b"a", IPV4_TRANSIT), (b"b", PUBLIC), (b"c", IPV4_TRANSIT)]

    assert choose_transit(HIDDEN, transits) == b"b"


def test_transits_and_open_members_need_none() -> None:
    assert not needs_relay(PUBLIC)
    assert not needs_relay(IPV4_TRANSIT)
    assert not needs_relay(OPEN)
    assert needs_relay(HIDDEN)


def test_both_ends_of_a_pair_have_the_same_transit() -> None:
    transits = {b"t2": PUBLIC, b"t1": PUBLIC, b"t0": IPV4_TRANSIT}
    members: dict[bytes, Reach] = {b"m%d" % i: HIDDEN for i in range(30)} | {b"six": HIDDEN6}

    assert set(choose_all(members | transits).values()) == {b"t1"}


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.sampled_from([PUBLIC, HIDDEN, OPEN])))
def test_the_order_of_members_does_not_matter(members: dict[bytes, Reach]) -> None:
    backwards = dict(reversed(members.items()))

    assert choose_all(members) == choose_all(backwards)

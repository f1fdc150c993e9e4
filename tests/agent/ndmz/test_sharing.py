"""Whether the host's IPv4 is shared, on a timeline."""

from agent.ndmz.sharing import PATIENCE_S, YIELD_S, Setting, Sharing


def decide(
    sharing: Sharing, now: float, *, own4: bool = False, host4: bool = True, there: bool = False
) -> bool:
    return sharing.decide(own4=own4, host4=host4, there=there, now=now)


def test_by_config_it_is_so_whatever_there_is() -> None:
    settings: tuple[Setting, ...] = ("own", "shared")
    for setting in settings:
        sharing = Sharing(setting)
        found = {
            decide(sharing, now, own4=own4, there=there)
            for now in (0.0, 100.0)
            for own4 in (True, False)
            for there in (True, False)
        }

        assert found == {setting == "shared"}
        assert sharing.deadline is None


def test_a_site_that_leaves_ndmz_without_is_given_time_and_then_the_host_shares() -> None:
    sharing = Sharing("auto")

    found = [
        (decide(sharing, now), sharing.deadline)
        for now in (5.0, 4.9 + PATIENCE_S, 5.0 + PATIENCE_S)
    ]

    assert found == [(False, 5.0 + PATIENCE_S), (False, 5.0 + PATIENCE_S), (True, None)]
    assert "still asking" in sharing.why


def test_time_counts_from_when_the_host_has_what_ndmz_has_not() -> None:
    sharing = Sharing("auto")
    decide(sharing, 0.0, host4=False)
    late = decide(sharing, 100.0)
    decide(sharing, 101.0, own4=True)
    lost = decide(sharing, 200.0)

    assert (late, lost) == (False, False)
    assert sharing.deadline == 200.0 + PATIENCE_S


def test_what_is_there_from_before_stays_until_a_lease_comes() -> None:
    sharing = Sharing("auto")
    adopted = decide(sharing, 0.0, there=True)
    without_host = decide(sharing, 1.0, there=True, host4=False)
    leased = decide(sharing, 2.0, there=True, own4=True)

    assert (adopted, without_host, leased) == (True, True, False)
    assert sharing.why == "a lease of its own"


def test_the_host_comes_first_where_there_is_one_lease() -> None:
    sharing = Sharing("auto")

    def may(now: float, *, holds: bool, host: bool) -> bool:
        return sharing.may_ask(holds=holds, host=host, now=now)

    both = may(0.0, holds=True, host=True)
    moment = may(10.0, holds=True, host=False)
    due = sharing.deadline
    back = may(12.0, holds=True, host=True)
    found = [may(now, holds=True, host=False) for now in (20.0, 19.9 + YIELD_S, 20.0 + YIELD_S)]
    given_back = [may(now, holds=False, host=False) for now in (30.0, 300.0)]

    assert (both, moment, back) == (True, True, True)
    assert due == 10.0 + YIELD_S
    assert found == [True, True, False]
    assert given_back == [False, False]
    assert may(301.0, holds=False, host=True)


def test_by_config_ndmz_asks_or_does_not_whatever_the_host_has() -> None:
    assert Sharing("own").may_ask(holds=False, host=False, now=0.0)
    assert Sharing("own").may_ask(holds=True, host=False, now=1e6)
    assert not Sharing("shared").may_ask(holds=True, host=True, now=0.0)

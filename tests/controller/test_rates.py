"""Purses: what may be asked at once and for long, and who is not listened to."""

from controller.front.rates import BURST, COSTS, DEBT, RATE, Rates


def asked(rates: Rates, who: str, times: int, now: float) -> int:
    """How many of `times` requests were within the rate."""
    return sum(rates.purse(who, now).spend(1.0) for _ in range(times))


def test_a_purse_holds_a_burst_and_fills_again() -> None:
    rates = Rates()

    assert asked(rates, "n", 401, 0.0) == BURST
    assert asked(rates, "n", 1000, 2.0) == 2 * RATE - 1  # the one too many was paid as well


def test_one_s_purse_is_not_another_s() -> None:
    rates = Rates()
    asked(rates, "greedy", 1000, 0.0)

    assert rates.purse("modest", 0.0).spend(COSTS["leave"])


def test_whoever_goes_on_in_debt_is_not_listened_to_until_he_rests() -> None:
    rates = Rates()
    asked(rates, "n", int(BURST), 0.0)
    assert rates.purse("n", 0.0).may_speak
    asked(rates, "n", int(DEBT), 0.0)
    assert not rates.purse("n", 0.0).may_speak

    assert rates.purse("n", 1.0).may_speak
    assert rates.purse("n", 1.0).spend(1.0)


def test_a_fine_is_paid_whatever_is_left() -> None:
    rates = Rates()
    rates.purse("n", 0.0).fine(BURST + DEBT)

    assert not rates.purse("n", 0.0).may_speak


def test_purses_that_are_full_again_are_forgotten() -> None:
    rates = Rates()
    asked(rates, "n", 100, 0.0)
    asked(rates, "m", 300, 0.0)
    rates.sweep(2.0)

    assert len(rates) == 1
    assert asked(rates, "m", 1000, 2.0) == 100 + 2 * RATE

"""Purses: what may be asked at once and for long, and who is not listened to."""

from controller.rates import BURST, COSTS, DEBT, RATE, Rates


def asked(rates: Rates, who: str, times: int, now: float) -> int:
    """How many of `times` requests were within the rate."""
    return sum(rates.spend(who, 1.0, now) for _ in range(times))


def test_a_purse_holds_a_burst_and_fills_again() -> None:
    rates = Rates()

    assert asked(rates, "n", 401, 0.0) == BURST
    assert asked(rates, "n", 1000, 2.0) == 2 * RATE - 1  # the one too many was paid as well


def test_one_s_purse_is_not_another_s() -> None:
    rates = Rates()
    asked(rates, "greedy", 1000, 0.0)

    assert rates.spend("modest", COSTS["leave"], 0.0)


def test_whoever_goes_on_in_debt_is_not_listened_to_until_he_rests() -> None:
    rates = Rates()
    asked(rates, "n", int(BURST), 0.0)
    assert rates.may_speak("n", 0.0)
    asked(rates, "n", int(DEBT), 0.0)
    assert not rates.may_speak("n", 0.0)

    assert rates.may_speak("n", 1.0)
    assert rates.spend("n", 1.0, 1.0)


def test_a_fine_is_paid_whatever_is_left() -> None:
    rates = Rates()
    rates.fine("n", BURST + DEBT, 0.0)

    assert not rates.may_speak("n", 0.0)


def test_purses_that_are_full_again_are_forgotten() -> None:
    rates = Rates()
    asked(rates, "n", 100, 0.0)
    asked(rates, "m", 300, 0.0)
    rates.sweep(2.0)

    assert len(rates) == 1
    assert asked(rates, "m", 1000, 2.0) == 100 + 2 * RATE

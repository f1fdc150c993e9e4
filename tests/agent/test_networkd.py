"""networkd's end: what its tasks die of, as people are told it."""

import pytest

from agent.networkd import clock_reasons, one_reason
from runtime.failure import CannotError


def test_of_several_tasks_errors_people_are_told_the_first() -> None:
    first, second = CannotError("cannot do this: no"), CannotError("cannot do that: no")
    nested = BaseExceptionGroup("tasks", [ExceptionGroup("inner", [first]), second])
    with pytest.raises(CannotError) as caught, one_reason():
        raise nested

    assert caught.value is first


def test_a_fault_of_ours_is_shown_whole() -> None:
    group = ExceptionGroup("tasks", [CannotError("cannot: no"), RuntimeError("a bug")])
    with pytest.raises(ExceptionGroup) as caught, one_reason():
        raise group

    assert caught.value is group


@pytest.mark.parametrize(
    ("ahead_ms", "said"),
    [
        (0, ""),
        (-119_000, ""),
        (125_000, "0:02 h ahead of"),
        (-3_600_000 * 26, "1 day, 2:00 h behind"),
    ],
)
def test_a_system_clock_is_named_when_it_is_minutes_off(ahead_ms: int, said: str) -> None:
    reasons = clock_reasons(ahead_ms)

    assert [why.partition(" the controller's")[0] for why in reasons] == (
        [f"the system clock is {said}"] if said else []
    )
    assert all("date -s" in why for why in reasons)

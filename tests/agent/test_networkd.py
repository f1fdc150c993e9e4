"""networkd's end: what its tasks die of, as people are told it."""

import pytest

from agent.networkd import one_reason
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

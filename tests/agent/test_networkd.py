"""networkd's end: what its tasks die of, as people are told it."""

import asyncio
from itertools import pairwise

import pytest

from agent.networkd import LEAST, clock_reasons, one_reason, tell_changes
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


def test_a_change_is_told_at_once_and_a_swarm_of_them_a_few_times() -> None:
    asyncio.run(swarm())


async def swarm() -> None:
    loop, stirred, told = asyncio.get_running_loop(), asyncio.Event(), list[float]()

    def say() -> float:
        told.append(loop.time())
        return 60.0

    telling = asyncio.create_task(tell_changes(stirred, say))
    await asyncio.sleep(2 * LEAST)
    once, stirred_at = len(told), loop.time()
    for _ in range(100):
        stirred.set()
        await asyncio.sleep(LEAST / 50)
    stopped = loop.time() - LEAST / 50  # just before the last
    await asyncio.sleep(2 * LEAST)
    telling.cancel()

    assert once == 1
    assert told[1] - stirred_at < LEAST
    assert min(after - before for before, after in pairwise(told)) >= LEAST * 0.99
    assert told[-1] > stopped  # nothing of it is left untold


def test_what_nobody_told_of_is_told_in_the_end() -> None:
    asyncio.run(silence())


async def silence() -> None:
    told = list[int]()

    def say() -> float:
        told.append(1)
        return 0.01

    telling = asyncio.create_task(tell_changes(asyncio.Event(), say))
    await asyncio.sleep(5 * LEAST)
    telling.cancel()

    assert len(told) > 1

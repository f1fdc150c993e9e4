"""A farm as `status` is told of it."""

from agent.enrol.machine import DEAD, STALE
from agent.enrol.report import farm_status
from agent.enrol.store import FarmFile
from tests.agent.enrol.timeline import online


def test_a_controller_that_owes_an_answer_is_silent_for_so_many_seconds() -> None:
    who = online()
    file = FarmFile(root=b"r" * 32, controllers=(), admitted=True)
    silent = [
        farm_status(
            file,
            who.machine,
            trouble=None,
            welcome=None,
            tokens=0,
            admitted_at=0.0,
            away_since=None,
            now=now,
        ).silent_seconds
        for now in (0, STALE - 0.1, STALE, DEAD - 1)
    ]

    assert silent == [0, 0, int(STALE), int(DEAD - 1)]

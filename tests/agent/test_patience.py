"""A daemon that something keeps from working waits, and says so once."""

import logging
from collections.abc import Iterator

import pytest

from agent.patience import FIRST, LAST, LIVED, keep_trying
from runtime.alone import BusyError
from runtime.failure import CannotError

Outcome = Exception | int


class Daemon:
    """Does what it is told, a try after the other; each try takes `takes` seconds."""

    def __init__(self, *outcomes: Outcome, takes: float = 0.1) -> None:
        self._outcomes: Iterator[Outcome] = iter(outcomes)
        self._takes, self._now = takes, 0.0
        self.pauses: list[float] = []
        self.told: list[str] = []

    def start(self) -> int:
        self._now += self._takes
        outcome = next(self._outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 2))

    def run(self) -> int:
        return keep_trying(
            self.start,
            lambda error: self.told.append(error.message),
            sleep=self.sleep,
            now=lambda: self._now,
        )


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


TUN = CannotError("cannot start: no tun", hint="modprobe tun")
NFT = CannotError("cannot start: no nft")


def test_what_is_in_the_way_is_logged_once_and_told_each_time_until_it_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    daemon = Daemon(TUN, TUN, TUN, NFT, 0)

    assert daemon.run() == 0
    assert said(caplog) == ["cannot start: no tun (modprobe tun)", "cannot start: no nft"]
    assert daemon.told == [TUN.message, TUN.message, TUN.message, NFT.message]


def test_nothing_in_the_way_is_nothing_to_say(caplog: pytest.LogCaptureFixture) -> None:
    daemon = Daemon(143)

    assert daemon.run() == 143
    assert (said(caplog), daemon.told, daemon.pauses) == ([], [], [])


def test_pauses_grow_to_a_few_seconds() -> None:
    daemon = Daemon(*[TUN] * 6, 0)
    daemon.run()

    assert daemon.pauses[0] == FIRST
    assert daemon.pauses[-1] == LAST
    assert daemon.pauses == sorted(daemon.pauses)


def test_what_comes_back_after_a_life_is_said_anew(caplog: pytest.LogCaptureFixture) -> None:
    daemon = Daemon(TUN, TUN, 0, takes=LIVED)
    daemon.run()

    assert len(said(caplog)) == 2
    assert daemon.pauses == [FIRST, FIRST]


def test_what_the_one_that_runs_says_of_itself_is_not_written_over() -> None:
    daemon = Daemon(BusyError("cannot start: another one is running"), TUN, 0)
    daemon.run()

    assert daemon.told == [TUN.message]


def test_a_fault_of_ours_ends_the_program() -> None:
    daemon = Daemon(TUN, ZeroDivisionError(), 0)
    with pytest.raises(ZeroDivisionError):
        daemon.run()

    assert daemon.pauses == [FIRST]

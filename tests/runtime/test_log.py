"""Log lines are one line each; files are daily, seven are kept, a link names today's."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.config import LogConfig
from runtime.failure import CannotError, Exit
from runtime.log import DailyFile, LineFormatter, start_logging

DAY = 86_400
FIRST = datetime(2026, 11, 21, 3, 12, 5, tzinfo=UTC).timestamp()


def record(
    message: str = "uplink chosen", *, at: float = FIRST, **fields: object
) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "agent.boot", "levelname": "INFO", "levelno": 20, "msg": message, **fields}
    )
    made.created, made.msecs = at, 123.0
    return made


def test_a_line_is_time_level_name_phrase_and_fields() -> None:
    line = LineFormatter().format(record(nic="eth0", reason="private IPv4", port=7, empty=""))

    assert line == (
        "2026-11-21T03:12:05.123Z INFO agent.boot: uplink chosen"
        ' nic=eth0 reason="private IPv4" port=7 empty=""'
    )


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "a\rb", 'say "so"', "a=b", "\u2028"])
def test_a_field_that_a_stranger_chose_stays_in_its_line_and_its_quotes(text: str) -> None:
    line = LineFormatter().format(record(name_=text))

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert line.split(" name_=")[1][0] == '"'


def test_an_exception_is_shown_below() -> None:
    error = ZeroDivisionError("division by zero")
    line = LineFormatter().format(record(exc_info=(type(error), error, None)))

    assert line.splitlines()[0].endswith("uplink chosen")
    assert line.endswith("ZeroDivisionError: division by zero")


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[DailyFile]:
    daily = DailyFile(tmp_path, "controller")
    daily.setFormatter(LineFormatter())
    yield daily
    daily.close()


def files(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir() if not p.is_symlink())


def test_each_day_has_its_file_and_the_link_is_todays(handler: DailyFile, tmp_path: Path) -> None:
    handler.emit(record("one"))
    handler.emit(record("two"))
    handler.emit(record("three", at=FIRST + DAY))

    assert files(tmp_path) == ["controller-2026-11-21.log", "controller-2026-11-22.log"]
    assert (tmp_path / "controller.log").readlink() == Path("controller-2026-11-22.log")
    assert len((tmp_path / "controller-2026-11-21.log").read_text().splitlines()) == 2


def test_seven_days_are_kept_and_other_files_are_not_touched(
    handler: DailyFile, tmp_path: Path
) -> None:
    others = ["controller-notes.log", "other-2020-01-01.log", "controller-x-2020-01-01.log"]
    for name in others:
        (tmp_path / name).touch()
    for day in range(10):
        handler.emit(record(at=FIRST + day * DAY))
    kept = [name for name in files(tmp_path) if name not in others]

    assert kept == [f"controller-2026-11-{day}.log" for day in range(24, 31)]
    assert set(others) <= set(files(tmp_path))


def test_a_clock_that_went_back_does_not_cost_todays_file(
    handler: DailyFile, tmp_path: Path
) -> None:
    for day in range(8):
        handler.emit(record(at=FIRST + day * DAY))
    handler.emit(record("after the jump", at=0.0))

    assert "after the jump" in (tmp_path / "controller.log").read_text()
    assert len(files(tmp_path)) == 7


def test_a_restart_on_the_same_day_goes_on_in_the_same_file(
    handler: DailyFile, tmp_path: Path
) -> None:
    handler.emit(record("one"))
    handler.close()
    handler.emit(record("two"))

    assert (tmp_path / "controller.log").read_text().count("\n") == 2


def test_a_restart_days_later_deletes_what_is_too_old(tmp_path: Path) -> None:
    """The other program's files are its own matter."""
    for program, day in (("controller", 0), ("agent", 0), ("controller", 9)):
        for back in range(8):
            daily = DailyFile(tmp_path, program)
            daily.setFormatter(LineFormatter())
            daily.emit(record(at=FIRST + (day + back) * DAY))
            daily.close()

    assert [name for name in files(tmp_path) if name.startswith("controller")] == [
        f"controller-2026-{day}.log"
        for day in ("12-01", "12-02", "12-03", "12-04", "12-05", "12-06", "12-07")
    ]
    assert len([name for name in files(tmp_path) if name.startswith("agent")]) == 7
    assert (tmp_path / "agent.log").readlink() == Path("agent-2026-11-28.log")


def test_midnight_is_that_of_utc(
    handler: DailyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        midnight = FIRST - FIRST % DAY + DAY
        handler.emit(record("the last", at=midnight - 0.001))
        handler.emit(record("the first", at=midnight))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert "the last" in (tmp_path / "controller-2026-11-21.log").read_text()
    assert "the first" in (tmp_path / "controller-2026-11-22.log").read_text()


def test_who_follows_the_link_always_finds_a_file(handler: DailyFile, tmp_path: Path) -> None:
    handler.emit(record())
    link, missed, done = tmp_path / "controller.log", [], threading.Event()

    def follow() -> None:
        while not done.is_set():
            try:
                os.stat(link)  # noqa: PTH116  # as often as can be
            except FileNotFoundError as error:
                missed.append(error)

    reader = threading.Thread(target=follow)
    reader.start()
    for day in range(4000):  # back and forth over two days, so that no file is ever deleted
        handler.emit(record(at=FIRST + day % 2 * DAY))
    done.set()
    reader.join()

    assert missed == []


def test_a_file_in_the_links_place_is_not_taken(
    handler: DailyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "controller.log"
    own.write_text("somebody's own")
    handler.emit(record("one"))
    handler.emit(record("two", at=FIRST + DAY))

    assert own.read_text() == "somebody's own"
    assert len(files(tmp_path)) == 3
    assert f"cannot link {own} to controller-2026-11-21.log" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_says_so_once_and_does_not_end_the_program(
    handler: DailyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    broken = DailyFile(tmp_path / "file" / "logs", "controller")
    broken.setFormatter(LineFormatter())
    broken.emit(record())
    broken.emit(record())
    said = capsys.readouterr().err
    handler.emit(record())

    assert said == f"cannot log to {tmp_path / 'file' / 'logs'}: Not a directory\n"
    assert capsys.readouterr().err == ""


def test_a_record_that_cannot_be_formatted_shows_where_it_comes_from(
    handler: DailyFile, capsys: pytest.CaptureFixture[str]
) -> None:
    bad_arguments = record("%d items")
    bad_arguments.args = ("many",)
    handler.emit(bad_arguments)

    assert "TypeError" in capsys.readouterr().err


def test_a_log_directory_that_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotError) as error:
        DailyFile(tmp_path / "file" / "logs", "controller").check()
    DailyFile(tmp_path / "logs", "controller").check()

    assert error.value.message == f"cannot log to {tmp_path / 'file' / 'logs'}: Not a directory"
    assert error.value.code == Exit.USAGE
    assert (tmp_path / "logs").is_dir()


def test_logging_goes_to_stderr_and_to_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers = []
    try:
        start_logging(LogConfig("info", str(tmp_path)), program="controller")
        logging.getLogger("controller").info("it runs", extra={"port": 7})
        logging.getLogger("controller").debug("not shown")
    finally:
        for added in root.handlers:
            added.close()
        root.handlers, root.level = handlers, level

    assert (tmp_path / "controller.log").read_text().endswith("INFO controller: it runs port=7\n")
    assert capsys.readouterr().err.endswith("INFO controller: it runs port=7\n")

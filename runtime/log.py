"""Logs: a constant phrase and fields, one line each.

    log = logging.getLogger(__name__)
    log.info("uplink chosen", extra={"nic": "eth0", "reason": "private IPv4"})

prints `2026-11-21T03:12:05.123Z INFO agent.boot.runner: uplink chosen nic=eth0 reason="private IPv4"`.
To stderr, where the supervisor keeps it; with a directory in the config also to a file a day, of
which seven are kept, with a link to today's. INFO: state changed. DEBUG: packets. WARNING: the operator should know.
ERROR: the operator must act. Never a secret.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TextIO

from runtime.config import LogConfig
from runtime.failure import CannotError, Exit

KEEP_DAYS = 7
_BUILT_IN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Phrase and `key=value` fields; values with blanks or control characters as JSON strings."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        line = f"{moment}.{int(record.msecs):03d}Z {record.levelname} {record.name}: {record.getMessage()}"
        for key, value in vars(record).items():
            if key not in _BUILT_IN:
                line += f" {key}={_quoted(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text.isprintable() and not any(c in text for c in ' "=')
    return text if text and plain else json.dumps(text)


class DailyFile(logging.Handler):
    """`<directory>/<program>-<date>.log`, seven kept, `<program>.log` a link to today's."""

    _stream: TextIO | None = None
    terminator: ClassVar[str] = "\n"

    def __init__(self, directory: Path, program: str) -> None:
        super().__init__()
        self._directory, self._program, self._day = directory, program, ""
        self._said = ""

    def check(self) -> None:
        """Raises CannotError when there is no such directory and it cannot be made."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise CannotError(
                f"cannot log to {self._directory}: {error.strerror}",
                hint="see `log` in the config",
                code=Exit.USAGE,
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        try:
            day = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d")
            if day != self._day or self._stream is None:
                self._open(day)
            if self._stream is not None:
                self._stream.write(self.format(record) + self.terminator)
                self._stream.flush()
        except OSError as error:  # a disk that is full must not end the program
            self._complain(f"cannot log to {self._directory}: {error.strerror}")
        except Exception:  # noqa: BLE001  # a record that cannot be formatted: a bug of ours
            self.handleError(record)

    def _complain(self, said: str) -> None:
        """Once: stderr has the log as well."""
        if said != self._said:
            sys.stderr.write(f"{said}\n")
        self._said = said

    def _open(self, day: str) -> None:
        if self._stream is not None:
            self._stream.close()
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        path = self._directory / f"{self._program}-{day}.log"
        self._stream, self._day = path.open("a", encoding="utf-8"), day
        self._link(path)
        # Today's stays whatever its date is: a clock may have gone back.
        others = set(self._directory.glob(f"{self._program}-????-??-??.log")) - {path}
        for old in sorted(others)[: 1 - KEEP_DAYS]:
            old.unlink(missing_ok=True)

    def _link(self, path: Path) -> None:
        """In one step: who follows the link always finds a file."""
        link = self._directory / f"{self._program}.log"
        if link.exists() and not link.is_symlink():
            self._complain(f"cannot link {link} to {path.name}: it is a file of its own")
            return
        fresh = self._directory / f".{self._program}.log.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(path.name)
        fresh.replace(link)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        super().close()


def start_logging(config: LogConfig | None = None, *, program: str = "") -> None:
    """Log to stderr, and with a directory to a file a day. Call once, first thing in a program.

    Raises CannotError when the directory cannot be used.
    """
    config = config or LogConfig()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if config.path is not None:
        daily = DailyFile(config.path, program)
        daily.check()
        handlers.append(daily)
    for handler in handlers:
        handler.setFormatter(LineFormatter())
    logging.basicConfig(level=config.level.upper(), handlers=handlers, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("pyroute2").setLevel(logging.WARNING)

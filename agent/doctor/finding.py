"""One line of the doctor's: what was looked at, how it is, and what to do about it."""

import os
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from runtime.failure import CannotError, Exit

TAKES_ROOT = "not looked at: it takes root"
FIRST = "mend what stands above first"


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "?"  # it could not be looked at


class Finding(Struct, frozen=True):
    about: str
    verdict: Verdict
    said: str
    todo: str = ""


def ok(about: str, said: str) -> Finding:
    return Finding(about, Verdict.OK, said)


def warn(about: str, said: str, todo: str) -> Finding:
    return Finding(about, Verdict.WARN, said, todo)


def fail(about: str, said: str, todo: str) -> Finding:
    return Finding(about, Verdict.FAIL, said, todo)


def unknown(about: str, said: str = TAKES_ROOT) -> Finding:
    return Finding(about, Verdict.UNKNOWN, said)


def refused(about: str, error: CannotError | OSError, todo: str = FIRST) -> Finding:
    """What could not be done: unknown to somebody who is not root and was denied, else a failure."""
    denied = isinstance(error, PermissionError) or getattr(error, "code", None) == Exit.DENIED
    if denied and os.geteuid():
        return unknown(about)
    hint = error.hint if isinstance(error, CannotError) else None
    return fail(about, _said(error), hint or todo)


def _said(error: CannotError | OSError) -> str:
    return error.message if isinstance(error, CannotError) else error.strerror or str(error)


def look(about: str, check: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    """What `check` finds, or why it could not look."""
    try:
        found = check()
    except (CannotError, OSError) as error:
        return [refused(about, error)]
    return found if isinstance(found, list) else [found]

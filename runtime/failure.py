"""What a person is told when something cannot be done, and the exit code that goes with it.

    raise CannotError("cannot read /etc/zosnet/agent.yaml: it does not exist",
                      hint="write one with: zosnet-agent install", code=Exit.USAGE)

Every package's own errors descend from `CannotError`; `runtime.cli` prints them and exits.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every zosnet program; docs/operating.md says what each means."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    DENIED = 5
    UNREACHABLE = 6
    EXHAUSTED = 7
    VERIFICATION = 8
    NOT_CONVERGED = 9
    PROBLEMS = 10


class CannotError(Exception):
    """`message` starts with "cannot"; `hint` says what to do about it."""

    def __init__(
        self, message: str, *, hint: str | None = None, code: Exit = Exit.INTERNAL
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


def with_hint(message: str, hint: str | None) -> str:
    """Both on one line, for tables and logs."""
    return f"{message} ({hint})" if hint else message

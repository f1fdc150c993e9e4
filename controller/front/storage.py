"""What a statement that failed means for those who asked: later, or that the controller cannot go on."""

from sqlalchemy.exc import DBAPIError

from controller.refusal import RefusedError
from protocol.messages import Code
from runtime.failure import CannotError, Exit

_SQLITE_FULL = 13


class StorageFullError(RefusedError):
    """The disk is full: nothing was written, and reading goes on."""


def storage_error(error: DBAPIError) -> CannotError:
    """What a failed statement means: StorageFullError, or that the controller cannot go on."""
    code = getattr(error.orig, "sqlite_errorcode", 0)
    if code == _SQLITE_FULL:
        return StorageFullError(
            Code.BUSY,
            "cannot store this: the disk is full",
            hint="make room on the controller's disk; nothing is lost, nodes ask again",
            retry_after=30.0,
        )
    return CannotError(
        f"cannot write the database: {error.orig}",
        hint="see the disk: df, dmesg; then start the controller again",
        code=Exit.INTERNAL,
    )

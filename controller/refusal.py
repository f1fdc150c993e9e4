"""What a node or an operator is refused, as one exception for both sides."""

from protocol.keys import is_low_order
from protocol.messages import Code, Refused
from runtime.failure import CannotError, Exit

_EXIT = {
    Code.BAD_REQUEST: Exit.USAGE,
    Code.NOT_FOUND: Exit.NOT_FOUND,
    Code.CONFLICT: Exit.CONFLICT,
    Code.MESH_FULL: Exit.EXHAUSTED,
    Code.POOL_EXHAUSTED: Exit.EXHAUSTED,
    Code.FULL: Exit.EXHAUSTED,
    Code.BUSY: Exit.UNREACHABLE,
    Code.INTERNAL: Exit.INTERNAL,
    Code.DAMAGED: Exit.PROBLEMS,
}


class RefusedError(CannotError):
    """`code` of protocol.messages.Code for the wire; the exit code for the admin socket follows."""

    def __init__(
        self, code: str, message: str, *, hint: str = "", retry_after: float = 0.0
    ) -> None:
        super().__init__(message, hint=hint or None, code=_EXIT.get(code, Exit.DENIED))
        self.wire_code = code
        self.retry_after = retry_after

    def reply(self, request: int) -> Refused:
        return Refused(
            request, self.wire_code, self.message[:512], (self.hint or "")[:512], self.retry_after
        )


class DamagedError(RefusedError):
    """A row is not as the controller has written it; `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            Code.DAMAGED,
            f"cannot use what the database says of {what}: it was changed by somebody else",
            hint="on the controller, while it is stopped: zosnet-controller check",
            retry_after=60.0,
        )


def key_of(text: str, kind: str) -> bytes:
    """An X25519 key that somebody wrote down, from 64 hex digits. Raises RefusedError."""
    key = bytes.fromhex(text)
    refuse_low_order(key, kind)
    return key


def refuse_low_order(key: bytes, kind: str) -> None:
    """Raises RefusedError when `key` is an X25519 key for which nobody needs a secret."""
    if is_low_order(key):
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot use this {kind} key: it is a point of low order"
        )

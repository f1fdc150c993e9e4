"""What a node or an operator is refused, as one exception for both sides."""

from protocol.messages import Code, Refused
from runtime.failure import CannotError, Exit

_EXIT = {
    Code.BAD_REQUEST: Exit.USAGE,
    Code.NOT_FOUND: Exit.NOT_FOUND,
    Code.CONFLICT: Exit.CONFLICT,
    Code.POOL_EXHAUSTED: Exit.EXHAUSTED,
    Code.BUSY: Exit.UNREACHABLE,
    Code.INTERNAL: Exit.INTERNAL,
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

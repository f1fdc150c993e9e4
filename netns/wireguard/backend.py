"""The interface that the two kinds of WireGuard device share.

Both are made in the namespace where their UDP socket shall be (the underlay) and moved into the
one where their traffic shall be: the socket stays behind. Interface names are unique on a machine.
"""

from collections.abc import Iterable
from typing import Protocol

from netns.wireguard.device import Op, Reading
from runtime.failure import CannotError

ROLE = "wireguard"  # of our devices' links


class WireGuardError(CannotError):
    """A device refused something; it may have done a part: read it again."""

    def __init__(self, message: str, *, hint: str | None = None, number: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.errno = number


class WireGuardBackend(Protocol):
    async def ensure(self, name: str, *, underlay: str, space: str) -> bool:
        """Make device `name`, or adopt the one that lives with its socket in `underlay`; True when it
        is new and has nothing: no key, no addresses, and is down.
        """

    async def read(self, name: str) -> Reading | None:
        """None: there is no such device (any more)."""

    async def apply(self, name: str, ops: Iterable[Op]) -> None:
        """Raises WireGuardError with errno; what was before the bad step is done then."""

    async def destroy(self, name: str) -> None:
        """Idempotent."""

    async def ended(self, name: str) -> None:
        """Return when the device has died by itself; at once when there is none."""

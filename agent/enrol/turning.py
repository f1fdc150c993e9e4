"""This node's own keys while one gives way to another.

    own = OwnKeys(load_identity())
    own.begin()           # a next key is on the disk; every farm is told of it by the present one
    own.settle()          # every farm has let it in: it is the present one

Killed at any moment: each farm is asked with the key that it let in last, and when it refuses that, with
the other. No farm is left behind: until the last one knows the next key, both are kept.
"""

from pathlib import Path

from agent.identity import Identity, load_next, settle_next
from protocol.keys import CurveSecret


class OwnKeys:
    """`path`: where the present key is kept, unless that is STATE/node.key."""

    def __init__(self, present: Identity, path: Path | None = None) -> None:
        self._path = path
        self.present = present
        self.next = load_next(present, path)

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """What certificates may call this node: the former key's stay until others have come."""
        after = bytes(self.next.public) if self.next is not None else b""
        found = (bytes(self.present.public), after, self.present.former)
        return tuple(dict.fromkeys(key for key in found if key))

    @property
    def awaited(self) -> bytes | None:
        """The next key, while there is one."""
        return bytes(self.next.public) if self.next is not None else None

    def secret(self, *, next_one: bool) -> CurveSecret:
        one = self.next if next_one else None
        return (one or self.present).secret

    def begin(self) -> None:
        """Raises CannotError."""
        self.next = load_next(self.present, self._path, make=True)

    def settle(self) -> None:
        """Raises CannotError."""
        if self.next is not None:
            settle_next(self.present, self._path)
            self.present, self.next = self.next, None

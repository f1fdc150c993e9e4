"""What was used or changed lately, in bounded memory (pure)."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from controller.netmap.rows import Change

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `size` values, those that were used last among them.

    Two generations: when the young one is full, it becomes the old one and the old one is dropped.
    """

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def pop(self, key: K) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()


class Log:
    """The last changes of a network, each member's newest only; nothing is missing above `start`."""

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self._size = size
        self._changes: OrderedDict[bytes, Change] = OrderedDict()

    def add(self, change: Change) -> None:
        """In the order of revisions."""
        self._changes.pop(change.key, None)
        self._changes[change.key] = change
        if len(self._changes) > self._size:
            _, oldest = self._changes.popitem(last=False)
            self.start = oldest.revision

    def get(self, key: bytes) -> Change | None:
        return self._changes.get(key)

    def above(self, revision: int) -> list[Change]:
        """In order; complete if `revision` is not below `start`."""
        found = []
        for change in reversed(self._changes.values()):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

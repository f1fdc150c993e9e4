"""Requests that were asked and not answered yet. Pure."""

from msgspec import Struct

from protocol.messages import Admit, FetchRows, Hello, Join, Leave, Refresh, Rotate

RESEND = 5.0  # seconds
_ID_MAX = 2**32

Request = Admit | Hello | Join | Refresh | Leave | FetchRows | Rotate
NetworkRequest = Join | Refresh | Leave | FetchRows


class _Entry(Struct, frozen=True):
    request: Request
    again_at: float


class Asked:
    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._last_id = 0

    def new_id(self) -> int:
        """Never 0: that is a push's."""
        self._last_id = self._last_id % _ID_MAX + 1
        return self._last_id

    def note(self, request: Request, now: float, *, wait: float = RESEND) -> None:
        """It goes out now, or is to go out again after `wait`."""
        self._entries[request.id] = _Entry(request, now + wait)

    def answered(self, number: int) -> Request | None:
        """What `number` was asked with; None: nothing, or it was answered or given up."""
        entry = self._entries.pop(number, None)
        return entry.request if entry is not None else None

    def give_up(self, network: str, *kinds: type[NetworkRequest]) -> None:
        """No answer is awaited any more to these questions about `network`."""
        for number, entry in tuple(self._entries.items()):
            request = entry.request
            if isinstance(request, kinds) and request.network == network:
                del self._entries[number]

    def clear(self) -> None:
        self._entries.clear()

    def due(self, now: float) -> list[Request]:
        return [entry.request for entry in self._entries.values() if now >= entry.again_at]

    @property
    def moments(self) -> list[float]:
        return [entry.again_at for entry in self._entries.values()]

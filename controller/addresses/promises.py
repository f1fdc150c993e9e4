"""Addresses that living tokens name: kept for whoever comes with the token (pure).

until = promises.take(token, now_ms)           # it is as this says now: made, used, revoked
promises.tokens(network, address, now_ms)      # those that name this address, and until when
promises.of(network)                           # (address, until) of all, for a `Space`

Memory only: built from the database at the start, and changed when a change of a token is committed.
"""

import heapq
from collections.abc import Iterator
from ipaddress import ip_address

from controller.store.records import Token, sixteen

Place = tuple[int, bytes]  # network, address


class Promises:
    def __init__(self) -> None:
        self._all: dict[int, dict[bytes, dict[bytes, int]]] = {}
        self._ends: list[
            tuple[int, Place, bytes]
        ] = []  # heap; an entry counts while `_all` says so too

    def take(self, token: Token, now_ms: int) -> int:
        """Until when the address that the token names is kept now, 0: it is not."""
        while self._ends and self._ends[0][0] <= now_ms:
            until, place, key = heapq.heappop(self._ends)
            if self._tokens(place).get(key) == until:
                self._drop(place, key)
        place = (token.network, sixteen(ip_address(token.address)))
        if token.state(now_ms) != "live":
            self._drop(place, token.key)
        elif self._tokens(place).get(token.key) != token.expires_at:
            here = self._all.setdefault(token.network, {})
            here.setdefault(place[1], {})[token.key] = token.expires_at
            heapq.heappush(self._ends, (token.expires_at, place, token.key))
        return max(self._tokens(place).values(), default=0)

    def tokens(self, network: int, address: bytes, now_ms: int) -> dict[bytes, int]:
        found = self._tokens((network, address))
        return {key: until for key, until in found.items() if until > now_ms}

    def of(self, network: int) -> Iterator[tuple[int, int]]:
        """Addresses as integers; until when the last of its tokens lives."""
        for address, tokens in self._all.get(network, {}).items():
            yield int.from_bytes(address), max(tokens.values())

    def forget(self, network: int) -> None:
        self._all.pop(network, None)

    def _tokens(self, place: Place) -> dict[bytes, int]:
        network, address = place
        return self._all.get(network, {}).get(address, {})

    def _drop(self, place: Place, key: bytes) -> None:
        network, address = place
        tokens = self._tokens(place)
        tokens.pop(key, None)
        if not tokens:
            self._all.get(network, {}).pop(address, None)

"""Keyed sums of the rows that signatures follow from: whoever has not the key changes none of them
unnoticed. Pure.

    sums = Sums(keys.sums_key)
    sums.member(member, keys, held)           # stands in the member's row
    sums.network(network, pools, leased)      # in the network's row
    sums.floors(before, gone, come)           # in the network's row too: of all its floors

A member's sum is of its row, of the node's keys and of the addresses in use; so a row that was put in
another's place, and an address that was taken away, do not fit either.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import astuple

from controller.store.records import Assignment, Floor, Member, Network, Node, Pool, Token

SIZE = 16
NO_FLOORS = bytes(SIZE)
Keys = tuple[bytes, bytes | None]  # a node's, and the next one that it has named
Leased = tuple[str, int]  # a prefix pool, and the length of what a member gets of it
_encode = msgspec.msgpack.Encoder().encode


class Sums:
    def __init__(self, key: bytes) -> None:
        def begun(kind: bytes) -> "blake2b":
            return blake2b(digest_size=SIZE, key=key, person=b"zosnet-" + kind)

        # begun once: the key costs as much as a small row
        self._member, self._network, self._floor = (
            begun(b"member"),
            begun(b"network"),
            begun(b"floor"),
        )
        self._token, self._admin, self._meta = begun(b"token"), begun(b"admin"), begun(b"meta")

    def member(self, member: Member, keys: Keys, held: Iterable[Assignment]) -> bytes:
        """`held`: those that rest do not count."""
        rows = [
            (row.family, row.address, row.length, row.kind) for row in held if not row.released_at
        ]
        if len(rows) > 1:
            rows.sort(key=_encode)
        return _sum(self._member, (astuple(member)[:-1], keys, rows))

    def network(self, network: Network, pools: Iterable[Pool], leased: Iterable[Leased]) -> bytes:
        ranges = sorted(_encode(astuple(pool)) for pool in pools)
        prefixes = sorted(_encode(one) for one in leased)
        return _sum(self._network, (astuple(network)[:-1], ranges, prefixes))

    def floors(self, before: bytes, *changes: Floor) -> bytes:
        """What `before` comes to with these floors put in, or taken out again."""
        number = int.from_bytes(before)
        for floor in changes:
            number ^= int.from_bytes(_sum(self._floor, astuple(floor)))
        return number.to_bytes(SIZE)

    def token(self, token: Token) -> bytes:
        return _sum(self._token, astuple(token)[:-1])

    def admin(self, key: bytes, name: str) -> bytes:
        return _sum(self._admin, (key, name))

    def meta(self, key: str, value: bytes) -> bytes:
        return _sum(self._meta, (key, value))


def _sum(begun: "blake2b", content: Any) -> bytes:
    one = begun.copy()
    one.update(_encode(content))
    return one.digest()


def keys_of(node: Node) -> Keys:
    return node.key, node.next_key

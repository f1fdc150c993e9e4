"""How far the replacement of a signer is (pure).

    none → introduced (the keyset has the new one) → switched (it signs, the old one is believed) → none

A new signer is introduced until every connected node holds the keyset that has it, at most
INTRODUCE_FOR. The old one is believed for RETIRE_AFTER more, so that who was away meanwhile comes back
to peers that it believes.
"""

import msgspec

DAY_MS = 24 * 3600 * 1000
INTRODUCE_FOR = 7 * DAY_MS
RETIRE_AFTER = 7 * DAY_MS


class Rotation(msgspec.Struct, frozen=True, array_like=True):
    """`next` will sign; `old` have signed and are still believed; `since_ms`: of the last step.

    `quick`: do not wait until the nodes hold the keyset.
    """

    next: bytes = b""
    old: tuple[bytes, ...] = ()
    since_ms: int = 0
    quick: bool = False

    def introduced(self, key: bytes, now_ms: int, *, quick: bool) -> "Rotation":
        return msgspec.structs.replace(self, next=key, since_ms=now_ms, quick=quick)

    def switched(self, before: bytes, now_ms: int) -> "Rotation":
        """`before` has signed until now."""
        return Rotation(old=tuple(sorted({*self.old, before})), since_ms=now_ms)

    def retired(self, now_ms: int) -> "Rotation":
        return msgspec.structs.replace(self, old=(), since_ms=now_ms)

    def may_switch(self, now_ms: int, *, all_hold: bool) -> bool:
        return self.quick or all_hold or now_ms >= self.since_ms + INTRODUCE_FOR

    def may_retire(self, now_ms: int) -> bool:
        """By itself; an operator may do it as soon as all connected nodes are ready."""
        return bool(self.old) and now_ms >= self.since_ms + RETIRE_AFTER

    def step(self, signers: tuple[bytes, ...]) -> str:
        """For people; `signers` of the present keyset."""
        if self.next:
            return "introduced" if self.next in signers else "waits for the root key"
        return "old signer believed" if self.old else "none"

"""Which transit member carries which member (pure).

A member that cannot be reached in both families gets one transit member; peers that have no direct
path to it go through that one. The choice depends only on the two and on who else is transit, so it
is the same after a restart, and a new transit member takes over only its share.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

BOTH = frozenset((4, 6))


@dataclass(frozen=True, slots=True)
class Reach:
    """How a member can be reached, and what it can send to; families are 4 and 6."""

    transit: bool
    reachable: frozenset[int]  # it has an endpoint there
    sends: frozenset[int]


def reach_of(*, roles: Iterable[str], endpoints: Iterable[str], families: Iterable[int]) -> Reach:
    reachable = frozenset(6 if endpoint.startswith("[") else 4 for endpoint in endpoints)
    return Reach("transit" in roles, reachable, frozenset(families) | reachable)


def needs_relay(reach: Reach) -> bool:
    return not reach.transit and reach.reachable != BOTH


def choose_transit(
    member: bytes, reach: Reach, transits: Iterable[tuple[bytes, Reach]]
) -> bytes | None:
    """The transit member (its node key) for `member`, or None: none can be reached by it.

    Transits with more families come first, since more peers can reach them; among equals each
    pair has its own order, so that members spread evenly.
    """
    usable = [(key, other) for key, other in transits if other.reachable & reach.sends]
    if not needs_relay(reach) or not usable:
        return None
    best, _ = max(usable, key=lambda item: (len(item[1].reachable), _score(member, item[0])))
    return best


def choose_relays(members: Mapping[bytes, Reach]) -> dict[bytes, bytes]:
    """member: transit, for all that need one."""
    transits = [(key, reach) for key, reach in members.items() if reach.transit]
    chosen = {}
    for key, reach in members.items():
        transit = choose_transit(key, reach, transits)
        if transit is not None:
            chosen[key] = transit
    return chosen


def _score(member: bytes, transit: bytes) -> bytes:
    return blake2b(member + transit, digest_size=8, person=b"zosnet-relay").digest()

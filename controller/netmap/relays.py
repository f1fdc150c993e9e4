"""Which transit member carries which member (pure).

A member that cannot be reached in both families gets one transit member; peers that have no direct
path to it go through that one. Both ends of such a pair must have the same, because a packet's
source is believed from one peer only: so all members get the same where they can reach it. The
choice depends only on who is transit, so it is the same after a restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.store.records import Member

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


def reach(member: Member) -> Reach:
    return reach_of(
        roles=member.role_list, endpoints=member.endpoint_list, families=member.family_list
    )


def needs_relay(reach: Reach) -> bool:
    return not reach.transit and reach.reachable != BOTH


def choose_transit(reach: Reach, transits: Iterable[tuple[bytes, Reach]]) -> bytes | None:
    """The transit member (its node key) for a member, or None: it can reach none, or needs none.

    Those with more families come first, since more members can reach them, then the smaller key.
    """
    usable = [(key, other) for key, other in transits if other.reachable & reach.sends]
    if not needs_relay(reach) or not usable:
        return None
    return min(usable, key=lambda item: (-len(item[1].reachable), item[0]))[0]

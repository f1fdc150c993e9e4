"""From believed members to WireGuard peers: pure, and the same on both ends of a pair.

    plan = plan_peers(verified, here, learnt)
    plan.peers      # one for each member with a direct path, with what it carries
    plan.paths      # for every member: Direct, Through(transit) or NoPath

A pair has a direct path when one end has an endpoint in a family that the other can send to. Else
the transit that both their certificates name carries it. Of a pair one end begins: the
hidden one, whom the other cannot send to, else the one with the smaller WireGuard key.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.overlay.verify import Member, Verified
from netns.wireguard.device import Endpoint, Prefix


class Here(Struct, frozen=True):
    """This node's own way to the world: what it offers, what it can send to."""

    endpoints: tuple[Endpoint, ...] = ()
    families: frozenset[int] = frozenset()
    on_link: tuple[Prefix, ...] = ()


class Direct(Struct, frozen=True):
    initiator: bool


class Through(Struct, frozen=True):
    transit: bytes  # node key


class NoPath(Struct, frozen=True):
    reason: str


Path = Direct | Through | NoPath


class PeerPlan(Struct, frozen=True):
    """A peer to have. `endpoints`: where it may be, best first; without, it must come to us.
    `last`: where to look for it when it is nowhere there.
    """

    node: bytes
    key: bytes
    allowed: frozenset[Prefix]
    endpoints: tuple[Endpoint, ...]
    initiator: bool
    last: Endpoint | None = None


class Plan(Struct, frozen=True):
    peers: Mapping[bytes, PeerPlan]  # by WireGuard key
    paths: Mapping[bytes, Path]  # by node key


def plan_peers(verified: Verified, here: Here, learnt: Mapping[bytes, Endpoint]) -> Plan:
    """`learnt`: by WireGuard key, where a peer was last heard from."""
    direct = {
        node: Direct(begins)
        for node, member in verified.members.items()
        if (begins := _begins(verified.own, member, here)) is not None
    }
    paths: dict[bytes, Path] = {
        node: direct.get(node) or _relayed(node, verified, direct) for node in verified.members
    }
    peers = {}
    for node, path in direct.items():
        member = verified.members[node]
        known = learnt.get(member.wireguard)
        endpoints, last = _endpoints(member, here, known, path.initiator)
        peers[bytes(member.wireguard)] = PeerPlan(
            node=node,
            key=bytes(member.wireguard),
            allowed=_allowed(member, verified, paths),
            endpoints=endpoints,
            initiator=path.initiator,
            last=last,
        )
    return Plan(peers, paths)


def _begins(own: Member, member: Member, here: Here) -> bool | None:
    """Whether we begin; None: neither can send to the other."""
    reach_it = any(e.address.version in here.families for e in member.endpoints)
    reach_us = any(e.address.version in member.families for e in here.endpoints)
    if reach_it and reach_us:
        return own.wireguard < member.wireguard
    return reach_it if reach_it or reach_us else None


def _relayed(node: bytes, verified: Verified, direct: Mapping[bytes, Direct]) -> Path:
    transit = verified.relays.get(node)
    if transit is None:
        return NoPath("no common address family, and no transit is listed for it")
    if transit != verified.relays.get(verified.own.node):
        return NoPath("no common address family, and no transit that carries both ends")
    if transit not in direct:
        return NoPath("its transit has no path to this node")
    far, carrier = verified.members[node], verified.members[transit]
    if not (_can_send(far, carrier) or _can_send(carrier, far)):
        return NoPath("its transit has no path to it")
    return Through(transit)


def _can_send(sender: Member, target: Member) -> bool:
    return any(e.address.version in sender.families for e in target.endpoints)


def _allowed(member: Member, verified: Verified, paths: Mapping[bytes, Path]) -> frozenset[Prefix]:
    """Its own, what its certificate lists (a hub), and those we reach through it."""
    allowed = set(member.claims)
    for node, path in paths.items():
        if path == Through(member.node):
            allowed |= verified.members[node].claims
    if member.is_transit:
        owned = set(verified.own.claims)
        for other in verified.members.values():
            owned |= other.claims
        able = [m for m in verified.members.values() if isinstance(paths[m.node], Direct)]
        allowed |= {p for p in member.carries if p not in owned and _first(p, member, able)}
    return frozenset(allowed)


def _first(prefix: Prefix, member: Member, able: Iterable[Member]) -> bool:
    """Of several peers that may carry one prefix, one does."""
    carriers = (m for m in able if m.is_transit and prefix in m.carries)
    return min(carriers, key=lambda m: (m.serial, m.node)) is member


def _endpoints(
    member: Member, here: Here, learnt: Endpoint | None, initiator: bool
) -> tuple[tuple[Endpoint, ...], Endpoint | None]:
    """Where it was last heard from is better than a hint for the end that was spoken to; the end
    that speaks first goes by the hints, and takes what it learnt when they fail.
    """
    usable = [e for e in member.endpoints if e.address.version in here.families]
    ranked = sorted(usable, key=lambda e: _rank(e, here.on_link))
    if learnt is None or learnt.address.version not in here.families:
        return tuple(ranked), None
    if initiator and learnt not in ranked:
        return tuple(ranked), learnt
    return (learnt, *(e for e in ranked if e != learnt)), None


def _rank(endpoint: Endpoint, on_link: Iterable[Prefix]) -> tuple[int, int]:
    """Same LAN, then IPv6, then IPv4."""
    near = any(
        prefix.version == endpoint.address.version and endpoint.address in prefix
        for prefix in on_link
    )
    return (0 if near else 1, -endpoint.address.version)

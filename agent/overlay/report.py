"""A network as `status` tells it."""

from agent.overlay.network import Network
from agent.overlay.peers import Direct, NoPath, Path, Through
from agent.overlay.status import NetworkStatus, PeerStatus, RefusalStatus
from agent.overlay.verify import Member, Verified
from netns.wireguard.device import Peer, PeerStat
from runtime.clock import wall_ms


def describe(network: Network, port: int, refused: str) -> NetworkStatus:
    """`refused`: why something that a controller sent last was not believed."""
    belief, resource, problem = network.belief, network.resource, network.problem
    return NetworkStatus(
        network=belief.network,
        name=belief.settings.name,
        state=_state(network),
        namespace=network.names.space,
        device=network.names.device,
        bridge=network.names.bridge,
        port=port,
        addresses=[str(interface) for interface in belief.membership.interfaces],
        mtu=resource.mtu if resource else 0,
        transit=resource.transit if resource else False,
        revision=belief.holding.revision,
        serial=belief.membership.serial,
        epoch=belief.state.epoch,
        incarnation=belief.state.incarnation,
        from_cache=network.from_cache,
        attached=network.attached,
        overlay_seconds=network.overlay_at,
        first_ping_seconds=network.first_ping_at,
        came_first=network.came_first,
        problem=_problem(network, refused),
        hint=(problem.hint or "") if problem else "",
        peers=_peers(network),
        refusals=[
            RefusalStatus(name=r.name, node=r.node.hex()[:10], reason=r.reason)
            for r in (network.verified.refusals if network.verified else ())
        ],
        refused_count=belief.refused_count,
        ends_in=None if network.ending_ms is None else network.ending_ms / 1000,
    )


def _state(network: Network) -> str:
    if network.withdrawn:
        return "withdrawn"
    if network.overlay_at is None:
        return "starting"
    return "failing" if network.problem is not None else "up"


def _problem(network: Network, refused: str) -> str:
    if network.problem is not None:
        return network.problem.message
    if network.withdrawn:
        return f"cannot be in the overlay: our membership: {network.withdrawn}"
    if refused:
        return f"cannot believe what the controller sent: {refused}"
    return ""


def _peers(network: Network) -> list[PeerStatus]:
    verified, plan = network.verified, network.plan
    if verified is None or plan is None:
        return []
    members = sorted(verified.members.values(), key=lambda m: (m.name, m.node))
    return [
        _peer(network, m, plan.paths[m.node], verified) for m in members if m.node in plan.paths
    ]


def _peer(network: Network, member: Member, path: Path, verified: Verified) -> PeerStatus:
    status = PeerStatus(
        name=member.name,
        node=member.node.hex()[:10],
        addresses=[str(address) for address in member.addresses],
        path="none",
    )
    match path:
        case Direct(initiator):
            status.path, status.initiator = "direct", initiator
            _add_device(status, network, bytes(member.wireguard))
        case Through(transit):
            status.path, status.through = "through", verified.members[transit].name
        case NoPath(reason):
            status.reason = reason
    contacts = {a: network.reach.contact(a) if network.reach else None for a in member.addresses}
    known = [c.reachable for c in contacts.values() if c is not None and c.reachable is not None]
    status.reachable = any(known) if known else None
    status.answers_since = min(
        (network.answers_since[a] for a, c in contacts.items() if c is not None and c.reachable),
        default=None,
    )
    status.answers = {
        str(a): round(c.rtt * 1000, 2)
        for a, c in contacts.items()
        if c is not None and c.reachable and c.rtt is not None
    }
    return status


def _add_device(status: PeerStatus, network: Network, key: bytes) -> None:
    reading = network.peering.reading
    if reading is None:
        return
    peer: Peer | None = reading.device.peers.get(key)
    stat = reading.stats.get(key, PeerStat())
    status.endpoint = str(peer.endpoint) if peer is not None and peer.endpoint else ""
    status.rx, status.tx = stat.rx, stat.tx
    if stat.handshake is not None:
        status.handshake_age = round(max(0.0, wall_ms() / 1000 - stat.handshake), 1)

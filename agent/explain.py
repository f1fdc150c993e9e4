"""What a node's status files say, in lines for people: what is, why it is so, what it waits for. Pure.

facts = Facts(boot, ndmz, daemon)          # each None when its file is not there
summary(facts)      # `zosnet-agent status`
waits(facts)        # what is not there yet, and why
why(facts, "n3")    # one thing: uplink, ndmz, a network, a peer
"""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.boot.status import BootStatus, Step
from agent.ndmz.status import NdmzStatus
from agent.overlay.status import NetworkStatus, PeerStatus
from agent.status import PHASES, DaemonStatus
from runtime.failure import with_hint


@dataclass(frozen=True, slots=True)
class Facts:
    """`now`: seconds since the node's boot instant."""

    boot: BootStatus | None
    ndmz: NdmzStatus | None
    daemon: DaemonStatus | None
    now: float = 0.0
    running: bool = False  # networkd answers on its socket
    waiting: bool = False  # it lives, and something keeps it from starting
    bridge: bool = True  # there is a link `zos`

    @property
    def networks(self) -> list[NetworkStatus]:
        return self.daemon.networks if self.daemon else []

    @property
    def came_first(self) -> bool:
        """Nobody was in the network before this node: there is no first ping to wait for."""
        return self.has_overlay and self.daemon is not None and self.daemon.came_first

    @property
    def has_overlay(self) -> bool:
        """In one network at least, on every device, and no join under way."""
        farms = self.daemon.enrol.farms if self.daemon else []
        joining = any(
            farm.tokens or any(n.standing in ("joining", "waiting") for n in farm.networks)
            for farm in farms
        )
        return not joining and all(n.state == "up" for n in self.networks) and bool(self.networks)

    def phase(self, name: str) -> float | None:
        """When the phase was over, None: it is not, or not any more."""
        if name == "uplink":
            return self.boot.seconds.get(Step.DONE) if self.boot and self.boot.stands else None
        if self.daemon is None or (name in ("overlay", "first_ping") and not self.has_overlay):
            return None
        return self.daemon.seconds.get(name)

    def holds(self, name: str) -> bool:
        """Whether the phase is over, and what it reached is still so."""
        if self.phase(name) is None:
            return False
        if name == "uplink":
            return self.bridge
        ready = self.ndmz is not None and self.ndmz.ready
        return self.running and (name != "ndmz" or ready)


Line = tuple[str, str]  # what it is about, what is said


def summary(facts: Facts) -> list[Line]:
    lines = [("uplink", _uplink(facts))]
    if facts.ndmz:
        lines.append(("ndmz", _ndmz(facts.ndmz)))
    lines += _farms(facts)
    lines += [("network", _network(network)) for network in facts.networks]
    return lines


def waits(facts: Facts) -> list[Line]:
    """Everything that is not as it should be, with its reason; empty when all is."""
    lines = []
    if not facts.holds("uplink") or (facts.boot and facts.boot.error):
        lines.append(("uplink", _uplink(facts)))
    if facts.daemon and (facts.running or facts.waiting):
        lines += [("networkd", reason) for reason in facts.daemon.reasons]
    elif facts.holds("uplink"):
        lines.append(("networkd", "it does not run; the supervisor's log says why"))
    if not facts.running:  # what it said last is not true for ever
        return lines
    if facts.ndmz:
        lines += [("ndmz", reason) for reason in facts.ndmz.reasons]
    if facts.daemon:
        lines += list(_enrol_waits(facts.daemon))
        for network in facts.networks:
            lines += list(_network_waits(network))
    return lines


def phase_reason(facts: Facts, phase: str) -> str:
    """Why `phase` is not over, or does not hold any more."""
    for earlier in PHASES[: PHASES.index(phase)]:
        if earlier != "ndmz" and facts.phase(earlier) is None:
            return phase_reason(facts, earlier)
    others = ("networkd", "farm", "network")
    about = {"uplink": ("uplink",), "ndmz": ("networkd", "ndmz")}.get(phase, others)
    said = [text for topic, text in waits(facts) if topic in about]
    if said:
        return said[0]
    if phase == "admitted" and not (facts.daemon and facts.daemon.enrol.farms):
        return "there is no join string; give one with: zosnet-agent join FILE"
    if phase in ("overlay", "first_ping") and not facts.networks:
        return "this node is in no network; join one with: zosnet-agent join FILE"
    return "it is not there yet"


def why(facts: Facts, topic: str) -> list[Line] | None:
    """Everything known about `topic`; None when there is no such thing here."""
    if topic == "uplink":
        return [("uplink", _uplink(facts)), *_ranking(facts)]
    if topic == "ndmz" and facts.ndmz:
        return _why_ndmz(facts.ndmz)
    for network in facts.networks:
        if topic in (network.name, network.network):
            return [("network", _network(network)), *_network_waits(network)]
        for peer in network.peers:
            if topic in (peer.name, peer.node, *peer.addresses):
                return _why_peer(network, peer)
        for refused in network.refusals:
            if topic in (refused.name, refused.node):
                return [(f"{refused.name} in {network.name}", f"not believed: {refused.reason}")]
    return None


def topics(facts: Facts) -> list[str]:
    """What `why` knows about."""
    found = ["uplink", *(["ndmz"] if facts.ndmz else [])]
    for network in facts.networks:
        found += [network.name, *(peer.name for peer in network.peers)]
        found += [refused.name for refused in network.refusals]
    return [name for name in dict.fromkeys(found) if name]


def _uplink(facts: Facts) -> str:
    boot = facts.boot
    if boot is None:
        return "zosnet has not started since power-on"
    if boot.error:
        return with_hint(boot.error, boot.hint)
    if boot.uplink is None:
        pause = ""
        if boot.resting_until is not None:
            pause = f"; next try in {max(0.0, boot.resting_until - facts.now):.0f} s"
        reasons = "; ".join(f"{nic.name}: {nic.reason}" for nic in boot.nics)
        return f"none yet (round {boot.round}): {reasons or 'there is no NIC'}{pause}"
    if boot.stands and not facts.bridge:
        return "somebody removed the bridge zos (zosnet-agent internet makes it again)"
    return f"{boot.uplink.nic}: {boot.uplink.reason}"


def _ranking(facts: Facts) -> list[Line]:
    if facts.boot is None:
        return []
    return [(f"{rank}. {nic.name}", nic.reason) for rank, nic in enumerate(facts.boot.nics, 1)]


def _ndmz(ndmz: NdmzStatus) -> str:
    families = [f"IPv{f}" for f, ready in ((4, ndmz.ready4), (6, ndmz.ready6)) if ready]
    state = "ready" if ndmz.ready else "not ready"
    where = ", ".join(ndmz.addresses)
    return f"{state}: {' and '.join(families) or 'no family'}{f' ({where})' if where else ''}"


def _why_ndmz(ndmz: NdmzStatus) -> list[Line]:
    lines = [("ndmz", _ndmz(ndmz)), *(("waits", reason) for reason in ndmz.reasons)]
    lines += [("without", lack) for lack in ndmz.lacks]
    lists = {
        "gateways": ndmz.gateways,
        "closed: own prefixes": ndmz.own,
        "closed: outside address": ndmz.site,
        "open by config": ndmz.exceptions,
        "DNS for workloads": ndmz.dns,
        "workloads": [f"{w.name} {w.ip4} {w.ip6}" for w in ndmz.workloads],
    }
    lines += [(about, ", ".join(values)) for about, values in lists.items() if values]
    if ndmz.bridge_nf:
        lines.append(("bridge firewall", ndmz.bridge_nf))
    return lines


def _farms(facts: Facts) -> list[Line]:
    if facts.daemon is None:
        return []
    return [
        ("farm", f"{farm.controller_id} {farm.connection}, controller {farm.controller}")
        for farm in facts.daemon.enrol.farms
    ]


def _enrol_waits(daemon: DaemonStatus) -> Iterator[Line]:
    for problem in daemon.enrol.problems:
        yield "farm", problem
    if not daemon.enrol.farms and not daemon.enrol.problems:
        yield "farm", "no join string yet; give one with: zosnet-agent join FILE"
    for farm in daemon.enrol.farms:
        if farm.problem:
            yield "farm", with_hint(farm.problem, farm.hint)
        elif farm.connection != "online":
            yield "farm", f"{farm.connection}: no answer yet from {farm.controller}"
        for network in farm.networks:
            if network.standing == "leaving":
                yield "network", f"{network.network} is left; the controller has not heard it yet"
            elif network.standing != "member":
                said = f": {network.said}" if network.said else ""
                standing = f"{network.network} {network.standing}{said}"
                yield "network", with_hint(standing, network.hint)


def _network(network: NetworkStatus) -> str:
    source = ", from the kept netmap" if network.from_cache else ""
    role = ", transit" if network.transit else ""
    addresses = ", ".join(network.addresses)
    return f"{network.name or network.network} ({network.network}) {network.state}{source}{role}: {addresses}"


def _network_waits(network: NetworkStatus) -> Iterator[Line]:
    if network.problem:
        yield "network", with_hint(network.problem, network.hint)
    for refused in network.refusals:
        yield "network", f"{refused.name or refused.node} is not believed: {refused.reason}"
    for peer in network.peers:
        if peer.path == "none":
            yield "network", f"{peer.name} cannot be reached: {peer.reason}"
        elif peer.reachable is False:
            too = ", which does not answer either" if _carrier_is_silent(network, peer) else ""
            yield "network", f"{peer.name} does not answer ({path_text(peer)}{too})"


def path_text(peer: PeerStatus) -> str:
    """How packets go to a peer, in a few words."""
    match peer.path:
        case "through":
            return f"through {peer.through}"
        case "direct":
            return f"direct, {peer.endpoint}" if peer.endpoint else "direct, not heard from yet"
        case _:
            return "no path"


def _why_peer(network: NetworkStatus, peer: PeerStatus) -> list[Line]:
    lines = [
        (peer.name, f"{', '.join(peer.addresses)} in {network.name}"),
        ("path", path_text(peer)),
    ]
    if peer.reason:
        lines.append(("because", peer.reason))
    if _carrier_is_silent(network, peer):
        lines.append(("because", f"{peer.through}, which carries it, does not answer"))
    if peer.initiator is not None:
        begins = "this node begins" if peer.initiator else f"{peer.name} begins"
        lines.append(("handshake", begins + _age(peer)))
    answers = ", ".join(f"{address} in {ms:.1f} ms" for address, ms in peer.answers.items())
    silence = "not any more" if peer.reachable is False else "it has not answered yet"
    lines.append(("answers", answers or silence))
    return lines


def _carrier_is_silent(network: NetworkStatus, peer: PeerStatus) -> bool:
    """The transit through which `peer` is reached does not answer."""
    return peer.path == "through" and any(
        carrier.name == peer.through and not carrier.reachable for carrier in network.peers
    )


def _age(peer: PeerStatus) -> str:
    return "" if peer.handshake_age is None else f", the last {peer.handshake_age:.0f} s ago"

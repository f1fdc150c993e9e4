"""What a node's status files say, in lines for people: what is, why it is so, what it waits for. Pure.

facts = Facts(boot, ndmz, daemon)          # each None when its file is not there
summary(facts)      # `zosnet-agent status`
waits(facts)        # what is not there yet, and why
why(facts, "n3")    # one thing: uplink, ndmz, a network, a resource, a peer
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from agent.boot.status import BootStatus, Step
from agent.dhcp.status import KeeperStatus
from agent.enrol.status import EnrolledNetwork, FarmStatus
from agent.ndmz.status import NdmzStatus
from agent.nr.status import ResourceStatus
from agent.overlay.status import NetworkStatus, PeerStatus
from agent.phases import PHASES
from agent.status import DaemonStatus
from runtime.failure import with_hint

SOME_NAMES = 8


class Facts(Struct, frozen=True):
    """`now`: seconds since the node's boot instant."""

    boot: BootStatus | None
    ndmz: NdmzStatus | None
    daemon: DaemonStatus | None
    now: float = 0.0
    running: bool = False  # networkd answers on its socket
    waiting: bool = False  # it lives, and something keeps it from starting
    bridge: bool = True  # there is a link `zos`
    keepers: Mapping[str, KeeperStatus] = field(default_factory=dict)  # of leases, by link

    @property
    def networks(self) -> list[NetworkStatus]:
        return self.daemon.networks if self.daemon else []

    @property
    def resources(self) -> list[ResourceStatus]:
        return self.daemon.resources if self.daemon else []

    def phase(self, name: str) -> float | None:
        """When the phase was over, None: it is not, or not any more."""
        if name == "uplink":
            return self.boot.seconds.get(Step.DONE) if self.boot and self.boot.stands else None
        return self.daemon.reached.get(name) if self.daemon else None

    def holds(self, name: str) -> bool:
        """Whether the phase is over, and what it reached is still so."""
        if self.phase(name) is None:
            return False
        return self.bridge if name == "uplink" else self.running


Line = tuple[str, str]  # what it is about, what is said


def summary(facts: Facts) -> list[Line]:
    lines = [("uplink", _uplink(facts))]
    if facts.ndmz:
        lines.append(("ndmz", _ndmz(facts.ndmz)))
    lines += _farms(facts)
    lines += [("network", _network(network)) for network in facts.networks]
    if facts.resources:
        lines.append(("resources", _resources(facts.resources)))
    return lines


def waits(facts: Facts) -> list[Line]:
    """Everything that is not as it should be, with its reason; empty when all is."""
    lines = []
    if not facts.holds("uplink") or (facts.boot and facts.boot.error):
        lines.append(("uplink", _uplink(facts)))
    elif facts.running and facts.boot and facts.boot.trouble:
        lines.append(("uplink", _trouble(facts.boot)))
    if facts.daemon and (facts.running or facts.waiting):
        lines += [("networkd", reason) for reason in facts.daemon.reasons]
    elif facts.holds("uplink"):
        lines.append(("networkd", "it does not run; the supervisor's log says why"))
    if not facts.running:  # what it said last is not true for ever
        return lines
    if facts.ndmz:
        lines += [("ndmz", reason) for reason in facts.ndmz.reasons]
    if facts.daemon:
        lines += list(_enrol_waits(facts.daemon, facts.now))
        for network in facts.networks:
            lines += list(_network_waits(network))
        for resource in facts.resources:
            lines += list(_resource_waits(resource))
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
        return _why_uplink(facts)
    if topic == "ndmz" and facts.ndmz:
        return [*_why_ndmz(facts.ndmz, facts.daemon), *_lease(facts, "npub4")]
    for resource in facts.resources:
        if topic == resource.name:
            return [("resource", _resource(resource)), *_resource_waits(resource)]
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
    found += [resource.name for resource in facts.resources]
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


def _why_uplink(facts: Facts) -> list[Line]:
    lines = [("uplink", _uplink(facts)), *_ranking(facts)]
    boot = facts.boot
    if boot is not None and boot.trouble:
        lines.append(("trouble", _trouble(boot)))
    if boot is not None and boot.home:
        lines.append(("home", f"{boot.home}: taken again when it was usable for uplink.back"))
    lines += _lease(facts, "zos")
    if boot is not None:
        lines += [(target, said) for target, said in boot.checks.items()]
    return lines


def _trouble(boot: BootStatus) -> str:
    """Why the uplink counts as dead, and what is waited for."""
    nic = boot.uplink.nic if boot.uplink else "zos"
    return f"{nic} is in trouble: {boot.trouble}; the node moves when another NIC is usable"


def _lease(facts: Facts, link: str) -> list[Line]:
    """What the keeper of `link` is at, what it lost and what it refused."""
    keeper = facts.keepers.get(link)
    if keeper is None:
        return []
    lease = keeper.lease
    said = f"{lease.address} from {lease.server} for {lease.lease_s} s" if lease else "none"
    lines = [(f"lease of {link}", f"{said} ({keeper.state})")]
    if keeper.lost:
        lines.append(("lost", keeper.lost))
    if keeper.refused:
        lines.append(("refused", f"{keeper.refused} answers, the last: {keeper.last_refused}"))
    return lines


def _ranking(facts: Facts) -> list[Line]:
    if facts.boot is None:
        return []
    return [(f"{rank}. {nic.name}", nic.reason) for rank, nic in enumerate(facts.boot.nics, 1)]


def _ndmz(ndmz: NdmzStatus) -> str:
    shared = " through the host" if ndmz.lent else ""
    families = [f"IPv4{shared}"] * ndmz.ready4 + ["IPv6"] * ndmz.ready6
    state = "ready" if ndmz.ready else "not ready"
    where = ", ".join([*ndmz.lent, *ndmz.addresses, *filter(None, [ndmz.delegated])])
    return f"{state}: {' and '.join(families) or 'no family'}{f' ({where})' if where else ''}"


def _why_ndmz(ndmz: NdmzStatus, daemon: DaemonStatus | None) -> list[Line]:
    lines = [("ndmz", _ndmz(ndmz)), *(("waits", reason) for reason in ndmz.reasons)]
    if daemon and daemon.carrier.reason:
        lines.append(("uplink", daemon.carrier.reason))
    lines += [("without", lack) for lack in ndmz.lacks]
    if ndmz.ipv4:
        lines.append(("IPv4", ndmz.ipv4))
    lists = {
        "gateways": ndmz.gateways,
        "delegated prefix": [ndmz.delegation] if ndmz.delegation else [],
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
        (
            "farm",
            f"{farm.controller_id} {farm.connection}, controller {farm.controller}{_silence(farm)}",
        )
        for farm in facts.daemon.enrol.farms
    ]


def _silence(farm: FarmStatus) -> str:
    return f", silent for {farm.silent_seconds} s" if farm.silent_seconds else ""


def _enrol_waits(daemon: DaemonStatus, now: float) -> Iterator[Line]:
    for problem in daemon.enrol.problems:
        yield "farm", problem
    if not daemon.enrol.farms and not daemon.enrol.problems:
        yield "farm", "no join string yet; give one with: zosnet-agent join FILE"
    if daemon.enrol.next_key:
        farms = ", ".join(daemon.enrol.awaits) or "the disk"
        yield "farm", f"the node's next key waits for {farms}; until then both are good"
    for farm in daemon.enrol.farms:
        away = "" if farm.away_since is None else f", for {max(0.0, now - farm.away_since):.0f} s"
        if farm.problem:
            yield "farm", with_hint(farm.problem + away, farm.hint)
        elif farm.connection != "online" and (farm.networks or not _rests(farm)):
            yield "farm", f"{farm.connection}: no answer yet from {farm.controller}{away}"
        for network in farm.networks:
            if network.standing != "member":
                yield "network", _standing(network, farm.address or daemon.node)


def _rests(farm: FarmStatus) -> bool:
    """It was let in once and has left everything: nothing is asked for."""
    return farm.connection == "idle" and farm.admitted and not farm.tokens


def _standing(network: EnrolledNetwork, node: str) -> str:
    match network.standing:
        case "leaving":
            return f"{network.network} is left; the controller has not heard it yet"
        case "waiting":
            said = f"{network.network} does not let this node in: it is {network.said or 'waiting'}"
            return with_hint(said, f"at the controller: ncadm member authorize NETWORK {node}")
        case _:
            said = f": {network.said}" if network.said else ""
            return with_hint(f"{network.network} {network.standing}{said}", network.hint)


def _network(network: NetworkStatus) -> str:
    source = ", from the kept netmap" if network.from_cache else ""
    role = ", transit" if network.transit else ""
    addresses = ", ".join(network.addresses)
    return f"{network.name or network.network} ({network.network}) {network.state}{source}{role}: {addresses}"


def _network_waits(network: NetworkStatus) -> Iterator[Line]:
    if network.problem:
        yield "network", with_hint(network.problem, network.hint)
    if network.ends_in is not None:
        left = f"{network.ends_in / 3600:.1f} h"
        yield "network", f"our membership ends in {left} unless a controller renews it"
    for refused in network.refusals:
        yield "network", f"{refused.name or refused.node} is not believed: {refused.reason}"
    for peer in network.peers:
        if peer.path == "none":
            yield "network", f"{peer.name} cannot be reached: {peer.reason}"
        elif peer.reachable is False:
            too = ", which does not answer either" if _carrier_is_silent(network, peer) else ""
            yield "network", f"{peer.name} does not answer ({path_text(peer)}{too})"


def _resources(resources: Sequence[ResourceStatus]) -> str:
    """How many, and the names of the first."""
    names = [resource.name for resource in resources]
    some = ", ".join(names[:SOME_NAMES]) + (", …" if len(names) > SOME_NAMES else "")
    up = sum(resource.state == "up" for resource in resources)
    return f"{up} of {len(resources)} up: {some}"


def _resource(resource: ResourceStatus) -> str:
    ranges = " and ".join(filter(None, (resource.ipv4, resource.ipv6)))
    guests = ", ".join(workload.namespace for workload in resource.workloads)
    outside = ", ".join(resource.outside) or "nowhere yet"
    said = f"{resource.name} {resource.state}: {ranges} in {resource.namespace}, outside {outside}"
    return f"{said}; workloads {guests}" if guests else said


def _resource_waits(resource: ResourceStatus) -> Iterator[Line]:
    if resource.problem:
        yield "resource", f"{resource.name}: {with_hint(resource.problem, resource.hint)}"
    for workload in resource.workloads:
        if workload.state == "absent":
            yield "resource", f"{resource.name}: there is no namespace {workload.namespace}"
        elif workload.problem:
            yield "resource", f"{resource.name}: {workload.problem}"


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
    lines += [("not believed", r.reason) for r in network.refusals if r.node == peer.node]
    if peer.initiator is not None:
        begins = "this node begins" if peer.initiator else f"{peer.name} begins"
        lines.append(("handshake", begins + _age(peer)))
        lines.append(("bytes", f"{peer.rx} received, {peer.tx} sent"))
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
    if peer.handshake_age is None:
        return ", and none was completed yet"
    return f", the last {peer.handshake_age:.0f} s ago"

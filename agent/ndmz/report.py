"""From what ndmz found to what it says of itself. Pure."""

from collections.abc import Iterable
from ipaddress import IPv6Network

from msgspec import Struct

from agent.ndmz.firewall import Verdict
from agent.ndmz.pair import Pair
from agent.ndmz.policy import Facts, lacking
from agent.ndmz.sharing import Sharing
from agent.ndmz.status import NdmzStatus, Workload
from agent.ndmz.workload import Attachment
from netns.values import IPAddress, IPNetwork


class Findings(Struct, frozen=True, kw_only=True):
    facts: Facts
    mtu: int
    guarded: bool  # the guard is loaded
    ipv6: str  # as in the config
    sharing: Sharing
    pair: Pair | None
    verdict: Verdict
    problems: dict[str, str]  # by what it is about; "ndmz": the last look ended early
    site: Iterable[IPAddress]
    allowed: Iterable[IPNetwork]
    servers: Iterable[IPAddress]
    workloads: Iterable[Attachment]
    delegated: IPv6Network | None = None
    delegation: str = ""


def make_status(found: Findings) -> NdmzStatus:
    facts, works = found.facts, found.guarded and "ndmz" not in found.problems
    ready4, ready6 = works and facts.ready4, works and facts.ready6
    ready = ready6 if found.ipv6 == "required" else ready4 or ready6
    lacks: list[str] = []
    if "ndmz" not in found.problems:  # all else follows from it
        off = found.ipv6 == "off"
        lacks = lacking(facts, ready4, ready6 or off, shared=found.sharing.on)
    warnings = [said for said in (found.verdict.warning, found.verdict.shut) if said]
    return NdmzStatus(
        ready=ready,
        ready4=ready4,
        ready6=ready6,
        mtu=found.mtu,
        addresses=[str(address) for address in (*facts.usable4, *facts.usable6)],
        gateways=sorted(map(str, facts.gateways)),
        ipv4=found.sharing.why,
        lent=[str(address) for address in facts.lent if found.sharing.on],
        pair=str(found.pair.network) if found.pair else "",
        delegated=str(found.delegated or ""),
        delegation=found.delegation,
        own=sorted(map(str, facts.own)),
        site=sorted(map(str, found.site)),
        exceptions=sorted(map(str, found.allowed)),
        dns=[str(server) for server in found.servers],
        workloads=[Workload(w.name, str(w.ip4.ip), str(w.ip6.ip)) for w in found.workloads],
        bridge_nf=found.verdict.said,
        lacks=lacks if ready else [],
        reasons=[*found.problems.values(), *([] if ready else lacks), *warnings],
    )

"""Which NIC carries ndmz: the one that carries the node, or one of its own. Pure.

    egress = Egress("auto", dead_after=30, back_after=300)
    way = egress.decide(seen, now)       # after each look; way.nic None: by `zos`

Where `zos` is on a private LAN, out of band, and another NIC has a public IPv4 or a global IPv6
address, `auto` has the workloads' traffic there. A NIC that works is never left for a better one; one
that was dead for 30 s is, and taken again when it was public without a break for 300 s. The node
goes before: as long as `zos` is dead and no other NIC could take its place, ndmz has none, and never
that to which the node goes back.
"""

from collections.abc import Mapping

from msgspec import Struct

from agent.boot.nics import LAYERS
from agent.boot.recover import BR_PUB
from agent.boot.uplink import AddressClass, Candidate, choose, classify
from netns.values import Link


class Seen(Struct, frozen=True, kw_only=True):
    zos: Candidate | None  # its port; None: it has none
    own: Candidate | None = None  # the port of br-pub
    silent: str = ""  # why that one is of no use
    others: tuple[Candidate, ...] = ()  # in their probe namespaces
    stranded: bool = False  # zos is dead, and no other NIC is ready
    home: str = ""  # the NIC that the node goes back to, while another one carries it


class Way(Struct, frozen=True):
    nic: str | None  # None: by zos
    reason: str


class Egress:
    def __init__(self, setting: str, *, dead_after: float, back_after: float) -> None:
        """`setting`: auto, zos or the name of a NIC."""
        self._setting, self._dead_after, self._back_after = setting, dead_after, back_after
        self._dead_since: float | None = None
        self._public_since: dict[str, float] = {}  # of the others, without a break
        self._left: set[str] = set()  # those that were dead

    def decide(self, seen: Seen, now: float) -> Way:
        self._note(seen, now)
        if self._setting == "zos":
            return Way(None, "by zos, by config")
        if seen.stranded:
            return Way(None, "by zos, which is dead: the node may need every NIC")
        return self._find(seen, now) if self._setting == "auto" else self._named(seen)

    def _note(self, seen: Seen, now: float) -> None:
        if seen.own is None or not why_useless(seen.own, seen.silent):
            self._dead_since = None
        elif self._dead_since is None:
            self._dead_since = now
        public = [other.name for other in seen.others if public_addresses(other)]
        self._public_since = {name: self._public_since.get(name, now) for name in public}

    def _named(self, seen: Seen) -> Way:
        """With or without a cable: who names it wants no traffic of workloads on the other."""
        if self._setting == seen.home:
            return Way(None, f"by zos: the node goes back to {seen.home}, which the config names")
        known = [c for c in (seen.own, *seen.others) if c is not None and c.name == self._setting]
        if known:
            return Way(self._setting, f"{self._setting}, by config")
        if seen.zos is not None and seen.zos.name == self._setting:
            return Way(None, f"by zos: its port is {self._setting}, which the config names")
        return Way(None, f"by zos: there is no NIC {self._setting}, which the config names")

    def _find(self, seen: Seen, now: float) -> Way:
        if seen.own is not None and seen.own.name != seen.home and self._keeps(seen.own, now):
            found = why_useless(seen.own, seen.silent) or public_addresses(seen.own)
            return Way(seen.own.name, f"{seen.own.name}: {found}; zos is out of band")
        if seen.zos is None or not seen.zos.usable:
            return Way(None, "by zos, which has no way out yet")
        if addresses := public_addresses(seen.zos):
            return Way(None, f"by zos: {addresses}")
        fit = [o for o in seen.others if o.name != seen.home and self._is_fit(o, now)]
        best = choose(fit).uplink
        if best is None:
            return Way(None, "by zos: no other NIC has a public IPv4 or a global IPv6 address")
        addresses = public_addresses(next(other for other in fit if other.name == best.name))
        return Way(best.name, f"{best.name}: {addresses}; zos is out of band")

    def _keeps(self, own: Candidate, now: float) -> bool:
        if self._dead_since is not None and now >= self._dead_since + self._dead_after:
            self._left.add(own.name)
            return False
        return True

    def _is_fit(self, other: Candidate, now: float) -> bool:
        since = self._public_since.get(other.name)
        pause = self._back_after if other.name in self._left else 0.0
        return since is not None and now >= since + pause


def public_addresses(candidate: Candidate) -> str:
    """Those by which the Internet reaches a NIC, for people; empty: it has none that are of use."""
    found = []
    if candidate.class4 == AddressClass.PUBLIC4:
        found.append(f"public IPv4 {candidate.address4}")
    if candidate.best6 is not None:
        six = [a for a in candidate.addresses6 if classify(a.ip) == AddressClass.GLOBAL6]
        found += [f"global IPv6 {min(six)}"] if six else []
    return " and ".join(found)


def why_useless(own: Candidate, silent: str) -> str:
    """Why the NIC of ndmz serves nobody; empty: it does."""
    return silent or ("" if public_addresses(own) else "no public address")


def own_port(host: Mapping[str, Link]) -> Link | None:
    """The NIC in br-pub; None: ndmz is on zos. `host`: its links by name."""
    bridge = host.get(BR_PUB)
    if bridge is None or bridge.role != BR_PUB:
        return None
    ports = [link for link in host.values() if link.master == bridge.index]
    return next((p for p in ports if p.role in (None, *LAYERS) and not p.half_made), None)

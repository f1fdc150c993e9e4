"""Whom a node believes: signed memberships in, members and reasons for refusal out. Pure.

    judge = Judge(node)
    state = judge.state(signed, keyset, network, held)       # StatementError: lower, foreign, forged
    verified = judge.members(own, rows, state, keyset, now_ms)

A member is configured only when its certificate is signed by a signer in the keyset, is of this
network, not below the serial floor and not past its life (asked only with a clock that is
trusted), and claims nothing that is another's. What it may carry is what its certificate says is
its own; with the role also what its certificate lists for others, and what is of the members whose
certificates name it as their transit. Names and endpoints are hints and are never proof of anything.
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network

from msgspec import Struct

from netns.wireguard.device import Endpoint
from protocol.keys import WireGuardPublic
from protocol.messages import Row
from protocol.packing import IPAddress, IPNetwork, is_endpoint_address, parse_endpoint
from protocol.signed import Signed, StatementError, open_signed, read_unverified
from protocol.statements import Keyset, Membership, NetworkState, check


class Member(Struct, frozen=True):
    """One that is believed. `claims` are its own prefixes, host prefixes for its addresses."""

    node: bytes
    wireguard: WireGuardPublic
    serial: int
    addresses: tuple[IPAddress, ...]
    claims: frozenset[IPNetwork]
    roles: frozenset[str]
    carries: frozenset[IPNetwork] = frozenset()  # for others, by its certificate
    via: bytes = b""  # the transit that its certificate names
    name: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    families: frozenset[int] = frozenset()

    @property
    def is_transit(self) -> bool:
        return not self.roles.isdisjoint({"transit", "hub"})


class Refusal(Struct, frozen=True):
    """A member that is not configured, or that may not carry something."""

    node: bytes
    name: str
    reason: str


class Verified(Struct, frozen=True):
    """`relays`: member → transit, both by node key and only where the transit may."""

    own: Member
    members: Mapping[bytes, Member]  # without ourselves
    relays: Mapping[bytes, bytes]
    refusals: tuple[Refusal, ...]


class Judge:
    """Judges for one node; remembers which signatures it has found right (43 µs each)."""

    def __init__(self, *nodes: bytes) -> None:
        """`nodes`: the keys of this node, two while one gives way to the other."""
        self.nodes = nodes
        self._opened: dict[Signed, Membership] = {}
        self._keyset: Keyset | None = None

    def state(
        self, signed: Signed, keyset: Keyset, network: str, held: NetworkState | None
    ) -> NetworkState:
        """The network's state when it is true and not below `held`. Raises StatementError."""
        state = open_signed(signed, NetworkState, keyset.verify_keys())
        check(state)
        if state.network != network:
            raise StatementError(f"it is of network {state.network}")
        if held is not None and _age(state) < _age(held):
            raise StatementError(
                f"it is older than what we hold: {state.incarnation}.{state.epoch}"
                f" after {held.incarnation}.{held.epoch}"
            )
        return state

    def own(
        self,
        signed: Signed,
        state: NetworkState,
        keyset: Keyset,
        wireguard: bytes,
        now_ms: int | None,
    ) -> Member:
        """Our own membership, when others will believe it too. Raises StatementError."""
        if state.is_closed:
            raise StatementError("the network was deleted")
        membership = self._open(signed, keyset)
        if membership.node not in self.nodes:
            raise StatementError("it is another node's")
        if membership.wireguard != wireguard:
            raise StatementError("it has another WireGuard key than this node")
        _hold(membership, state.network, lowest_serials(state), now_ms)
        return _member(membership)

    def members(
        self,
        own: Member,
        rows: Iterable[Row],
        state: NetworkState,
        keyset: Keyset,
        now_ms: int | None,
    ) -> Verified:
        refusals: list[Refusal] = []
        believed: list[Member] = []
        floors = lowest_serials(state)
        for row in rows:
            try:
                membership = self._open(row.membership, keyset)
                if membership.node in self.nodes:
                    continue
                _hold(membership, state.network, floors, now_ms)
                believed.append(_member(membership, row))
            except StatementError as error:
                refusals.append(Refusal(_key_of(row), row.name, str(error)))
        members = _settle_claims(own, believed, refusals)
        relays = _relays(own, members, refusals)
        return Verified(own, members, relays, tuple(refusals))

    def _open(self, signed: Signed, keyset: Keyset) -> Membership:
        if keyset != self._keyset:  # a signer may have gone
            self._opened.clear()
            self._keyset = keyset
        known = self._opened.get(signed)
        if known is None:
            known = open_signed(signed, Membership, keyset.verify_keys())
            check(known)
            self._opened[signed] = known
        return known

    def is_signed(self, row: Row, keyset: Keyset) -> bool:
        try:
            self._open(row.membership, keyset)
        except StatementError:
            return False
        return True

    def read(self, signed: Signed, keyset: Keyset, network: str) -> Membership | None:
        """What it says, void or not, when it is signed and of this network."""
        try:
            membership = self._open(signed, keyset)
        except StatementError:
            return None
        return membership if membership.network == network else None

    def forget_all_but(self, signed: Iterable[Signed]) -> None:
        """Keep the memory as large as the network is."""
        kept = {s: self._opened[s] for s in signed if s in self._opened}
        self._opened = kept


def _age(state: NetworkState) -> tuple[int, int, int]:
    return state.incarnation, state.epoch, state.issued_at


def lowest_serials(state: NetworkState) -> Callable[[bytes], int]:
    """The lowest serial that is valid, of each node."""
    floors = {floor.node: floor.serial for floor in state.floors}
    return lambda node: max(state.least, floors.get(node, 0))


def _hold(
    membership: Membership, network: str, floors: Callable[[bytes], int], now_ms: int | None
) -> None:
    if membership.network != network:
        raise StatementError(f"it is of network {membership.network}")
    floor = floors(membership.node)
    if membership.serial < floor:
        raise StatementError(f"it was revoked: serial {membership.serial} is below {floor}")
    if now_ms is not None and membership.not_after and now_ms > membership.not_after:
        raise StatementError("its life is over")


def _member(membership: Membership, row: Row | None = None) -> Member:
    addresses = tuple(interface.ip for interface in membership.interfaces)
    return Member(
        node=membership.node,
        wireguard=WireGuardPublic(membership.wireguard),
        serial=membership.serial,
        addresses=addresses,
        claims=frozenset({ip_network(a) for a in addresses} | set(membership.networks)),
        roles=frozenset(membership.roles),
        carries=frozenset(membership.relayed),
        via=membership.via,
        name=row.name if row else "",
        endpoints=tuple(_endpoints(row.endpoints)) if row else (),
        families=frozenset(row.families) & {4, 6} if row else frozenset(),
    )


def _endpoints(texts: Iterable[str]) -> Iterable[Endpoint]:
    for text in texts:
        try:
            address, port = parse_endpoint(text)
        except ValueError:
            continue  # a hint that is none
        if is_endpoint_address(address):  # one that a device refuses would stop all of it
            yield Endpoint(address, port)


def _key_of(row: Row) -> bytes:
    try:
        return read_unverified(row.membership, Membership).node
    except StatementError:
        return b""


def _settle_claims(
    own: Member, believed: Iterable[Member], refusals: list[Refusal]
) -> dict[bytes, Member]:
    """Each prefix and each WireGuard key has one owner: the lower serial, then the smaller key.

    What is ours here stays ours: a claim on it is refused whatever its serial.
    """
    owner: dict[IPNetwork, str] = dict.fromkeys(own.claims, "this node")
    keys = {own.wireguard: "this node"}
    members: dict[bytes, Member] = {}
    for member in sorted(believed, key=lambda m: (m.serial, m.node)):
        if member.node in members:
            refusals.append(Refusal(member.node, member.name, "it stands twice in the netmap"))
            continue
        if member.wireguard in keys:
            reason = f"its WireGuard key is that of {keys[member.wireguard]}"
            refusals.append(Refusal(member.node, member.name, reason))
            continue
        taken = sorted((p for p in member.claims if p in owner), key=str)
        if taken:
            reason = f"{taken[0]} belongs to {owner[taken[0]]}"
            refusals.append(Refusal(member.node, member.name, reason))
            continue
        said = member.name or member.node.hex()[:10]
        owner |= dict.fromkeys(member.claims, said)
        keys[member.wireguard] = said
        members[member.node] = member
    return members


def _relays(
    own: Member, members: Mapping[bytes, Member], refusals: list[Refusal]
) -> dict[bytes, bytes]:
    """Who carries whom; each that may not is named once."""
    everybody = {**members, own.node: own}
    relays, unable = {}, {}
    for member in everybody.values():
        transit = everybody.get(member.via)
        if transit is None:
            continue
        if transit.is_transit:
            relays[member.node] = transit.node
        else:
            unable[transit.node] = "it is named as a transit and its certificate has not that role"
    for member in members.values():
        if member.carries and not member.is_transit:
            unable[member.node] = "its certificate lists what it carries and has no role to carry"
    refusals += [Refusal(node, everybody[node].name, why) for node, why in unable.items()]
    return relays

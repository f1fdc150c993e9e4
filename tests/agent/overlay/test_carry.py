"""Who may carry what: each thing that can be wrong with a member, and a model of the whole rule."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_network

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from agent.overlay.peers import Here, Plan, plan_peers
from agent.overlay.verify import Judge, Verified
from netns.wireguard.device import Device, Peer, Prefix, validate
from protocol.messages import Row
from protocol.signed import Signed
from protocol.statements import Membership, NetworkState
from tests.agent.overlay.signing import Authority, Someone, endpoint, state

FARM, STRANGER = Authority(), Authority()
NOW = 1_795_000_000_000
ME = Someone("me", ("10.9.0.1/16",), prefixes=("10.9.1.0/24",), families=(4,))
N2 = Someone(
    "n2",
    ("10.9.0.2/16",),
    prefixes=("10.9.2.0/24",),
    endpoints=("198.51.100.2:1",),
    families=(4,),
    serial=3,
)
N3 = Someone("n3", ("10.9.0.3/16",), endpoints=("198.51.100.3:1",), families=(4,), serial=5)


def judge(
    rows: Iterable[Row], now: NetworkState, now_ms: int | None = None, me: Someone = ME
) -> Verified:
    judge, keyset = Judge(bytes(me.node)), FARM.keyset()
    own = judge.own(FARM.signer.seal(me.membership), now, keyset, bytes(me.wireguard), None)
    return judge.members(own, rows, now, keyset, now_ms)


def plan(verified: Verified, me: Someone = ME) -> Plan:
    here = Here(tuple(endpoint(e) for e in me.endpoints), frozenset(me.families))
    made = plan_peers(verified, here, {})
    validate(Device(peers={k: Peer(k, p.allowed) for k, p in made.peers.items()}))
    return made


def altered(someone: Someone, **fields: object) -> Row:
    """A row whose certificate says something else than what was signed."""
    row = FARM.row(someone)
    payload = msgspec.msgpack.encode(msgspec.structs.replace(someone.membership, **fields))
    return msgspec.structs.replace(
        row, membership=msgspec.structs.replace(row.membership, payload=payload)
    )


def of_another_kind(someone: Someone) -> Row:
    signed = FARM.signer.seal(state())
    return msgspec.structs.replace(FARM.row(someone), membership=signed)


# what is wrong with n2's row, and what is said of it
WRONG = {
    "wrong signer": (STRANGER.row(N2), state(), "whom we do not know"),
    "address altered": (
        altered(N2, addresses=(b"\x0a\x09\x00\x63\x10",)),
        state(),
        "the signature is wrong",
    ),
    "prefix altered": (altered(N2, prefixes=()), state(), "the signature is wrong"),
    "key altered": (altered(N2, wireguard=b"k" * 32), state(), "the signature is wrong"),
    "node altered": (altered(N2, node=b"k" * 32), state(), "the signature is wrong"),
    "expiry altered": (altered(N2, not_after=1), state(), "the signature is wrong"),
    "serial altered": (altered(N2, serial=9), state(), "the signature is wrong"),
    "network altered": (altered(N2, network="0" * 16), state(), "the signature is wrong"),
    "roles altered": (altered(N2, roles=("hub",)), state(), "the signature is wrong"),
    "relays altered": (
        altered(N2, relays=(b"\x0a\x09\x00\x00\x10",)),
        state(),
        "the signature is wrong",
    ),
    "via altered": (altered(N2, via=b"t" * 32), state(), "the signature is wrong"),
    "another statement": (of_another_kind(N2), state(), "the signature is wrong"),
    "foreign": (
        FARM.row(replace(N2, network="0011223344000002")),
        state(),
        "of network 0011223344000002",
    ),
    "stale": (FARM.row(N2), state(floors=[(N2, 4)]), "revoked: serial 3 is below 4"),
    "expired": (FARM.row(replace(N2, not_after=NOW - 1)), state(), "its life is over"),
    "unknown role": (
        FARM.row(replace(N2, roles=("king",))),
        state(),
        "roles we do not know: king",
    ),
    "WireGuard key of low order": (
        FARM.row(replace(N2, wireguard=b"\x01" + bytes(30) + b"\x80")),
        state(),
        "its WireGuard key is a point of low order",
    ),
    "address of this node": (
        FARM.row(replace(N2, addresses=("10.9.0.1/16",), serial=0)),
        state(),
        "10.9.0.1/32 belongs to this node",
    ),
    "prefix of this node": (
        FARM.row(replace(N2, prefixes=("10.9.1.0/24",), serial=0)),
        state(),
        "10.9.1.0/24 belongs to this node",
    ),
    "address of another": (
        FARM.row(replace(N2, addresses=("10.9.0.3/16",), serial=6)),
        state(),
        "10.9.0.3/32 belongs to n3",
    ),
    "WireGuard key of another": (
        FARM.row(replace(N2, wireguard=N3.wireguard, serial=6)),
        state(),
        "its WireGuard key is that of n3",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_member_is_refused_reported_and_touches_nobody_else(case: str) -> None:
    """S2: each field that was tampered with; S8: no other's addresses."""
    row, now, reason = WRONG[case]
    control = judge([FARM.row(N3), FARM.row(N2)], state(), NOW)
    assert set(control.members) == {N2.node, N3.node}
    assert control.refusals == ()

    for rows in ([FARM.row(N3), row], [row, FARM.row(N3)]):
        verified = judge(rows, now, NOW)

        assert set(verified.members) == {N3.node}
        (refusal,) = verified.refusals
        assert reason in refusal.reason
        assert refusal.name == "n2"
        assert list(plan(verified).peers) == [N3.wireguard]


def test_every_field_of_a_membership_stands_in_the_table() -> None:
    tampered = {case.removesuffix(" altered") for case in WRONG if case.endswith(" altered")}
    fields = {"wireguard": "key", "addresses": "address", "prefixes": "prefix"}
    fields |= {"not_after": "expiry"}
    untold = {"version", "issued_at"}  # bit by bit in tests/protocol/test_signed.py

    names = {fields.get(name, name) for name in Membership.__struct_fields__ if name not in untold}
    assert names == tampered


def test_a_life_that_is_over_counts_only_with_a_clock_that_is_trusted() -> None:
    """S3: without a word from a controller."""
    row = FARM.row(replace(N2, not_after=NOW))

    assert set(judge([row], state(), NOW).members) == {N2.node}
    assert set(judge([row], state(), None).members) == {N2.node}
    assert judge([row], state(), NOW + 1).members == {}
    assert set(judge([row], state(), None).members) == {N2.node}


def test_who_has_no_role_carries_nothing_for_others_and_is_named_once() -> None:
    far = replace(N3, via=N2.node)
    carrier = replace(N2, carries=("10.9.0.0/16",))
    verified = judge(FARM.rows(carrier, far), state())
    peer = plan(verified).peers[N2.wireguard]

    assert [r.reason for r in verified.refusals] == [
        "its certificate lists what it carries and has no role to carry"
    ]
    assert peer.allowed == {ip_network("10.9.0.2/32"), ip_network("10.9.2.0/24")}

    verified = judge(FARM.rows(N2, far), state())
    assert len(verified.refusals) == 1
    assert "has not that role" in verified.refusals[0].reason
    for role in ("hub", "transit"):
        verified = judge(FARM.rows(replace(carrier, roles=(role,)), far), state())
        assert verified.refusals == ()
        assert ip_network("10.9.0.0/16") in plan(verified).peers[N2.wireguard].allowed


def test_of_two_that_may_carry_one_prefix_the_one_with_a_path_does() -> None:
    first = replace(N2, roles=("transit",), carries=("0.0.0.0/0",), serial=1)
    second = replace(N3, roles=("transit",), carries=("0.0.0.0/0",), serial=2)
    everything = ip_network("0.0.0.0/0")
    both = plan(judge(FARM.rows(first, second), state())).peers
    assert everything in both[N2.wireguard].allowed
    assert everything not in both[N3.wireguard].allowed

    hidden = replace(first, endpoints=())
    one = plan(judge(FARM.rows(hidden, second), state())).peers
    assert everything in one[N3.wireguard].allowed


# a model: who carries a packet to an address, by the words of the rule


class Guess(Struct):
    """A member as somebody may have made it up."""

    who: Someone
    known_signer: bool = True
    floor: int = 0
    life: int = 0

    @property
    def row(self) -> Row:
        return (FARM if self.known_signer else STRANGER).row(self.who)


@dataclass
class World:
    guesses: list[Guess]
    relays: list[tuple[Someone, Someone]]
    hidden: bool  # whether we are
    now_ms: int | None
    _kept: list[Guess] = field(default_factory=list)

    @property
    def me(self) -> Someone:
        via = next((t.node for m, t in self.relays if m.node == ME.node), b"")
        return replace(ME, endpoints=() if self.hidden else ("198.51.100.1:1",), via=via)

    @property
    def state(self) -> NetworkState:
        floors = [(g.who, g.floor) for g in self.guesses]
        return state(floors=floors)

    def believed(self) -> list[Someone]:
        """Those that are to be configured, in the order in which they may claim."""
        claimed, keys = set(own_of(ME)), {bytes(ME.wireguard)}
        found = []
        for guess in sorted(self.guesses, key=lambda g: (g.who.serial, g.who.node)):
            who = guess.who
            over = self.now_ms is not None and guess.life != 0 and self.now_ms > guess.life
            true = guess.known_signer and who.network == ME.network and "king" not in who.roles
            if not true or over or who.serial < guess.floor:
                continue
            if claimed & own_of(who) or bytes(who.wireguard) in keys:
                continue
            claimed |= own_of(who)
            keys.add(bytes(who.wireguard))
            found.append(who)
        return found

    def carrier(self, address: IPv4Address) -> bytes | None:
        """The WireGuard key of the peer that a packet to `address` goes to."""
        ways = [
            ((-length, rank, serial, node), key)
            for length, rank, serial, node, key in self._ways(address)
        ]
        return min(ways)[1] if ways else None

    def _ways(self, address: IPv4Address) -> Iterator[tuple[int, int, int, bytes, bytes]]:
        believed = self.believed()
        direct = {m.node: m for m in believed if m.endpoints or (m.families and not self.hidden)}
        listed = {m.node: t.node for m, t in self.relays if self._carries(believed, m, t)}
        for who in believed:
            carrier: Someone | None = direct.get(who.node)
            if carrier is None and listed.get(who.node) == listed.get(ME.node) is not None:
                carrier = direct.get(listed[who.node])
                if carrier is not None and not (sends(who, carrier) or sends(carrier, who)):
                    carrier = None
            if carrier is not None:
                for prefix in own_of(who):
                    if address in prefix:
                        yield prefix.prefixlen, 0, 0, b"", bytes(carrier.wireguard)
        for who in direct.values():
            for prefix in map(IPv4Network, who.carries):
                taken = any(prefix in own_of(m) for m in [*believed, ME])
                if address in prefix and {"hub", "transit"} & set(who.roles) and not taken:
                    key = bytes(who.wireguard)
                    yield prefix.prefixlen, 1, who.serial, bytes(who.node), key

    def _carries(self, believed: list[Someone], member: Someone, transit: Someone) -> bool:
        nodes = {m.node: m for m in believed} | {ME.node: ME}
        there = member.node in nodes and transit.node in nodes and member.node != transit.node
        return there and bool({"hub", "transit"} & set(nodes[transit.node].roles))


def sends(one: Someone, other: Someone) -> bool:
    return bool(one.families and other.endpoints)


def own_of(someone: Someone) -> set[IPv4Network]:
    hosts = {IPv4Network(a.partition("/")[0]) for a in someone.addresses}
    return hosts | {IPv4Network(p) for p in someone.prefixes}


NODES = [Someone(f"g{i}", (f"10.9.0.{i + 2}/16",)) for i in range(5)]
HOSTS = [f"10.9.0.{i}/16" for i in range(1, 7)]
PREFIXES = ["10.9.1.0/24", "10.9.2.0/24", "10.9.2.0/25", "10.9.0.4/30", "10.9.0.6/32"]
CARRIED = ["0.0.0.0/0", "10.9.0.0/16", "10.9.2.0/24", "10.9.0.0/30", "10.9.0.3/32"]
SHARED_KEY = bytes(NODES[0].wireguard)
PLACES = [IPv4Address(f"10.9.{i}.{j}") for i in (0, 1, 2, 3) for j in (*range(1, 8), 200)]
PLACES.append(IPv4Address("192.0.2.1"))


@st.composite
def guesses(draw: st.DrawFn, base: Someone) -> Guess:
    some = st.sets
    more = draw(st.sampled_from([(), (), (), *((host,) for host in HOSTS)]))
    who = replace(
        base,
        addresses=tuple({*base.addresses, *more}),
        prefixes=tuple(draw(some(st.sampled_from(PREFIXES), max_size=2))),
        carries=tuple(draw(some(st.sampled_from(CARRIED), max_size=2))),
        roles=tuple(draw(some(st.sampled_from(["hub", "transit", "mint"]), max_size=2))),
        endpoints=draw(st.sampled_from([(), ("198.51.100.9:1",)])),
        families=draw(st.sampled_from([(4,), (4,), ()])),
        serial=draw(st.integers(0, 3)),
    )
    match draw(st.integers(0, 11)):
        case 0:
            return Guess(who, known_signer=False)
        case 1:
            return Guess(replace(who, network="0011223344000002"))
        case 2:
            return Guess(replace(who, roles=("king",)))
        case 3:
            return Guess(replace(who, wireguard=SHARED_KEY))
        case 4 | 5:
            return Guess(who, floor=draw(st.integers(0, 4)))
        case 6:
            life = draw(st.sampled_from([NOW - 1, NOW, NOW + 1]))
            return Guess(replace(who, not_after=life), life=life)
        case _:
            return Guess(who)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    chosen = draw(st.integers(1, len(NODES)))
    made = [draw(guesses(base)) for base in NODES[:chosen]]
    if draw(st.booleans()):  # one that can do it, which most pairs are listed with
        carries = tuple(draw(st.sets(st.sampled_from(CARRIED))))
        strong = replace(made[0].who, roles=("transit",), endpoints=("198.51.100.9:1",))
        made[0] = Guess(replace(strong, network=ME.network, carries=carries, not_after=0))
    most = made[0].who
    transits = st.sampled_from([None, most, most, most, ME, made[-1].who])
    pairs = [(who, draw(transits)) for who in [ME, *(guess.who for guess in made)]]
    listed = [(who, to) for who, to in pairs if to is not None and to.node != who.node]
    via = {who.node: to.node for who, to in listed}
    made = [replace(g, who=replace(g.who, via=via.get(g.who.node, b""))) for g in made]
    return World(made, listed, draw(st.booleans()), draw(st.sampled_from([None, NOW])))


@settings(max_examples=400, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_each_packet_goes_to_the_peer_that_the_rule_names(world: World, order: object) -> None:
    """S8: what a peer may carry, against a model that was written from the rule's words."""
    rows = [guess.row for guess in world.guesses]
    order.shuffle(rows)  # type: ignore[attr-defined]
    verified = judge(rows, world.state, world.now_ms, world.me)
    made = plan(verified, world.me)

    assert set(verified.members) == {who.node for who in world.believed()}
    prefixes = [prefix for peer in made.peers.values() for prefix in peer.allowed]
    assert len(prefixes) == len(set(prefixes))
    refused = {g.who.node for g in world.guesses} - set(verified.members)
    assert refused <= {r.node for r in verified.refusals}
    assert {place: carries(made, place) for place in PLACES} == {
        place: world.carrier(place) for place in PLACES
    }


def carries(made: Plan, address: IPv4Address) -> bytes | None:
    """What WireGuard does with the allowed addresses: the longest prefix."""
    ways: list[tuple[int, bytes]] = [
        (prefix.prefixlen, peer.key)
        for peer in made.peers.values()
        for prefix in peer.allowed
        if covers(prefix, address)
    ]
    return max(ways)[1] if ways else None


def covers(prefix: Prefix, address: IPv4Address) -> bool:
    return isinstance(prefix, IPv4Network) and address in prefix


def test_a_row_that_cannot_be_read_is_named_by_its_name() -> None:
    row = msgspec.structs.replace(FARM.row(N2), membership=Signed(b"\xc1", b"s" * 8, b"s" * 64))
    verified = judge([row, FARM.row(N3)], state())

    assert set(verified.members) == {N3.node}
    assert [(r.node, r.name) for r in verified.refusals] == [(b"", "n2")]

"""The farm's peers: who is direct, who begins, who goes through the transit."""

from collections.abc import Mapping
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.overlay.peers import Direct, Here, NoPath, Plan, Through, plan_peers
from agent.overlay.verify import Judge
from netns.wireguard.device import Device, Endpoint, Peer, validate
from protocol.statements import NetworkState
from tests.agent.overlay.signing import Authority, Someone, endpoint, state

FARM = Authority()
N1 = Someone(
    "n1",
    ("10.9.0.1/16", "fd09::1/64"),
    roles=("transit",),
    endpoints=("198.51.100.1:51820", "[2001:db8:a::1]:51820"),
    families=(4, 6),
)
N2 = Someone(
    "n2",
    ("10.9.0.2/16", "fd09::2/64"),
    endpoints=("[2001:db8:b::2]:51820",),
    families=(4, 6),
    via=N1.node,
)
N3 = Someone("n3", ("10.9.0.3/16", "fd09::3/64"), families=(4,), via=N1.node)
STATE = state()


def plan(
    me: Someone,
    *others: Someone,
    now: NetworkState = STATE,
    learnt: Mapping[bytes, Endpoint] | None = None,
) -> Plan:
    keyset = FARM.keyset()
    judge = Judge(bytes(me.node))
    own = judge.own(FARM.signer.seal(me.membership), now, keyset, bytes(me.wireguard), None)
    verified = judge.members(own, FARM.rows(*others), now, keyset, None)
    here = Here(tuple(endpoint(e) for e in me.endpoints), frozenset(me.families))
    result = plan_peers(verified, here, learnt or {})
    validate(
        Device(peers={k: Peer(k, p.allowed) for k, p in result.peers.items()})
    )  # holds for all
    return result


def allowed(result: Plan, who: Someone) -> set[str]:
    return {str(prefix) for prefix in result.peers[bytes(who.wireguard)].allowed}


def test_a_hidden_node_begins_and_its_peer_waits() -> None:
    hidden, public = plan(N3, N1, N2), plan(N1, N2, N3)

    assert hidden.paths[N1.node] == Direct(initiator=True)
    assert public.paths[N3.node] == Direct(initiator=False)
    assert [str(e) for e in hidden.peers[N1.wireguard].endpoints] == ["198.51.100.1:51820"]
    assert public.peers[N3.wireguard].endpoints == ()


def test_of_two_that_reach_each_other_the_smaller_key_begins() -> None:
    small, large = (replace(n, wireguard=k * 32) for n, k in ((N1, b"\1"), (N2, b"\2")))

    assert plan(small, large).paths[N2.node] == Direct(initiator=True)
    assert plan(large, small).paths[N1.node] == Direct(initiator=False)


def test_two_without_a_common_family_go_through_the_transit() -> None:
    n2, n3 = plan(N2, N1, N3), plan(N3, N1, N2)

    assert n2.paths[N3.node] == Through(bytes(N1.node))
    assert n3.paths[N2.node] == Through(bytes(N1.node))
    assert allowed(n3, N1) == {
        "10.9.0.1/32",
        "fd09::1/128",
        "10.9.0.2/32",
        "fd09::2/128",
    }
    assert set(n3.peers) == {N1.wireguard}


def test_the_transit_itself_has_all_as_direct_peers_with_their_own_only() -> None:
    n1 = plan(N1, N2, N3)

    assert allowed(n1, N2) == {"10.9.0.2/32", "fd09::2/128"}
    assert allowed(n1, N3) == {"10.9.0.3/32", "fd09::3/128"}


def test_without_a_transit_that_carries_both_there_is_no_path_and_it_is_said() -> None:
    assert isinstance(plan(N3, N1, N2).paths[N2.node], Through)

    for via2, via3 in ((b"", b""), (N1.node, b""), (b"", N1.node)):
        n2, n3 = replace(N2, via=via2), replace(N3, via=via3)
        path = plan(n3, N1, n2).paths[N2.node]

        assert isinstance(path, NoPath)
        assert "no common address family" in path.reason


def test_a_transit_that_has_no_path_itself_carries_nobody() -> None:
    lonely = replace(N1, endpoints=("[2001:db8:a::1]:51820",))

    assert isinstance(plan(N3, lonely, N2).paths[N2.node], NoPath)


def test_the_same_lan_comes_before_ipv6_and_ipv6_before_ipv4() -> None:
    near = replace(
        N1, endpoints=("203.0.113.9:1", "[2001:db8::9]:1", "198.51.100.9:1"), wireguard=b"\xff" * 32
    )
    assert [str(e.address) for e in plan(N2, near).peers[near.wireguard].endpoints] == [
        "2001:db8::9",
        "203.0.113.9",
        "198.51.100.9",
    ]

    from ipaddress import ip_network

    judge, keyset = Judge(bytes(N2.node)), FARM.keyset()
    own = judge.own(FARM.signer.seal(N2.membership), STATE, keyset, bytes(N2.wireguard), None)
    verified = judge.members(own, FARM.rows(near), STATE, keyset, None)
    here = Here((), frozenset({4, 6}), (ip_network("198.51.100.0/24"),))
    ranked = plan_peers(verified, here, {}).peers[near.wireguard].endpoints

    assert str(ranked[0].address) == "198.51.100.9"


def test_a_learnt_endpoint_is_where_the_one_that_waits_will_ask() -> None:
    learnt = {bytes(N3.wireguard): endpoint("198.51.100.77:4711")}
    peer = plan(N1, N3, learnt=learnt).peers[N3.wireguard]

    assert [str(e) for e in peer.endpoints] == ["198.51.100.77:4711"]
    assert not peer.initiator


def test_a_learnt_endpoint_is_the_last_place_where_the_one_that_begins_looks() -> None:
    hint, elsewhere = endpoint("198.51.100.1:51820"), endpoint("198.51.100.77:51820")
    moved, stayed = (
        plan(N3, N1, learnt={bytes(N1.wireguard): e}).peers[N1.wireguard] for e in (elsewhere, hint)
    )

    assert (moved.endpoints, moved.last) == ((hint,), elsewhere)
    assert (stayed.endpoints, stayed.last) == ((hint,), None)


def test_a_hub_carries_the_ranges_of_its_certificate_and_longest_prefix_wins() -> None:
    hub = replace(N1, roles=("hub",), carries=("10.9.0.0/16", "10.9.0.3/32"))
    n3 = replace(N3, endpoints=("198.51.100.3:1",))
    result = plan(N2, hub, n3)

    assert "10.9.0.0/16" in allowed(result, hub)
    assert "10.9.0.3/32" not in allowed(result, hub)
    assert "10.9.0.3/32" in allowed(result, N3)


@given(st.lists(st.tuples(st.sets(st.sampled_from([4, 6])), st.sets(st.sampled_from([4, 6]))),
                min_size=3, max_size=3))  # fmt: skip
def test_both_ends_of_every_pair_decide_alike(layout: list[tuple[set[int], set[int]]]) -> None:
    hints = {4: "198.51.100.{}:1", 6: "[2001:db8::{}]:1"}
    nodes = [
        replace(
            base,
            endpoints=tuple(hints[f].format(i) for f in sorted(open_to & can)),
            families=tuple(sorted(can)),
        )
        for i, (base, (open_to, can)) in enumerate(zip((N1, N2, N3), layout, strict=True), 1)
    ]
    for a, b, c in permutations(nodes):
        here, there = plan(a, b, c).paths[b.node], plan(b, a, c).paths[a.node]
        match here, there:
            case Direct(mine), Direct(theirs):
                assert mine != theirs
            case (Through(one), Through(other)):
                assert one == other
            case (NoPath(), NoPath()):
                pass
            case _:
                raise AssertionError((here, there))

"""What a node says of itself, from what its programs have written down."""

import pytest

from agent.boot.status import BootStatus, Step
from agent.enrol.status import EnrolledNetwork, EnrolStatus, FarmStatus
from agent.explain import Facts, phase_reason, waits, why
from agent.overlay.status import NetworkStatus, PeerStatus
from agent.status import DaemonStatus

SECONDS = {"ndmz": 0.5, "admitted": 0.6, "overlay": 0.7, "first_ping": 0.8}


def farm(*standings: str, tokens: int = 0) -> FarmStatus:
    return FarmStatus(
        controller_id="ab12cd34ef",
        connection="online",
        controller="tcp://203.0.113.10:9930",
        admitted=True,
        tokens=tokens,
        networks=[EnrolledNetwork(network=f"net{n}", standing=s) for n, s in enumerate(standings)],
    )


def network(*peers: PeerStatus, state: str = "up") -> NetworkStatus:
    return NetworkStatus(
        network="net0",
        name="home",
        state=state,
        namespace="n-0",
        device="w-0",
        bridge="b-0",
        port=52000,
        peers=list(peers),
    )


def peer(name: str, *, through: str = "", reachable: bool | None) -> PeerStatus:
    return PeerStatus(
        name=name,
        node=name * 5,
        addresses=["10.90.0.1"],
        path="through" if through else "direct",
        through=through,
        reachable=reachable,
        answers={"10.90.0.1": 0.4} if reachable else {},
    )


def facts(*networks: NetworkStatus, of: FarmStatus, came_first: bool = False) -> Facts:
    daemon = DaemonStatus(
        seconds=SECONDS,
        enrol=EnrolStatus(farms=[of]),
        networks=list(networks),
        came_first=came_first,
    )
    boot = BootStatus(step=Step.DONE, pid=1, stands=True, seconds={Step.DONE: 0.2})
    return Facts(boot, ndmz=None, daemon=daemon, running=True)


@pytest.mark.parametrize(
    ("networks", "of", "there"),
    [
        ([network()], farm("member"), True),
        ([network(), network()], farm("member", "refused"), True),
        ([], farm(), False),
        ([], farm("leaving"), False),
        ([network()], farm("member", "joining"), False),
        ([network()], farm("member", "waiting"), False),
        ([network()], farm("member", tokens=1), False),
        ([network(), network(state="starting")], farm("member", "member"), False),
        ([network(state="withdrawn")], farm("member"), False),
    ],
)
def test_the_overlay_is_there_when_every_network_is_up_and_no_join_is_under_way(
    networks: list[NetworkStatus], of: FarmStatus, there: bool
) -> None:
    known = facts(*networks, of=of, came_first=True)

    assert known.phase("overlay") == (0.7 if there else None)
    assert known.phase("first_ping") == (0.8 if there else None)
    assert known.came_first == there
    assert known.phase("ndmz") == 0.5


def test_a_node_in_no_network_is_told_how_to_join_one() -> None:
    out = phase_reason(facts(of=farm()), "overlay")
    leaving = phase_reason(facts(of=farm("leaving")), "first_ping")

    assert out == "this node is in no network; join one with: zosnet-agent join FILE"
    assert leaving == "net0 is left; the controller has not heard it yet"


def test_a_relayed_peer_is_silent_because_its_transit_is() -> None:
    silent = facts(
        network(peer("n1", reachable=False), peer("n3", through="n1", reachable=False)),
        of=farm("member"),
    )
    alone = facts(
        network(peer("n1", reachable=True), peer("n3", through="n1", reachable=False)),
        of=farm("member"),
    )

    assert ("because", "n1, which carries it, does not answer") in (why(silent, "n3") or [])
    both = "n3 does not answer (through n1, which does not answer either)"
    assert ("network", both) in waits(silent)
    assert "because" not in dict(why(alone, "n3") or [])
    assert ("network", "n3 does not answer (through n1)") in waits(alone)


@pytest.mark.parametrize(
    ("reachable", "said"),
    [(True, "10.90.0.1 in 0.4 ms"), (False, "not any more"), (None, "it has not answered yet")],
)
def test_a_peer_answers_not_any_more_or_has_not_yet(reachable: bool | None, said: str) -> None:
    known = facts(network(peer("n1", reachable=reachable)), of=farm("member"))

    assert dict(why(known, "n1") or [])["answers"] == said

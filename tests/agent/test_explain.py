"""What people are told a node waits for: the reason that stands in the way, and the way out."""

from dataclasses import replace

import pytest

from agent.boot.status import BootStatus, Nic, Step, Uplink
from agent.enrol.status import EnrolledNetwork, EnrolStatus, FarmStatus
from agent.explain import Facts, phase_reason, summary, topics, waits, why
from agent.ndmz.status import NdmzStatus
from agent.overlay.status import NetworkStatus, PeerStatus, RefusalStatus
from agent.status import PHASES, DaemonStatus

BOOT = BootStatus(
    step=Step.DONE,
    pid=1,
    uplink=Uplink(nic="eth0", reason="public IPv4"),
    nics=(Nic(name="eth0", reason="public IPv4"), Nic(name="eth1", reason="no carrier")),
    seconds={"done": 0.2},
    stands=True,
)
N3 = PeerStatus(name="n3", node="0a", addresses=["10.9.0.3"], path="through", through="n1")
HOME = NetworkStatus(
    network="7d28833e7d000001",
    name="home",
    state="up",
    namespace="n-1",
    device="w-1",
    bridge="b-1",
    port=51820,
    addresses=["10.9.0.2/16"],
    peers=[N3],
)
FARM = FarmStatus(
    controller_id="7d28833e7d",
    connection="online",
    controller="tcp://203.0.113.10:9930",
    admitted=True,
    networks=[EnrolledNetwork(network=HOME.network, standing="member")],
)


def daemon(**changes: object) -> DaemonStatus:
    fields: dict[str, object] = {
        "node": "0123456789",
        "pid": 7,
        "seconds": {"ndmz": 0.7, "admitted": 0.8, "overlay": 0.9, "first_ping": 1.0},
        "enrol": EnrolStatus(farms=[FARM]),
        "networks": [HOME],
    }
    return DaemonStatus(**(fields | changes))  # type: ignore[arg-type]


GOOD = Facts(
    boot=BOOT,
    ndmz=NdmzStatus(ready=True, ready4=True, addresses=["192.168.7.3"]),
    daemon=daemon(),
    running=True,
)


def test_a_node_that_has_everything_waits_for_nothing() -> None:
    assert waits(GOOD) == []
    assert all(GOOD.holds(phase) for phase in PHASES)
    assert dict(summary(GOOD))["network"].startswith("home (7d28833e7d000001) up")


def test_before_anything_has_started_that_is_the_reason() -> None:
    nothing = Facts(boot=None, ndmz=None, daemon=None)

    assert waits(nothing) == [("uplink", "zosnet has not started since power-on")]
    assert phase_reason(nothing, "overlay") == "zosnet has not started since power-on"


def test_what_keeps_internet_from_running_is_said_with_the_way_out() -> None:
    blocked = replace(
        GOOD,
        boot=BootStatus(step=Step.RECOVER, pid=1, error="cannot make zos: taken", hint="rename it"),
        daemon=None,
        ndmz=None,
        running=False,
    )

    assert waits(blocked) == [("uplink", "cannot make zos: taken (rename it)")]
    assert phase_reason(blocked, "overlay") == "cannot make zos: taken (rename it)"


def test_a_bridge_that_somebody_removed_is_no_uplink() -> None:
    removed = replace(GOOD, bridge=False)

    assert not removed.holds("uplink")
    assert waits(removed)[0][0] == "uplink"
    assert "zosnet-agent internet" in phase_reason(removed, "uplink")


def test_what_keeps_networkd_from_starting_is_all_that_is_said() -> None:
    said = "cannot use /etc/zosnet/agent.yaml: unknown key 'nisc'"
    waiting = replace(GOOD, daemon=daemon(reasons=[said]), running=False, waiting=True)

    assert waits(waiting) == [("networkd", said)]
    for phase in PHASES[1:]:
        assert not waiting.holds(phase)
        assert phase_reason(waiting, phase) == said


def test_a_networkd_that_is_gone_is_named_and_its_last_reasons_are_not_believed() -> None:
    dead = replace(GOOD, daemon=daemon(reasons=["cannot do it"]), running=False)

    assert waits(dead) == [("networkd", "it does not run; the supervisor's log says why")]
    assert not dead.holds("overlay")
    assert dead.holds("uplink")


def test_every_part_that_waits_gives_its_reason_and_hint() -> None:
    home = NetworkStatus(
        network=HOME.network,
        name="home",
        state="failing",
        namespace="n-1",
        device="w-1",
        bridge="b-1",
        port=1,
        problem="cannot make WireGuard w-1: there is no /dev/net/tun",
        hint="modprobe tun",
        peers=[
            PeerStatus(name="n4", node="0b", addresses=[], path="none", reason="no transit"),
            PeerStatus(name="n5", node="0c", addresses=[], path="direct", reachable=False),
        ],
        refusals=[RefusalStatus(name="n6", node="0d", reason="the signature is wrong")],
    )
    farm = FarmStatus(
        controller_id="7d28833e7d",
        connection="idle",
        controller="tcp://203.0.113.10:9930",
        admitted=True,
        problem="cannot be admitted",
        hint="make a new join string",
        networks=[
            EnrolledNetwork(network="f1", standing="refused", said="the pool is full", hint="wait")
        ],
    )
    facts = replace(
        GOOD,
        ndmz=NdmzStatus(reasons=["cannot use nftables (apt-get install nftables)"]),
        daemon=daemon(
            enrol=EnrolStatus(farms=[farm], problems=["cannot use farms/x (rejoin)"]),
            networks=[home],
            reasons=["cannot write clock (make room)"],
        ),
    )

    assert waits(facts) == [
        ("networkd", "cannot write clock (make room)"),
        ("ndmz", "cannot use nftables (apt-get install nftables)"),
        ("farm", "cannot use farms/x (rejoin)"),
        ("farm", "cannot be admitted (make a new join string)"),
        ("network", "f1 refused: the pool is full (wait)"),
        ("network", "cannot make WireGuard w-1: there is no /dev/net/tun (modprobe tun)"),
        ("network", "n6 is not believed: the signature is wrong"),
        ("network", "n4 cannot be reached: no transit"),
        ("network", "n5 does not answer (direct, not heard from yet)"),
    ]
    assert not facts.holds("overlay")
    assert not facts.holds("ndmz")


def test_without_a_join_string_a_node_says_how_to_give_one() -> None:
    alone = replace(GOOD, daemon=daemon(enrol=EnrolStatus(), networks=[], seconds={"ndmz": 0.7}))

    assert ("farm", "no join string yet; give one with: zosnet-agent join FILE") in waits(alone)
    assert "zosnet-agent join FILE" in phase_reason(alone, "overlay")


def test_a_farm_whose_file_is_damaged_is_not_taken_for_no_join_string() -> None:
    damaged = replace(GOOD, daemon=daemon(enrol=EnrolStatus(problems=["cannot use farms/x"])))

    assert [said for about, said in waits(damaged) if about == "farm"] == ["cannot use farms/x"]


@pytest.mark.parametrize(
    ("topic", "first"),
    [
        ("uplink", ("uplink", "eth0: public IPv4")),
        ("ndmz", ("ndmz", "ready: IPv4 (192.168.7.3)")),
        ("home", ("network", "home (7d28833e7d000001) up: 10.9.0.2/16")),
        ("7d28833e7d000001", ("network", "home (7d28833e7d000001) up: 10.9.0.2/16")),
        ("n3", ("n3", "10.9.0.3 in home")),
        ("10.9.0.3", ("n3", "10.9.0.3 in home")),
    ],
)
def test_each_thing_says_why_it_is_as_it_is(topic: str, first: tuple[str, str]) -> None:
    found = why(GOOD, topic)

    assert found is not None
    assert found[0] == first


def test_what_is_not_there_is_not_explained() -> None:
    assert why(GOOD, "n9") is None
    assert topics(GOOD) == ["uplink", "ndmz", "home", "n3"]

"""What people are told a node waits for: the reason that stands in the way, and the way out."""

import msgspec
import pytest
from msgspec.structs import replace

from agent.boot.status import BootStatus, Nic, Step, Uplink
from agent.dhcp.record import LeaseRecord
from agent.dhcp.status import KeeperStatus
from agent.enrol.status import EnrolledNetwork, EnrolStatus, FarmStatus
from agent.explain import Facts, phase_reason, summary, topics, waits, why
from agent.ndmz.status import Carrier, NdmzStatus
from agent.nr.status import ResourceStatus, WorkloadStatus
from agent.overlay.status import NetworkStatus, PeerStatus, RefusalStatus
from agent.phases import PHASES
from agent.status import DaemonStatus

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


BLUE = ResourceStatus(
    name="blue",
    state="up",
    namespace="n-blue",
    bridge="b-blue",
    ipv4="10.1.1.0/24",
    gateways=["10.1.1.1"],
    outside=["100.127.9.9", "fd12::909"],
    workloads=[WorkloadStatus(namespace="web", link="eth0", addresses=["10.1.1.2"], state="up")],
)


def daemon(**changes: object) -> DaemonStatus:
    fields: dict[str, object] = {
        "node": "0123456789",
        "pid": 7,
        "reached": {"ndmz": 0.7, "admitted": 0.8, "overlay": 0.9, "first_ping": 1.0},
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


def test_a_delegated_prefix_is_told() -> None:
    ndmz = NdmzStatus(
        ready=True,
        ready6=True,
        addresses=["2001:db8::7"],
        delegated="2001:db8:b:10::/60",
        delegation="2001:db8:b:10::/60 for 3600 s (bound)",
    )
    facts = replace(GOOD, ndmz=ndmz)
    without = why(GOOD, "ndmz")

    assert dict(summary(facts))["ndmz"] == "ready: IPv6 (2001:db8::7, 2001:db8:b:10::/60)"
    assert ("delegated prefix", ndmz.delegation) in (why(facts, "ndmz") or [])
    assert without is not None
    assert "delegated prefix" not in dict(without)


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
            EnrolledNetwork(network="f1", standing="refused", said="the pool is full", hint="wait"),
            EnrolledNetwork(network="f2", standing="waiting", said="pending"),
            EnrolledNetwork(network="f3", standing="leaving"),
            EnrolledNetwork(network="f4", standing="joining"),
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
        (
            "network",
            (
                "f2 does not let this node in: it is pending"
                " (at the controller: ncadm member authorize NETWORK 0123456789)"
            ),
        ),
        ("network", "f3 is left; the controller has not heard it yet"),
        ("network", "f4 joining"),
        ("network", "cannot make WireGuard w-1: there is no /dev/net/tun (modprobe tun)"),
        ("network", "n6 is not believed: the signature is wrong"),
        ("network", "n4 cannot be reached: no transit"),
        ("network", "n5 does not answer (direct, not heard from yet)"),
    ]


def test_without_a_join_string_a_node_says_how_to_give_one() -> None:
    alone = replace(GOOD, daemon=daemon(enrol=EnrolStatus(), networks=[], reached={"ndmz": 0.7}))

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


def test_an_ipv4_that_is_the_hosts_is_called_so_with_the_reason() -> None:
    ndmz = NdmzStatus(
        ready=True,
        ready4=True,
        ready6=True,
        addresses=["2001:db8::3"],
        lent=["192.168.7.2"],
        ipv4="shared with the host, by config",
    )
    facts = replace(GOOD, ndmz=ndmz)

    said = "ready: IPv4 through the host and IPv6 (192.168.7.2, 2001:db8::3)"
    assert ("ndmz", said) in summary(facts)
    assert ("IPv4", "shared with the host, by config") in (why(facts, "ndmz") or [])


def test_why_ndmz_says_which_nic_carries_it() -> None:
    said = "eth1: public IPv4 198.51.100.2/28; zos is out of band"
    facts = replace(GOOD, daemon=daemon(carrier=Carrier("eth1", said)))

    assert ("uplink", said) in (why(facts, "ndmz") or [])
    assert "uplink" not in dict(why(GOOD, "ndmz") or [])


def test_what_is_not_there_is_not_explained() -> None:
    assert why(GOOD, "n9") is None
    assert topics(GOOD) == ["uplink", "ndmz", "home", "n3"]


def test_what_a_peer_was_refused_and_a_membership_that_ends_soon_are_said() -> None:
    refusal = RefusalStatus(name="n3", node=N3.node, reason="it has no role to carry")
    network = msgspec.structs.replace(HOME, refusals=[refusal], ends_in=5400.0)
    facts = replace(GOOD, daemon=daemon(networks=[network]))

    assert ("not believed", "it has no role to carry") in (why(facts, "n3") or [])
    assert [text for _, text in waits(facts)] == [
        "our membership ends in 1.5 h unless a controller renews it",
        "n3 is not believed: it has no role to carry",
    ]
    assert waits(GOOD) == []


def test_a_controller_that_owes_an_answer_is_silent_with_its_age() -> None:
    """D6"""
    silent = msgspec.structs.replace(FARM, silent_seconds=14)
    facts = replace(GOOD, daemon=daemon(enrol=EnrolStatus(farms=[silent])))

    said = "7d28833e7d online, controller tcp://203.0.113.10:9930"
    assert ("farm", said) in summary(GOOD)
    assert ("farm", f"{said}, silent for 14 s") in summary(facts)


def test_a_node_without_a_controller_says_for_how_long() -> None:
    away = msgspec.structs.replace(FARM, connection="connecting", away_since=1.0)
    farms = {
        "cannot reach it, for 12 s (does it run?)": msgspec.structs.replace(
            away, problem="cannot reach it", hint="does it run?"
        ),
        "connecting: no answer yet from tcp://203.0.113.10:9930, for 12 s": away,
    }
    for said, farm in farms.items():
        facts = replace(GOOD, now=13.2, daemon=daemon(enrol=EnrolStatus(farms=[farm])))

        assert waits(facts) == [("farm", said)]


def test_network_resources_are_counted_and_those_that_fail_say_why() -> None:
    red = msgspec.structs.replace(
        BLUE, name="red", state="failing", problem="cannot use namespace n-red", hint="remove it"
    )
    facts = replace(GOOD, daemon=daemon(resources=[BLUE, red]))

    assert dict(summary(facts))["resources"] == "1 of 2 up: blue, red"
    assert waits(facts) == [("resource", "red: cannot use namespace n-red (remove it)")]
    assert why(facts, "blue") == [
        (
            "resource",
            "blue up: 10.1.1.0/24 in n-blue, outside 100.127.9.9, fd12::909; workloads web",
        )
    ]
    assert "resources" not in dict(summary(GOOD))


def test_a_hundred_network_resources_are_not_all_named() -> None:
    many = [msgspec.structs.replace(BLUE, name=f"r{number}") for number in range(100)]
    said = dict(summary(replace(GOOD, daemon=daemon(resources=many))))["resources"]

    assert said == "100 of 100 up: r0, r1, r2, r3, r4, r5, r6, r7, …"


@pytest.mark.parametrize(
    ("state", "problem", "said"),
    [
        ("absent", "", "blue: there is no namespace web"),
        ("failing", "cannot attach web: in the way", "blue: cannot attach web: in the way"),
    ],
)
def test_a_workload_that_is_not_attached_says_why(state: str, problem: str, said: str) -> None:
    web = WorkloadStatus(namespace="web", link="eth0", addresses=[], state=state, problem=problem)
    blue = msgspec.structs.replace(BLUE, workloads=[web])

    assert waits(replace(GOOD, daemon=daemon(resources=[blue]))) == [("resource", said)]


def test_a_dead_uplink_says_what_is_wrong_with_it_and_what_is_waited_for() -> None:
    trouble = "192.168.7.1 does not answer"
    dead = replace(GOOD, boot=msgspec.structs.replace(BOOT, trouble=trouble))
    said = f"eth0 is in trouble: {trouble}; the node moves when another NIC is usable"

    assert waits(dead) == [("uplink", said)]
    assert ("trouble", said) in (why(dead, "uplink") or [])
    assert waits(replace(dead, running=False))[0][0] == "networkd"  # nobody looks after it


def test_a_node_that_moved_says_when_it_goes_back() -> None:
    boot = msgspec.structs.replace(BOOT, home="eth1", checks={"tcp://a:1": "timed out"})
    lines = why(replace(GOOD, boot=boot), "uplink") or []

    assert ("home", "eth1: taken again when it was usable for uplink.back") in lines
    assert ("tcp://a:1", "timed out") in lines


def test_a_lease_is_told_with_what_was_refused_on_the_way() -> None:
    record = LeaseRecord(
        address="192.168.7.5/24",
        routers=("192.168.7.1",),
        server="192.168.7.1",
        lease_s=3600,
        renew_s=1800,
        rebind_s=3150,
        acquired=1.0,
        client_id="01",
    )
    zos = KeeperStatus(link="zos", space="", mac="02:00:00:00:00:01", state="bound", lease=record)
    npub4 = KeeperStatus(
        link="npub4",
        space="ndmz",
        mac="02:00:00:00:00:02",
        state="selecting",
        lease=None,
        lost="it is over",
        refused=12,
        last_refused="subnet mask 0.0.0.0",
    )
    facts = replace(GOOD, keepers={"zos": zos, "npub4": npub4})

    assert (why(facts, "uplink") or [])[-1] == (
        "lease of zos",
        "192.168.7.5/24 from 192.168.7.1 for 3600 s (bound)",
    )
    assert (why(facts, "ndmz") or [])[-3:] == [
        ("lease of npub4", "none (selecting)"),
        ("lost", "it is over"),
        ("refused", "12 answers, the last: subnet mask 0.0.0.0"),
    ]


def test_a_peer_that_never_shook_hands_says_so() -> None:
    peer = msgspec.structs.replace(N3, path="direct", initiator=False, tx=148)
    silent = replace(GOOD, daemon=daemon(networks=[msgspec.structs.replace(HOME, peers=[peer])]))
    lines = why(silent, "n3") or []

    assert ("handshake", "n3 begins, and none was completed yet") in lines
    assert ("bytes", "0 received, 148 sent") in lines

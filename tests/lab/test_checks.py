"""The demo's checks on a farm whose nodes are set up by hand: each can fail, and says what failed."""

import pytest
from msgspec.structs import replace

from lab import checks
from lab.farm import Farm, build_farm
from lab.internet import await_answering, start_answering
from lab.view import Daemon, Ndmz, Network, NodeView
from lab.world import World

pytestmark = pytest.mark.lab

SPACE = "n-test"
# A workload behind NAT on its node, as simple as it gets, and with nothing that guards the LAN.
NODE = """
for link in {nics}; do ip link set $link up; done
ip addr add {address} dev eth0; ip route add default via {gateway}
echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns add n-test; ip -n n-test link set lo up
ip link add name inside type veth peer name public netns n-test
ip addr add 100.127.0.1/16 dev inside; ip link set inside up
ip -n n-test addr add 100.127.0.2/16 dev public; ip -n n-test link set public up
ip -n n-test route add default via 100.127.0.1
mkdir -p /etc/netns/n-test; echo nameserver 203.0.113.53 >/etc/netns/n-test/resolv.conf
nft -f - <<'END'
table ip hand {{
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        oifname "eth0" masquerade
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
    }}
    chain input {{
        type filter hook input priority 0; policy accept;
    }}
}}
END
"""
GUARD = """
nft add rule ip hand forward iifname inside ip daddr '{ 192.168.7.0/24, 198.51.100.128/28 }' drop
nft add rule ip hand input iifname inside drop
"""
SHUT = "nft add rule ip hand input iifname eth0 ct state new drop"
PLACES = {
    "n1": ("198.51.100.135/28", "198.51.100.129"),
    "n2": ("192.168.7.20/24", "192.168.7.1"),
}


@pytest.fixture
def farm(world: World) -> Farm:
    farm = build_farm(world)
    for name, (address, gateway) in PLACES.items():
        node = farm.nodes[name]
        node.script(NODE.format(nics="eth0", address=address, gateway=gateway))
        start_answering(node)
        await_answering(node)
    return farm


def views() -> dict[str, NodeView]:
    return {
        name: NodeView(
            name,
            "by hand",
            ndmz=Ndmz(ready4=True, addresses=(address,)),
            daemon=Daemon(networks=(Network(namespace=SPACE, addresses=("100.127.0.2/16",)),)),
        )
        for name, (address, _) in PLACES.items()
    }


def test_a_workload_that_reaches_the_internet_by_name_is_seen(farm: Farm) -> None:
    ok, detail = checks.reaches_the_internet(farm, views())
    for name in PLACES:
        farm.nodes[name].write(f"/etc/netns/{SPACE}/resolv.conf", "nameserver 192.0.2.1\n")
    without_names = checks.run_check(
        "names", lambda: checks.reaches_the_internet(farm, {"n1": views()["n1"]})
    )

    assert ok, detail
    assert "n1 as 198.51.100.135" in detail
    assert not without_names.ok


def test_a_neighbour_that_can_be_reached_is_named_until_a_guard_stands_before_it(
    farm: Farm,
) -> None:
    opened, detail = checks.reaches_no_neighbour(farm, views())
    for name in PLACES:
        farm.nodes[name].script(GUARD)
    guarded, guarded_detail = checks.reaches_no_neighbour(farm, views())

    assert not opened
    assert "n2 udp/192.168.7.50 (answer" in detail
    assert guarded, guarded_detail
    assert guarded_detail.startswith("0 of 12 probes got through")


def test_what_comes_in_is_named_until_the_door_is_shut(farm: Farm) -> None:
    opened, detail = checks.nothing_comes_in(farm, views())
    for name in PLACES:
        farm.nodes[name].script(SHUT)
    shut, shut_detail = checks.nothing_comes_in(farm, views())

    assert not opened
    assert "inet tcp/198.51.100.135 (answer" in detail
    assert shut, shut_detail


def test_a_silent_control_fails_the_check_that_would_have_passed(farm: Farm) -> None:
    for name in PLACES:
        farm.nodes[name].script(GUARD)
    farm.neighbours["nb-b"].power_cut()
    ok, detail = checks.reaches_no_neighbour(farm, views())

    assert not ok
    assert "0 of 12 probes got through; controls failed: r-b" in detail


def test_the_matrix_has_each_pair_both_ways_and_names_who_is_silent(farm: Farm) -> None:
    seen = {
        name: replace(
            view,
            daemon=Daemon(networks=(Network(namespace=SPACE, addresses=(address,)),)),
        )
        for (name, view), address in zip(
            views().items(), ("198.51.100.135/28", "10.1.1.1/24"), strict=True
        )
    }
    pairs = checks.ping_matrix(farm, seen, seconds=0.5)
    told = checks.check_matrix(pairs, seen)

    assert [(p.source, p.target, p.answer.answered) for p in pairs] == [
        ("n1", "n2", False),
        ("n2", "n1", True),
    ]
    assert not told.ok
    assert told.detail == "1 of 4 pings answered; silent: n1 → n2 10.1.1.1"


def test_a_node_without_a_network_fails_a_check_with_its_name(farm: Farm) -> None:
    bare = {name: NodeView(name, "by hand") for name in PLACES}
    told = checks.run_checks(farm, bare)

    assert [check.ok for check in told] == [False, False, False]
    assert told[0].detail == "cannot look from a workload: n1 has no network yet"

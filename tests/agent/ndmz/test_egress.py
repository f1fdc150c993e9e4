"""Which NIC carries ndmz, second by second and in each mixture of NICs."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from itertools import permutations

import pytest
from msgspec.structs import replace

from agent.boot.nics import LAYERS
from agent.boot.recover import BR_PUB
from agent.boot.uplink import Candidate
from agent.ndmz.egress import Egress, Seen, Way, own_port, public_addresses
from netns.values import Link

DEAD, BACK = 30.0, 300.0


def nic(name: str, *addresses: str) -> Candidate:
    """With a gateway in each family that it has an address of."""
    four = next((IPv4Interface(a) for a in addresses if "." in a), None)
    six = tuple(IPv6Interface(a) for a in addresses if ":" in a)
    return Candidate(
        name=name,
        address4=four,
        gateway4=IPv4Address("192.0.2.1") if four else None,
        addresses6=six,
        gateway6=IPv6Address("fe80::1") if six else None,
    )


OOB = nic("eth0", "10.1.0.5/24")
PUBLIC = nic("eth1", "198.51.100.5/28")
GLOBAL = nic("eth2", "2001:db8:a::5/64")
PRIVATE = nic("eth3", "192.168.3.5/24", "fd00::5/64")


def decide(seen: Seen, setting: str = "auto") -> Way:
    return Egress(setting, dead_after=DEAD, back_after=BACK).decide(seen, 0.0)


def test_with_zos_out_of_band_a_nic_with_a_public_or_a_global_address_carries_ndmz() -> None:
    for other in (PUBLIC, GLOBAL, nic("eth1", "192.168.3.5/24", "2001:db8:a::5/64")):
        assert decide(Seen(zos=OOB, others=(PRIVATE, other))).nic == other.name


def test_no_order_of_the_nics_changes_the_choice() -> None:
    found = {
        decide(Seen(zos=OOB, others=others)) for others in permutations((PUBLIC, GLOBAL, PRIVATE))
    }

    assert found == {Way("eth1", "eth1: public IPv4 198.51.100.5/28; zos is out of band")}


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen(zos=None, others=(PUBLIC,)), "by zos, which has no way out yet"),
        (Seen(zos=nic("eth0"), others=(PUBLIC,)), "by zos, which has no way out yet"),
        (
            Seen(zos=nic("eth0", "10.1.0.5/24", "2001:db8:b::5/64"), others=(PUBLIC,)),
            "by zos: global IPv6 2001:db8:b::5/64",
        ),
        (
            Seen(zos=nic("eth0", "203.0.113.5/24"), others=(PUBLIC,)),
            "by zos: public IPv4 203.0.113.5/24",
        ),
        (
            Seen(zos=OOB, others=(PRIVATE, replace(PUBLIC, carrier=False))),
            "by zos: no other NIC has a public IPv4 or a global IPv6 address",
        ),
        (
            Seen(zos=OOB, others=(replace(PUBLIC, gateway4=None),)),
            "by zos: no other NIC has a public IPv4 or a global IPv6 address",
        ),
    ],
)
def test_else_it_is_by_zos_and_the_reason_says_why(seen: Seen, reason: str) -> None:
    assert decide(seen) == Way(None, reason)


def test_the_config_goes_before_the_addresses() -> None:
    both = Seen(zos=OOB, others=(PUBLIC, PRIVATE))

    assert decide(both, "zos") == Way(None, "by zos, by config")
    assert decide(both, "eth3") == Way("eth3", "eth3, by config")
    assert decide(Seen(zos=OOB, own=nic("eth3"), silent="no carrier"), "eth3").nic == "eth3"
    assert decide(both, "eth0").reason == "by zos: its port is eth0, which the config names"
    assert decide(both, "eth9").reason == "by zos: there is no NIC eth9, which the config names"
    assert decide(Seen(zos=OOB, own=PUBLIC), "eth9").nic is None


def test_a_nic_that_the_last_config_named_is_left_when_it_is_private() -> None:
    egress = Egress("auto", dead_after=DEAD, back_after=BACK)
    seen = Seen(zos=OOB, own=PRIVATE, others=(PUBLIC,))
    first = egress.decide(seen, 0.0)

    assert first == Way("eth3", "eth3: no public address; zos is out of band")
    assert egress.decide(seen, DEAD).nic == "eth1"


def test_a_nic_that_works_is_kept_whatever_comes() -> None:
    public_zos = nic("eth0", "203.0.113.5/24")

    assert decide(Seen(zos=public_zos, own=GLOBAL, others=(PUBLIC,))).nic == "eth2"
    assert decide(Seen(zos=None, own=GLOBAL)).nic == "eth2"


def test_the_node_goes_before_ndmz() -> None:
    for setting in ("auto", "eth1"):
        way = decide(Seen(zos=OOB, own=PUBLIC, stranded=True), setting)

        assert way == Way(None, "by zos, which is dead: the node may need every NIC")


def test_the_nic_to_which_the_node_goes_back_is_not_taken() -> None:
    away = Seen(zos=OOB, others=(PUBLIC, GLOBAL), home="eth1")

    assert decide(away).nic == "eth2"
    assert decide(replace(away, others=(PUBLIC,))).nic is None
    assert decide(replace(away, own=PUBLIC, others=())).nic is None
    assert (
        decide(away, "eth1").reason == "by zos: the node goes back to eth1, which the config names"
    )


def test_a_dead_nic_is_left_after_thirty_seconds_and_taken_again_after_three_hundred() -> None:
    egress = Egress("auto", dead_after=DEAD, back_after=BACK)
    dead = Seen(zos=OOB, own=replace(PUBLIC, carrier=False), silent="no carrier")
    again = Seen(zos=OOB, others=(PUBLIC,))

    def ways(seen: Seen, *moments: float) -> list[str | None]:
        return [egress.decide(seen, now).nic for now in moments]

    assert ways(dead, 0.0, 29.0, 30.0) == ["eth1", "eth1", None]
    assert ways(again, 40.0, 339.0) == [None, None]
    assert ways(Seen(zos=OOB, others=(replace(PUBLIC, carrier=False),)), 339.5) == [None]
    assert ways(again, 340.0, 639.0, 640.0) == [None, None, "eth1"]


def test_a_break_of_less_than_that_changes_nothing() -> None:
    egress = Egress("auto", dead_after=DEAD, back_after=BACK)
    dead = Seen(zos=OOB, own=replace(PUBLIC, carrier=False), silent="no carrier")
    well = Seen(zos=OOB, own=PUBLIC)
    found = [egress.decide(dead if now % 20 else well, float(now)).nic for now in range(0, 1000, 5)]

    assert set(found) == {"eth1"}


def test_a_nic_that_was_just_taken_has_time_to_find_its_addresses() -> None:
    bare = Seen(zos=OOB, own=nic("eth1"), silent="no default route")

    assert decide(bare) == Way("eth1", "eth1: no default route; zos is out of band")


def test_what_the_internet_cannot_reach_is_not_public() -> None:
    assert public_addresses(nic("eth0", "100.64.0.5/24", "fd00::5/64")) == ""
    assert (
        public_addresses(nic("eth0", "198.51.100.5/28", "2001:db8::5/64"))
        == "public IPv4 198.51.100.5/28 and global IPv6 2001:db8::5/64"
    )


def link(index: int, name: str, *, role: str = "", master: int | None = None) -> Link:
    return Link(
        index=index,
        name=name,
        kind=None,
        mac="",
        mtu=1500,
        up=True,
        carrier=True,
        master=master,
        alias=f"zosnet:{role}" if role else "",
        parent=None,
    )


def test_the_port_of_br_pub_is_a_nic_and_br_pub_is_ours() -> None:
    def found(*links: Link) -> str | None:
        port = own_port({link.name: link for link in links})
        return port.name if port else None

    ours, end = link(1, BR_PUB, role=BR_PUB), link(2, "ndz4", role="ndz4", master=1)

    assert found(ours, end, link(3, "eth1", master=1)) == "eth1"
    assert found(ours, end, link(3, "vlan7", role=LAYERS[0], master=1)) == "vlan7"
    assert found(ours, end, link(3, "eth1", master=7)) is None
    assert found(link(1, BR_PUB), link(3, "eth1", master=1)) is None
    assert found(link(3, "eth1", master=1)) is None

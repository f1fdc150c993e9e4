"""Which links get what on top of them. Whether the kernel agrees, tests of VMs say."""

from pathlib import Path

import pytest

from agent.boot.layers import below_vlans, to_enslave
from agent.boot.nics import why_never, why_not
from agent.boot.recover import is_nic, to_probe
from agent.config import AgentConfig, vlan_name
from netns.values import GROUP, Link
from runtime.config import ConfigError, parse_config
from tests.agent.boot.links import make_link


def config(text: str) -> AgentConfig:
    return parse_config(text.encode(), AgentConfig, Path("agent.yaml"))


def names(links: list[Link]) -> list[str]:
    return [link.name for link in links]


TAGGED = "uplink: {vlan: 12}"
BONDED = "uplink: {bond: {nics: [eth0, eth1]}}"
BOTH = "uplink: {vlan: 12, bond: {mode: 802.3ad, nics: [eth0, eth1]}}"


def test_a_vlan_goes_onto_each_nic_that_may_be_used_once() -> None:
    wanted = config(f"{TAGGED}\nnics: {{exclude: [eth9]}}")
    links = [
        make_link("eth0", index=2),
        make_link("eth1", index=3),
        make_link("eth9", index=4),
        make_link("eth0.12", index=5, kind="vlan", parent=2, alias="zosnet:vlan"),
        make_link("tap0", index=6, kind="tun"),
    ]

    assert names(below_vlans(links, wanted)) == ["eth1"]


def test_a_vlan_that_is_half_done_or_somebody_elses_is_none() -> None:
    """Killed between its birth and its mark, or before the NIC was raised; or another number."""
    wanted = config(TAGGED)
    vlan = make_link("eth0.12", index=5, kind="vlan", parent=2, alias="zosnet:vlan")
    half = make_link("eth0.12", index=5, kind="vlan", parent=2, group=GROUP)
    other = make_link("eth0.50", index=6, kind="vlan", parent=2)
    nic, down = make_link("eth0", index=2), make_link("eth0", index=2, up=False)

    assert below_vlans([nic, vlan, other], wanted) == []
    assert names(below_vlans([nic, half], wanted)) == ["eth0"]
    assert names(below_vlans([down, vlan], wanted)) == ["eth0"]
    assert names(below_vlans([nic, other], wanted)) == ["eth0"]


def test_a_vlan_on_an_excluded_nic_is_excluded() -> None:
    nics = config(f"{TAGGED}\nnics: {{exclude: [eth9]}}").eligible

    assert why_not(make_link("eth9.12", kind="vlan"), nics) == "excluded by nics.exclude"


def test_the_name_of_a_vlan_is_one_that_the_kernel_takes() -> None:
    assert vlan_name("eth0", 12) == "eth0.12"
    assert vlan_name("enp193s0f0np0", 4094) == "193s0f0np0.4094"
    assert vlan_name("enp193s0f0np1", 4094) == "193s0f0np1.4094"
    assert len(vlan_name("x" * 15, 1)) == 15


def test_over_a_bond_the_vlan_waits_for_its_first_nic() -> None:
    wanted = config(BOTH)
    alone = [make_link("eth0", index=2), make_link("zbond", index=5, kind="bond")]
    joined = [make_link("eth0", index=2, master=5), *alone[1:]]

    assert below_vlans(alone, wanted) == []
    assert names(below_vlans(joined, wanted)) == ["zbond"]


def test_a_bond_takes_its_nics_and_no_others_when_they_come() -> None:
    bond = config(BONDED).uplink.bond
    assert bond is not None
    links = [
        make_link("eth0", master=5),
        make_link("eth1"),
        make_link("eth2"),
    ]

    assert names(to_enslave(links, bond)) == ["eth1"]
    assert to_enslave(links[:1], bond) == []


def test_a_bond_without_nics_is_not_probed() -> None:
    """bond0 comes with the kernel's module; the MAC of zbond is that of its first NIC."""
    nics = config(BONDED).eligible
    empty = [make_link("bond0", index=4, kind="bond"), make_link("zbond", index=5, kind="bond")]
    free, port = make_link("eth0", index=2), make_link("eth0", index=2, master=5)

    assert names(to_probe([free, *empty], nics)) == ["eth0"]
    assert names(to_probe([port, *empty], nics)) == ["zbond"]


def test_with_a_vlan_only_tagged_links_may_be_the_uplink() -> None:
    nics = config(f"{TAGGED}\nnics: {{pin: eth1, include: [eth1]}}").eligible
    tagged = make_link("eth1.12", kind="vlan", alias="zosnet:vlan")

    assert nics.pin == "eth1.12"
    assert why_not(tagged, nics) is None
    assert is_nic(tagged, nics)
    assert why_not(make_link("eth1"), nics) == "physical is not among nics.kinds"
    assert why_not(make_link("eth1.13", kind="vlan"), nics) == "not among nics.include"


def test_a_bond_is_one_more_link_that_may_be_the_uplink() -> None:
    nics = config(f"{BONDED}\nnics: {{include: [eth0, eth2]}}").eligible
    bond = make_link("zbond", kind="bond", alias="zosnet:bond")

    assert why_not(bond, nics) is None
    assert why_not(make_link("eth0", master=5), nics) == "has a master already"
    assert why_never(make_link("eth2"), nics) is None


def test_without_either_nothing_changes() -> None:
    plain = config("nics: {pin: eth1}")

    assert plain.eligible == plain.nics
    assert why_not(make_link("zbond", alias="zosnet:public"), plain.eligible) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uplink: {vlan: 0}", "uplink.vlan: at least 1 needed, not 0"),
        ("uplink: {vlan: 4095}", "uplink.vlan: at most 4094 needed, not 4095"),
        ("uplink: {bond: {nics: []}}", "uplink.bond: nics must name at least one NIC"),
        ("uplink: {bond: {nics: ['a b']}}", "'a b' is no name of a NIC"),
        (
            "uplink: {bond: {nics: [eth0], mode: lacp}}",
            "'lacp' is not one of active-backup, 802.3ad",
        ),
        ("uplink: {bond: {}}", "the key 'nics' is missing"),
    ],
)
def test_what_a_person_gets_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use agent\.yaml: ") as error:
        config(text)

    assert said in error.value.message

"""Forward or back: what is decided from what an earlier run left."""

import pytest

from agent.boot.recover import Adopt, Found, StartOver, is_nic, plan, probe_space
from agent.boot.status import BootStatus, Step, Uplink
from agent.config import Nics
from netns.values import Link
from tests.agent.boot.links import make_link

ZOS = make_link("zos", kind="bridge", alias="zosnet:zos", index=9)
PORT = make_link("eth0", master=9)
DEAD = make_link("eth0", master=9, carrier=False)
OTHER = make_link("eth1", master=9)


def found(bridge: Link | None = None, *uplinks: Link) -> Found:
    return Found(bridge=bridge, uplinks=uplinks, others=(), lent=(), spaces=("znp-3",))


def record(nic: str = "eth0", *, stands: bool) -> BootStatus:
    return BootStatus(step=Step.UNIT, pid=1, uplink=Uplink(nic=nic), stands=stands)


@pytest.mark.parametrize("before", [None, record(stands=False), record(stands=True)])
def test_before_zos_has_its_port_everything_goes_back(before: BootStatus | None) -> None:
    assert plan(found(), before) == StartOver()
    assert plan(found(ZOS), before) == StartOver()


@pytest.mark.parametrize("before", [None, record(stands=False), record(stands=True)])
def test_with_its_port_zos_is_adopted(before: BootStatus | None) -> None:
    assert plan(found(ZOS, PORT), before) == Adopt(PORT)


def test_a_port_without_carrier_is_kept_only_when_the_boot_had_been_done() -> None:
    assert plan(found(ZOS, DEAD), record(stands=False)) == StartOver()
    assert plan(found(ZOS, DEAD), record(stands=True)) == Adopt(DEAD)


def test_of_two_ports_the_chosen_one_is_the_uplink() -> None:
    assert plan(found(ZOS, PORT, OTHER), record("eth1", stands=True)) == Adopt(OTHER)
    assert plan(found(ZOS, PORT, OTHER), None) == Adopt(PORT)


def test_the_veths_of_ndmz_are_no_uplinks() -> None:
    nics = Nics(kinds=("physical", "veth"))

    assert is_nic(make_link("eth0", kind="veth", master=9), nics)
    assert not is_nic(make_link("ndz4", kind="veth", master=9, alias="zosnet:npub4"), nics)
    assert not is_nic(make_link("eth0", kind="veth", master=9), Nics())


def test_a_probe_namespace_is_named_after_the_index() -> None:
    assert probe_space(17) == "znp-17"

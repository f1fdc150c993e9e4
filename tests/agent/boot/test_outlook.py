"""`plan`: choosing again from what is known, under today's config."""

from agent.boot.outlook import outlook
from agent.boot.status import BootStatus, Nic, Step, Uplink
from agent.config import Nics
from tests.agent.boot.links import make_link

HOME = Nic(name="eth0", carrier=True, ipv4="192.168.1.5/24", router4="192.168.1.1")
PUBLIC = Nic(name="eth1", carrier=True, ipv4="198.51.100.5/24", router4="198.51.100.1")
STATUS = BootStatus(step=Step.DONE, pid=1, nics=(HOME, PUBLIC), uplink=Uplink(nic="eth0"))
PORT = make_link("eth0", master=9)


def names(seen: object) -> list[str]:
    return [ranked.name for ranked in seen.choice.ranking]  # type: ignore[attr-defined]


def test_the_choice_is_made_again_under_the_config_of_today() -> None:
    assert names(outlook(STATUS, [PORT], Nics())) == ["eth0", "eth1"]
    assert names(outlook(STATUS, [PORT], Nics(pin="eth1"))) == ["eth1", "eth0"]


def test_an_excluded_nic_is_left_out_wherever_it_is() -> None:
    seen = outlook(STATUS, [PORT], Nics(exclude=("eth*",)))

    assert seen.choice.uplink is None
    assert seen.left_out == (
        ("eth0", "excluded by nics.exclude"),
        ("eth1", "excluded by nics.exclude"),
    )


def test_an_uplink_that_lost_its_cable_since_is_not_chosen_again() -> None:
    pulled = make_link("eth0", master=9, carrier=False)

    assert names(outlook(STATUS, [pulled], Nics())) == ["eth1", "eth0"]


def test_before_the_first_boot_nothing_is_known() -> None:
    ours = make_link("zos", alias="zosnet:zos", kind="bridge")
    seen = outlook(None, [make_link("eth0"), make_link("v0", kind="veth"), ours], Nics())

    assert seen.choice.uplink is None
    assert [(r.name, r.reason) for r in seen.choice.ranking] == [("eth0", "not probed yet")]
    assert seen.left_out == (("v0", "veth is not among nics.kinds"),)

"""Which links may be touched at all."""

import pytest

from agent.boot.nics import why_never, why_not
from agent.config import Nics
from netns.values import GROUP, Link
from tests.agent.boot.links import make_link


def test_by_default_every_physical_nic_is_a_candidate_and_nothing_else() -> None:
    assert why_not(make_link("eth0"), Nics()) is None
    assert why_not(make_link("eth0", kind="veth"), Nics()) == "veth is not among nics.kinds"
    assert why_not(make_link("br0", kind="bridge"), Nics()) == "bridge is not among nics.kinds"
    assert why_not(make_link("lo", loopback=True), Nics()) == "the loopback"


@pytest.mark.parametrize(
    ("link", "nics", "reason"),
    [
        (make_link("eth0", kind="veth"), Nics(kinds=("physical", "veth")), None),
        (make_link("eth0"), Nics(include=("eth*",)), None),
        (make_link("wlan0"), Nics(include=("eth*",)), "not among nics.include"),
        (make_link("eth9"), Nics(include=("eth*",), exclude=("eth9",)), "excluded by nics.exclude"),
        (make_link("eth0", master=7), Nics(), "has a master already"),
        (make_link("eth0", mac=""), Nics(), "has no MAC"),
        (make_link("ndz4", alias="zosnet:npub4"), Nics(), "made by zosnet (npub4)"),
        (make_link("ndz4", group=GROUP), Nics(), "made by zosnet (half-made)"),
    ],
)
def test_each_rule_has_its_reason(link: Link, nics: Nics, reason: str | None) -> None:
    assert why_not(link, nics) == reason


def test_the_port_of_zos_is_still_a_nic() -> None:
    assert why_never(make_link("eth0", master=7), Nics()) is None

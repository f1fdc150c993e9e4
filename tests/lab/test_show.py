"""Layouts as data, and what a layout's own checks say; no farm is made."""

import subprocess
import sys
from ipaddress import ip_network

import pytest

from lab import show
from lab.host import TREE
from lab.layouts import LAYOUTS
from lab.view import Boot, Ndmz, NodeView, Uplink
from runtime.failure import Exit


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lab", "demo", *words]
    return subprocess.run(argv, cwd=TREE, capture_output=True, text=True, timeout=30, check=False)


def view(nic: str, address_class: str, *families: int) -> dict[str, NodeView]:
    boot = Boot(uplink=Uplink(nic=nic, address_class=address_class, reason="because"))
    return {"n2": NodeView("n2", "", boot, Ndmz(ready4=4 in families, ready6=6 in families))}


def test_the_list_says_what_each_layout_shows() -> None:
    listed = demo("--layout", "list")

    assert (listed.returncode, listed.stderr) == (Exit.OK, "")
    assert [line.split("  ")[0] for line in listed.stdout.splitlines()] == ["NAME", *LAYOUTS]
    assert all(layout.shows in listed.stdout for layout in LAYOUTS.values())


def test_a_mistyped_layout_is_refused_with_the_nearest_one() -> None:
    refused = demo("--layout", "cgnt")

    assert refused.returncode == Exit.USAGE
    assert "hint: did you mean 'cgnat'?" in refused.stderr


def test_a_shell_completes_layouts() -> None:
    argv = [sys.executable, "-m", "lab", "__complete", "demo", "--layout", "nat44-"]
    said = subprocess.run(argv, cwd=TREE, capture_output=True, text=True, timeout=30, check=True)

    assert said.stdout.split() == [":words", "nat44-ra", "nat44-ra-firewall"]


def test_layouts_can_stand_side_by_side() -> None:
    sites = [layout.site for layout in LAYOUTS.values()]
    routed = [network for site in sites for network in site.routed]

    assert len({site.name for site in sites}) == len(sites)
    assert len({site.number for site in sites}) == len(sites)
    assert all(not a.overlaps(b) for a in routed for b in routed if a is not b)
    assert all(
        not net.overlaps(ip_network("198.51.100.0/25")) for net in routed if net.version == 4
    )


def test_a_layout_that_comes_up_promises_families_and_one_that_waits_a_reason() -> None:
    for layout in LAYOUTS.values():
        assert bool(layout.families) == layout.comes_up
        assert bool(layout.waits) == (bool(layout.late) or not layout.comes_up)
        assert layout.nodes[0] == "n2"
        assert all(layout.uplink in n.cards for n in layout.plan.nodes if n.name in layout.nodes)


@pytest.mark.parametrize(
    ("seen", "uplink", "families"),
    [
        (view("eth0", "100.64/10 IPv4", 4), True, True),
        (view("eth1", "100.64/10 IPv4", 4, 6), False, False),
        (view("eth0", "RFC1918 IPv4", 6), False, False),
        ({"n2": NodeView("n2", "")}, False, False),
    ],
)
def test_another_uplink_class_or_family_than_promised_is_a_failure(
    seen: dict[str, NodeView], uplink: bool, families: bool
) -> None:
    layout = LAYOUTS["cgnat"]

    assert show.has_its_uplink(layout, seen).ok is uplink
    assert show.has_its_families(layout, seen).ok is families
